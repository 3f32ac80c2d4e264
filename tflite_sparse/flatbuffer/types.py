"""Types of the objects of a parsed ``.tflite`` file.

LiteRT's generated classes (``ModelT``, ``TensorT``, ...) have no type annotations. Each protocol has the fields of one,
named as in ``schema.fbs``, as :func:`tflite_sparse.flatbuffer.serde.parse` returns them. Vectors of numbers are
one-dimensional arrays, None where the file has none. Lists of tables that parsing fills in are never None. Enums are
plain ints.
"""

from __future__ import annotations

from typing import Any, Protocol

import flatbuffers
import numpy as np


class Table(Protocol):
    """Common to all tables."""

    def Pack(self, builder: flatbuffers.Builder, /) -> int:
        """Write the table, its children first; return its offset from the end of the written bytes."""


class Buffer(Table, Protocol):
    """``BufferT``: the bytes of one constant, uint8; none for tensors without one."""

    data: np.ndarray | None
    offset: int
    size: int


class IndexVector(Protocol):
    """``Uint8VectorT``, ``Uint16VectorT`` or ``Int32VectorT``: segments or indices of a compressed level."""

    values: np.ndarray | None


class DimensionMetadata(Protocol):
    """``DimensionMetadataT``: one level of a sparse tensor, dense or compressed."""

    format: int
    denseSize: int
    arraySegmentsType: int
    arraySegments: IndexVector | None
    arrayIndicesType: int
    arrayIndices: IndexVector | None


class SparsityParameters(Table, Protocol):
    """``SparsityParametersT``: how a sparse tensor is stored."""

    traversalOrder: np.ndarray | None
    blockMap: np.ndarray | None
    dimMetadata: list[DimensionMetadata] | None


class QuantizationParameters(Protocol):
    """``QuantizationParametersT``: real value = scale (float32) * (stored value - zero point (int64)).

    Converters keep the calibration range (float32) in ``min`` and ``max`` until quantisation.
    """

    min: np.ndarray | None
    max: np.ndarray | None
    scale: np.ndarray | None
    zeroPoint: np.ndarray | None
    quantizedDimension: int
    details: object | None


class Tensor(Table, Protocol):
    """``TensorT``: one tensor of a graph; its values are in the model's buffer number ``buffer``."""

    shape: np.ndarray | None
    type: int
    buffer: int
    name: str | bytes | None
    quantization: QuantizationParameters | None
    isVariable: bool
    sparsity: SparsityParameters | None
    shapeSignature: np.ndarray | None
    hasRank: bool


class ConvolutionOptions(Protocol):
    """Common to ``Conv2DOptionsT`` and ``DepthwiseConv2DOptionsT``."""

    padding: int
    strideW: int
    strideH: int
    fusedActivationFunction: int
    dilationWFactor: int
    dilationHFactor: int


class Conv2DOptions(ConvolutionOptions, Protocol):
    """``Conv2DOptionsT``."""

    quantizedBiasType: int


class Pool2DOptions(Protocol):
    """``Pool2DOptionsT``."""

    padding: int
    strideW: int
    strideH: int
    filterWidth: int
    filterHeight: int


class FullyConnectedOptions(Protocol):
    """``FullyConnectedOptionsT``."""

    fusedActivationFunction: int
    weightsFormat: int
    keepNumDims: bool
    quantizedBiasType: int


class VarHandleOptions(Protocol):
    """``VarHandleOptionsT``: name of a variable that several graphs share."""

    sharedName: str | bytes | None


class Operator(Table, Protocol):
    """``OperatorT``: one step of a graph. Inputs and outputs are indices of tensors, -1 for an omitted input.

    ``builtinOptions`` is a union of about a hundred tables, selected by ``builtinOptionsType``; readers cast it to the
    protocol of the operator's options.
    """

    opcodeIndex: int
    inputs: np.ndarray
    outputs: np.ndarray
    intermediates: np.ndarray | None
    builtinOptionsType: int
    builtinOptions: Any
    builtinOptions2Type: int
    builtinOptions2: object | None
    customOptions: np.ndarray | None
    largeCustomOptionsOffset: int


class OperatorCode(Protocol):
    """``OperatorCodeT``: a kind of operator, builtin or custom."""

    deprecatedBuiltinCode: int
    customCode: str | bytes | None
    version: int
    builtinCode: int


class SubGraph(Protocol):
    """``SubGraphT``: tensors, and operators in execution order."""

    tensors: list[Tensor]
    inputs: np.ndarray
    outputs: np.ndarray
    operators: list[Operator]
    name: str | bytes | None


class TensorMap(Protocol):
    """``TensorMapT``: the name that a signature gives to a tensor."""

    name: str | bytes | None
    tensorIndex: int


class SignatureDef(Protocol):
    """``SignatureDefT``: inputs and outputs of a graph by name."""

    inputs: list[TensorMap] | None
    outputs: list[TensorMap] | None
    signatureKey: str | bytes | None
    subgraphIndex: int


class Metadata(Protocol):
    """``MetadataT``: the name of a buffer that no tensor reads."""

    name: str | bytes | None
    buffer: int


class Model(Table, Protocol):
    """``ModelT``: a whole file."""

    version: int
    operatorCodes: list[OperatorCode]
    subgraphs: list[SubGraph]
    buffers: list[Buffer]
    metadataBuffer: np.ndarray | None
    metadata: list[Metadata] | None
    signatureDefs: list[SignatureDef] | None
