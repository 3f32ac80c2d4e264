"""C++ for an app that runs a file with TensorFlow Lite Micro: the file as an array, and the operators that it needs."""

from __future__ import annotations

import re
from dataclasses import replace

from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.flatbuffer.types import Model, VarHandleOptions
from tflite_sparse.report.snippets.micro import App, Memory

ALIGNMENT = 16
"""Of the array: the constants of a file lie on multiples of 16 bytes, in memory only if the file itself does."""

DECODE = "TFLM_DECODE"
_OWN_HEADER = "tflite_sparse_ops.h"

_BYTES_PER_LINE = 16

METHODS = {
    # Of tflite::MicroMutableOpResolver (micro_mutable_op_resolver.h), by operator name in the schema.
    "ABS": "AddAbs",
    "ADD": "AddAdd",
    "ADD_N": "AddAddN",
    "ARG_MAX": "AddArgMax",
    "ARG_MIN": "AddArgMin",
    "ASSIGN_VARIABLE": "AddAssignVariable",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "BATCH_TO_SPACE_ND": "AddBatchToSpaceNd",
    "BROADCAST_ARGS": "AddBroadcastArgs",
    "BROADCAST_TO": "AddBroadcastTo",
    "CALL_ONCE": "AddCallOnce",
    "CAST": "AddCast",
    "CEIL": "AddCeil",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "COS": "AddCos",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEPTH_TO_SPACE": "AddDepthToSpace",
    "DEQUANTIZE": "AddDequantize",
    "DIV": "AddDiv",
    "DYNAMIC_UPDATE_SLICE": "AddDynamicUpdateSlice",
    "ELU": "AddElu",
    "EMBEDDING_LOOKUP": "AddEmbeddingLookup",
    "EQUAL": "AddEqual",
    "EXP": "AddExp",
    "EXPAND_DIMS": "AddExpandDims",
    "FILL": "AddFill",
    "FLOOR": "AddFloor",
    "FLOOR_DIV": "AddFloorDiv",
    "FLOOR_MOD": "AddFloorMod",
    "FULLY_CONNECTED": "AddFullyConnected",
    "GATHER": "AddGather",
    "GATHER_ND": "AddGatherNd",
    "GREATER": "AddGreater",
    "GREATER_EQUAL": "AddGreaterEqual",
    "HARD_SWISH": "AddHardSwish",
    "IF": "AddIf",
    "L2_NORMALIZATION": "AddL2Normalization",
    "L2_POOL_2D": "AddL2Pool2D",
    "LEAKY_RELU": "AddLeakyRelu",
    "LESS": "AddLess",
    "LESS_EQUAL": "AddLessEqual",
    "LOG": "AddLog",
    "LOGICAL_AND": "AddLogicalAnd",
    "LOGICAL_NOT": "AddLogicalNot",
    "LOGICAL_OR": "AddLogicalOr",
    "LOGISTIC": "AddLogistic",
    "LOG_SOFTMAX": "AddLogSoftmax",
    "MAXIMUM": "AddMaximum",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MIRROR_PAD": "AddMirrorPad",
    "MUL": "AddMul",
    "NEG": "AddNeg",
    "NOT_EQUAL": "AddNotEqual",
    "PACK": "AddPack",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "PRELU": "AddPrelu",
    "QUANTIZE": "AddQuantize",
    "READ_VARIABLE": "AddReadVariable",
    "REDUCE_ALL": "AddReduceAll",
    "REDUCE_MAX": "AddReduceMax",
    "REDUCE_MIN": "AddReduceMin",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "RESIZE_BILINEAR": "AddResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
    "REVERSE_V2": "AddReverseV2",
    "ROUND": "AddRound",
    "RSQRT": "AddRsqrt",
    "SELECT_V2": "AddSelectV2",
    "SHAPE": "AddShape",
    "SIN": "AddSin",
    "SLICE": "AddSlice",
    "SOFTMAX": "AddSoftmax",
    "SPACE_TO_BATCH_ND": "AddSpaceToBatchNd",
    "SPACE_TO_DEPTH": "AddSpaceToDepth",
    "SPLIT": "AddSplit",
    "SPLIT_V": "AddSplitV",
    "SQRT": "AddSqrt",
    "SQUARE": "AddSquare",
    "SQUARED_DIFFERENCE": "AddSquaredDifference",
    "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "SVDF": "AddSvdf",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
    "TRANSPOSE_CONV": "AddTransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "UNPACK": "AddUnpack",
    "VAR_HANDLE": "AddVarHandle",
    "WHILE": "AddWhile",
    "ZEROS_LIKE": "AddZerosLike",
}

