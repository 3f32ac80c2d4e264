"""The tables of LiteRT's ``schema.fbs``, as far as a reader must know which bytes a table may point at.

One line for each table with fields: its name, then the kind of each field in the order of field numbers.

* ``1``, ``2``, ``4``, ``8``: a scalar of this number of bytes;
* ``[1]`` ... ``[8]``: a vector of such scalars;
* ``str``: a string;
* a table's name: one such table; in brackets: a vector of them;
* ``?`` and a union's name: a table whose kind is in the preceding field;
* ``-``: a deprecated field.

A table without a line has no fields. ``tests/flatbuffer/test_schema_tables.py`` compares them with the generated
accessors of the installed ``ai_edge_litert``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

_TEXT = """
Model 4 [OperatorCode] [SubGraph] str [Buffer] [4] [Metadata] [SignatureDef] [ExternalBufferGroup] [ExternalBuffer]
SignatureDef [TensorMap] [TensorMap] str - 4
TensorMap str 4
Metadata str 4
ExternalBuffer 4 4 8 8 str
ExternalBufferGroup str
Buffer [1] 8 8
SubGraph [Tensor] [4] [4] [Operator] str 4
Operator 4 [4] [4] 1 ?BuiltinOptions [1] 1 [1] [4] 8 8 1 ?BuiltinOptions2 4
OperatorCode 1 str 4 4
Tensor [4] 1 4 str QuantizationParameters 1 SparsityParameters [4] 1 [VariantSubType] 4
VariantSubType [4] 1 1
SparsityParameters [4] [4] [DimensionMetadata]
DimensionMetadata 1 4 1 ?SparseIndexVector 1 ?SparseIndexVector
Uint8Vector [1]
Uint16Vector [2]
Int32Vector [4]
QuantizationParameters [4] [4] [4] [8] 1 ?QuantizationDetails 4
MultiAxisQuantization 4 4 4 [4]
BlockwiseQuantization 4 4 4 [4]
CustomQuantization [1]
AddOptions 1 1
ArgMaxOptions 1
ArgMinOptions 1
BatchMatMulOptions 1 1 1
BidirectionalSequenceLSTMOptions 1 4 4 1 1 1
BidirectionalSequenceRNNOptions 1 1 1 1
BucketizeOptions [4]
CallOnceOptions 4
CallOptions 4
CastOptions 1 1
ConcatEmbeddingsOptions 4 [4] [4]
ConcatenationOptions 4 1
Conv2DOptions 1 4 4 1 4 4 1
Conv3DOptions 1 4 4 4 1 4 4 4
CumsumOptions 1 1
DepthToSpaceOptions 4
DepthwiseConv2DOptions 1 4 4 4 1 4 4
DivOptions 1
EmbeddingLookupSparseOptions 1
FakeQuantOptions 4 4 4 1
FullyConnectedOptions 1 1 1 1 1 [1]
GatherOptions 4 4
GeluOptions 1
HashtableOptions 4 1 1
IfOptions 4 4
L2NormOptions 1
LSHProjectionOptions 1
LSTMOptions 1 4 4 1 1
LeakyReluOptions 4
LocalResponseNormalizationOptions 4 4 4 4
MirrorPadOptions 1
MulOptions 1
OneHotOptions 4
PackOptions 4 4
Pool2DOptions 1 4 4 4 4 1
RNNOptions 1 1
RandomOptions 8 8
ReduceWindowOptions 4
ReducerOptions 1
ReshapeOptions [4]
ResizeBilinearOptions - - 1 1
ResizeNearestNeighborOptions 1 1
ReverseSequenceOptions 4 4
SVDFOptions 4 1 1
SequenceRNNOptions 1 1 1
ShapeOptions 1
SkipGramOptions 4 4 1
SoftmaxOptions 4
SpaceToDepthOptions 4
SparseToDenseOptions 1
SplitOptions 4
SplitVOptions 4
SqueezeOptions [4]
StableHLOCompositeOptions str 4 [1] 1 4
StablehloBroadcastInDimOptions [8]
StablehloCaseOptions [4]
StablehloCompareOptions 4 4
StablehloConcatenateOptions 8
StablehloConvolutionOptions [8] [8] [8] [8] [1] 8 8 [8] 8 8 [8] 8 8 [8] 8 8 [4]
StablehloCustomCallOptions str 1 str 4 [4] [1]
StablehloDotGeneralOptions [8] [8] [8] [8] [4]
StablehloDynamicSliceOptions [8]
StablehloGatherOptions [8] [8] [8] 8 [8] 1
StablehloIotaOptions 8
StablehloPadOptions [8] [8] [8]
StablehloReduceOptions [8] 4
StablehloReduceWindowOptions [8] [8] [8] [8] [8] 4
StablehloRngBitGeneratorOptions 1
StablehloScatterOptions 1 [8] [8] [8] 8 1 4
StablehloSliceOptions [8] [8] [8]
StablehloSortOptions 8 1 4
StablehloTransposeOptions [8]
StablehloWhileOptions 4 4
StridedSliceOptions 4 4 4 4 4 1
SubOptions 1 1
TransposeConvOptions 1 4 4 1 1
UnidirectionalSequenceLSTMOptions 1 4 4 1 1 1
UniqueOptions 1
UnpackOptions 4 4
VarHandleOptions str str
WhileOptions 4 4
"""

UNIONS: dict[str, dict[int, str]] = {
    union: {number: name for name, number in vars(getattr(schema, union)).items() if isinstance(number, int) and number}
    for union in ("BuiltinOptions", "BuiltinOptions2", "QuantizationDetails", "SparseIndexVector")
}
"""Tables of each union, by value of its type field; 0 is none."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table.

    Attributes:
        number: index in the virtual table.
        width: bytes in the table itself: the scalar, or 4 for an offset.
        element_width: bytes of an element of the vector that the field points at (4 for a vector of offsets, 1 for a
            string), 0 without a vector.
        target: the table or union that the field, or each element of its vector, points at; None for numbers and
            strings.
        is_scalar, is_string, is_union: the kind of the field.
    """

    number: int
    width: int
    element_width: int = 0
    target: str | None = None
    is_scalar: bool = False
    is_string: bool = False
    is_union: bool = False


def _field(number: int, kind: str) -> Field:
    if kind.isdigit():
        return Field(number, int(kind), is_scalar=True)
    if kind == "str":
        return Field(number, 4, element_width=1, is_string=True)
    if kind.startswith("?"):
        return Field(number, 4, target=kind[1:], is_union=True)
    inner = kind.strip("[]")
    if inner.isdigit():
        return Field(number, 4, element_width=int(inner))
    return Field(number, 4, element_width=4 if kind != inner else 0, target=inner)


def _fields(line: str) -> tuple[str, tuple[Field, ...]]:
    name, *kinds = line.split()
    return name, tuple(_field(number, kind) for number, kind in enumerate(kinds) if kind != "-")


_TABLES: dict[str, tuple[Field, ...]] = dict(map(_fields, _TEXT.strip().splitlines()))


def fields(table: str) -> tuple[Field, ...]:
    """Return the fields of a table without deprecated ones, in the order of their numbers."""
    return _TABLES.get(table, ())
