"""List what cannot run on Arm's Ethos-U. It takes the dense int8 file, whose zeros its compiler, Vela, compresses.

``vela --supported-ops-report`` of Vela 5.2.0 lists the operators that run on the NPU. Each has further conditions,
which only a compilation shows (:mod:`tflite_sparse.runtime.vela`). Any other operator stays on the CPU.
"""

from __future__ import annotations

from tflite_sparse.flatbuffer.graph import Graph, graphs, indices, text, type_name
from tflite_sparse.flatbuffer.types import Model, Operator

_LISTED_FOR_U55_AND_U65 = """
    ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D ELU EXP EXPAND_DIMS
    FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL
    NEG PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RSQRT SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE
    SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
"""

_LISTED_FOR_U85_AS_WELL = """
    ASSIGN_VARIABLE CAST DIV EQUAL GATHER GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR NOT_EQUAL READ_VARIABLE REDUCE_ALL REDUCE_ANY SCATTER_ND SELECT SELECT_V2
"""

_U55_AND_U65 = frozenset(_LISTED_FOR_U55_AND_U65.split())
_U85 = _U55_AND_U65 | frozenset(_LISTED_FOR_U85_AS_WELL.split())

_FEATURE_MAPS = frozenset({"int8", "uint8", "int16", "int32", "int64"})
_ALSO_ON_U85 = frozenset({"bool", "resource"})
_WEIGHTS = frozenset({"int8", "uint8"})
_WEIGHT_POSITIONS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}


def supported_operators(accelerator: str) -> frozenset[str]:
    """Return the operators that may run on an accelerator (``"ethos-u55-128"``), as named in the schema."""
    return _U85 if _is_u85(accelerator) else _U55_AND_U65


def warnings_for(model: Model, accelerator: str = "ethos-u55-128") -> list[str]:
    """Return the parts of ``model`` that cannot run on the accelerator, one line for each operator and reason.

    An empty list does not guarantee that Vela takes everything.
    """
    found = []
    for graph in graphs(model):
        for operator in graph.operators:
            why = _refusal(graph, operator, accelerator)
            if why is not None:
                outputs = [text(graph.tensor(int(index)).name) for index in operator.outputs]
                of = f" that yields {outputs[0]!r}" if outputs else ""
                found.append(f"{graph.operator_name(operator)}{of} stays on the CPU: {why}")
    return found


def _refusal(graph: Graph, operator: Operator, accelerator: str) -> str | None:
    name = graph.operator_name(operator)
    if name not in supported_operators(accelerator):
        return f"{accelerator} does not have it"
    tensors = [graph.tensor(index) for index in [*indices(operator.inputs), *indices(operator.outputs)] if index >= 0]
    if any(tensor.sparsity is not None for tensor in tensors):
        return "Vela does not read sparse tensors; decode the file"
    known = _FEATURE_MAPS | _ALSO_ON_U85 if _is_u85(accelerator) else _FEATURE_MAPS
    strange = sorted({type_name(tensor) for tensor in tensors} - known)
    if strange:
        return f"it has {', '.join(strange)} tensors; the NPU needs int8"
    position = _WEIGHT_POSITIONS.get(name)
    if position is not None:
        weight = type_name(graph.tensor(int(operator.inputs[position])))
        if weight not in _WEIGHTS:
            return f"its weights are {weight}; int8 is needed"
    return None


def _is_u85(accelerator: str) -> bool:
    return accelerator.startswith("ethos-u85")