CUSTOM_METHODS = {
    # The same for custom operators, by the code that a file names them with.
    "CIRCULAR_BUFFER": "AddCircularBuffer",
    "SignalDelay": "AddDelay",
    "SignalEnergy": "AddEnergy",
    "SignalFftAutoScale": "AddFftAutoScale",
    "SignalFilterBank": "AddFilterBank",
    "SignalFilterBankLog": "AddFilterBankLog",
    "SignalFilterBankSpectralSubtraction": "AddFilterBankSpectralSubtraction",
    "SignalFilterBankSquareRoot": "AddFilterBankSquareRoot",
    "SignalFramer": "AddFramer",
    "SignalIrfft": "AddIrfft",
    "SignalOverlapAdd": "AddOverlapAdd",
    "SignalPCAN": "AddPCAN",
    "SignalRfft": "AddRfft",
    "SignalStacker": "AddStacker",
    "SignalWindow": "AddWindow",
    "TFLM_DECODE": "AddDecode",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "ethos-u": "AddEthosU",
}


FUNCTIONS = {CUSTOM_CODE: "tflite_sparse::AddSparseOps"}
"""Functions that register a custom operator with a resolver, of the files that are written beside the model."""


def identifier(name: str) -> str:
    """A part of C identifiers, made from any name, such as a file's: letters and digits, single underscores between."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "model"


def c_array(content: bytes, name: str) -> tuple[str, str]:
    """A file as C++11: texts of ``name.h`` and ``name.cc``, which need no other header.

    They declare and define ``g_name``, the bytes, aligned to 16, and ``g_name_size``, their number.

    Args:
        content: the bytes, at least one.
        name: of the pair of files and, made a C identifier by :func:`identifier`, in the code.
    """
    symbol = identifier(name)
    guard = f"{symbol.upper()}_H_" if symbol[0].isalpha() else f"MODEL_{symbol.upper()}_H_"
    header = f"""\
#ifndef {guard}
#define {guard}

extern const unsigned char g_{symbol}[];
extern const unsigned int g_{symbol}_size;

#endif  // {guard}
"""
    starts = range(0, len(content), _BYTES_PER_LINE)
    lines = (content[start : start + _BYTES_PER_LINE].hex(" ").replace(" ", ", 0x") for start in starts)
    rows = "".join(f"    0x{line},\n" for line in lines)
    source = f"""\
#include "{name}.h"

alignas({ALIGNMENT}) const unsigned char g_{symbol}[] = {{
{rows}}};
const unsigned int g_{symbol}_size = sizeof(g_{symbol});
"""
    return header, source


def unsupported(model: Model) -> tuple[str, ...]:
    """The operators of ``model`` (``ModelT``) that TensorFlow Lite Micro does not have, sorted."""
    return tuple(sorted(name for name, is_custom in _operators(model) if not _has(name, is_custom)))


def app_of(model: Model, name: str, file: str, memory: Memory) -> App:
    """What the code of an app for a file from :func:`c_array` is made of: just the operators that it has.

    Args:
        model: the file (``ModelT``).
        name: as given to :func:`c_array`.
        file: the name of the ``.tflite`` file.
        memory: in RAM. A memory for decoded weights is left out where nothing is decoded.

    Raises:
        ExecutionError: TensorFlow Lite Micro does not have some of its operators.
    """
    missing = unsupported(model)
    if missing:
        raise ExecutionError(
            f"TensorFlow Lite Micro does not have {', '.join(missing)}. Replace such layers before the conversion."
        )
    operators = _operators(model)
    return App(
        file=file,
        header=name,
        symbol=identifier(name),
        calls=sorted(_call(operator, is_custom) for operator, is_custom in operators),
        own_header=_OWN_HEADER if (CUSTOM_CODE, True) in operators else None,
        variables=_resource_variables(model),
        memory=memory if (DECODE, True) in operators else replace(memory, decoded_bytes=0),
    )


def _has(name: str, is_custom: bool) -> bool:
    return name in _methods(is_custom) or (is_custom and name in FUNCTIONS)


def _call(name: str, is_custom: bool) -> str:
    if is_custom and name in FUNCTIONS:
        return f"{FUNCTIONS[name]}(resolver)"
    return f"resolver.{_methods(is_custom)[name]}()"


def _methods(is_custom: bool) -> dict[str, str]:
    return CUSTOM_METHODS if is_custom else METHODS


def _operators(model: Model) -> set[tuple[str, bool]]:
    """Names of the operators in any graph, and whether they are custom."""
    return {
        (graph.operator_name(operator), model.operatorCodes[operator.opcodeIndex].customCode is not None)
        for graph in graphs(model)
        for operator in graph.operators
    }


def _resource_variables(model: Model) -> int:
    """How many variables the graphs share by name."""
    handles: list[VarHandleOptions] = [
        operator.builtinOptions
        for graph in graphs(model)
        for operator in graph.operators
        if graph.operator_name(operator) == "VAR_HANDLE"
    ]
    return len({text(handle.sharedName) for handle in handles})
