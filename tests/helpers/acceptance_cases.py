"""Define one-operator models whose acceptance is measured, each dense, and with its weight sparse behind a DENSIFY."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from helpers import tiny_models
from tflite_sparse.codecs import csr, search
from tflite_sparse.codecs.csr import CompressedLevel, Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, drop_unread_buffers, dtype_of, graphs, shape_of, text
from tflite_sparse.rewrites import densify, native_fully_connected

Encode = Callable[[np.ndarray], Encoded]
Calls = tuple[tuple[np.ndarray, ...], ...]


@dataclass(frozen=True)
class Case:
    """A model and the weight in it that becomes sparse.

    Attributes:
        operator: the reader of the weight, by its name in the schema.
        position: index of the operator's input that holds the weight.
        weight: dtype of the weight.
        data: dtype of the operator's data; None if they are indices, or there are none.
        variant: what distinguishes the case. Text before a colon is a form with an answer of its own in the table;
            without one, the weight is behind a DENSIFY.
        make: builds the dense model.
        tensor: name of the weight.
        encode: encodes the weight.
        native: whether the operator reads the sparse weight itself, without a DENSIFY.
        batches: batch sizes of the calls; None: that of the model, three times.
    """

    operator: str
    position: int
    weight: str
    data: str | None
    variant: str
    make: Callable[[], Any]
    tensor: str = "weight"
    encode: Encode = lambda values: csr.encode(values, _cheapest(values))
    native: bool = False
    batches: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        data = "" if self.data is None else f", {self.data} data"
        return f"{self.operator} input {self.position}, {self.weight} weight{data}: {self.variant}"

    def dense(self) -> bytes:
        """The dense file."""
        return tiny_models.to_bytes(self.make())

    def sparse(self) -> bytes:
        """The file with the weight sparse."""
        model = serde.parse(self.dense())
        graph, index = next(_named(model, self.tensor))
        uses = graph.uses()[index]
        names = {(graph.operator_name(use.operator), use.position) for use in uses}
        if names != {(self.operator, self.position)} or str(dtype_of(graph.tensor(index))) != self.weight:
            raise ValueError(f"{self.name}: the model has {names} with another weight")
        encoded = self.encode(graph.constant(index))
        if self.native:
            native_fully_connected.apply(graph, index, encoded, [use.operator for use in uses])
        else:
            densify.apply(graph, index, encoded, uses)
        drop_unread_buffers(model)
        return bytes(serde.serialize(model))

    def calls(self) -> Calls:
        """Return the inputs of each call."""
        model = self.make()
        if self.batches is None:
            values = tiny_models.samples(model, 3 * _batch(model))
            parts = np.split(values, 3)
        else:
            values = tiny_models.samples(model, sum(self.batches))
            parts = np.split(values, np.cumsum(self.batches)[:-1])
        if len(model.subgraphs[0].inputs) == 2:  # the condition of an IF
            return tuple((part, np.array([number % 2 == 0])) for number, part in enumerate(parts))
        return tuple((part,) for part in parts)

    def calls_as_filed(self) -> Calls:
        """Return the calls whose inputs have the shapes in the file: CompiledModel does not resize."""
        calls = self.calls()
        return calls if self.batches is None else calls[:1]

    def outputs(self) -> tuple[tuple[tuple[int, ...], str], ...]:
        """Return shape and dtype of each output in the file."""
        graph = self.make().subgraphs[0]
        tensors = [graph.tensors[int(index)] for index in graph.outputs]
        return tuple((shape_of(tensor), str(dtype_of(tensor))) for tensor in tensors)


def _cheapest(values: np.ndarray) -> Layout:
    cost = search.cheapest(values)
    assert cost is not None
    return cost.layout


def _named(model: Any, name: str) -> Iterator[tuple[Graph, int]]:
    for graph in graphs(model):
        for index, tensor in enumerate(graph.subgraph.tensors):
            if text(tensor.name) == name:
                yield graph, index


def _batch(model: Any) -> int:
    graph = model.subgraphs[0]
    return int(graph.tensors[int(graph.inputs[0])].shape[0])


def _blocks(axes: tuple[int, ...], sizes: tuple[int, ...], rank: int) -> Encode:
    """Return an encoder of rows of compressed blocks, in the tensor's own order."""
    compressed = tuple(level == rank - 1 for level in range(rank + len(axes)))
    order = tuple(range(rank + len(axes)))
    return lambda values: csr.encode(values, Layout(values.shape, order, compressed, axes, sizes))


def _indices(segments: type[np.integer[Any]], indices: type[np.integer[Any]]) -> Encode:
    """Return an encoder that compresses the last axis, with vectors of these types."""

    def encode(values: np.ndarray) -> Encoded:
        rank = values.ndim
        encoded = csr.encode(values, Layout(values.shape, tuple(range(rank)), (False,) * (rank - 1) + (True,)))
        *above, last = encoded.levels
        assert last is not None
        assert last.segments[-1] <= np.iinfo(segments).max
        return replace(
            encoded,
            levels=(*above, CompressedLevel(last.segments.astype(segments), last.indices.astype(indices))),
        )

    return encode


def _in_blocks(shape: tuple[int, int], dtype: str, block: int) -> np.ndarray:
    """Return weights with a quarter of the blocks of ``block`` inputs kept, some of them not full."""
    values = tiny_models.sparse_weights(shape, dtype, 0.9)
    kept = np.random.default_rng(2).random((shape[0], shape[1] // block)) < 0.25
    return values * np.repeat(kept, block, axis=1).astype(values.dtype)


def _all() -> Iterator[Case]:
    yield from _convolutions()
    yield from _fully_connected()
    yield from _tables_and_products()
    yield from _chains()
    yield from _recurrent()
    yield from _elementwise()
    yield from _layouts()
    yield from _graphs()


_FORMS = (("float32", "float32"), ("int8", "int8"), ("int8", "int16"), ("int8", "float32"))
"""(weight, data): float, int8, int8 with int16 activations, and dynamic range ("hybrid")."""


def _convolutions() -> Iterator[Case]:
    tiny = tiny_models
    small = (16, 3, 3, 24)
    for weight, data in _FORMS:
        kinds: dict[str, Any] = {"dtype": weight, "data_dtype": data}
        yield Case("CONV_2D", 1, weight, data, "plain", partial(tiny.conv2d, small, **kinds))
        yield Case("CONV_2D", 1, weight, data, "1x1", partial(tiny.conv2d, (32, 1, 1, 48), **kinds))
        if (weight, data) != ("int8", "float32"):
            grouped = partial(tiny.conv2d, (16, 3, 3, 8), groups=2, **kinds)
            yield Case("CONV_2D", 1, weight, data, "grouped", grouped)
        if weight == "int8":
            yield Case("CONV_2D", 1, weight, data, "one scale", partial(tiny.conv2d, small, per_channel=False, **kinds))
        yield Case("DEPTHWISE_CONV_2D", 1, weight, data, "plain", partial(tiny.depthwise_conv2d, 64, **kinds))
        yield Case("TRANSPOSE_CONV", 1, weight, data, "with bias", partial(tiny.transpose_conv, small, **kinds))
        without = partial(tiny.transpose_conv, small, bias=False, **kinds)
        yield Case("TRANSPOSE_CONV", 1, weight, data, "without bias", without)
    for dtype in ("float32", "int8"):
        yield Case("CONV_3D", 1, dtype, dtype, "plain", partial(tiny.conv3d, dtype=dtype))
        transposed = partial(tiny.conv3d, dtype=dtype, transposed=True)
        yield Case("CONV_3D_TRANSPOSE", 1, dtype, dtype, "plain", transposed)


def _fully_connected() -> Iterator[Case]:
    make = partial(tiny_models.fully_connected, (32, 160))
    for weight, data in _FORMS:
        kinds: dict[str, Any] = {"dtype": weight, "data_dtype": data}
        variants = {
            "one row": partial(make, (1,), **kinds),
            "several rows": partial(make, (5,), **kinds),
            "N-D input": partial(make, (2, 3), keep_num_dims=True, **kinds),
            "without bias": partial(make, (1,), bias=False, **kinds),
        }
        if weight == "int8":
            variants["one scale"] = partial(make, (1,), per_channel=False, **kinds)
        for variant, build in variants.items():
            yield Case("FULLY_CONNECTED", 1, weight, data, variant, build)
    for dtype, block in (("int8", 16), ("float32", 4)):
        options: dict[str, dict[str, Any]] = {"": {}, ", without bias": {"bias": False}, ", RELU": {"relu": True}}
        if dtype == "int8":
            options[", one scale"] = {"per_channel": False}
        for words, option in options.items():
            weights = _in_blocks((32, 160), dtype, block)
            build = partial(make, (1,), dtype=dtype, weights=weights, **option)
            variant = f"native: 1x{block} blocks{words}"
            encode = _blocks((1,), (block,), 2)
            yield Case("FULLY_CONNECTED", 1, dtype, dtype, variant, build, encode=encode, native=True)


def _tables_and_products() -> Iterator[Case]:
    tiny = tiny_models
    for dtype in ("float32", "float16", "int8"):
        yield Case("GATHER", 0, dtype, None, "plain", partial(tiny.gather, dtype=dtype))
        if dtype != "float16":
            yield Case("EMBEDDING_LOOKUP", 1, dtype, None, "plain", partial(tiny.embedding_lookup, dtype=dtype))
    yield Case(
        "EMBEDDING_LOOKUP", 1, "int8", None, "float32 output", partial(tiny.embedding_lookup, data_dtype="float32")
    )
    for weight, data in (("float32", "float32"), ("int8", "int8"), ("int8", "float32")):
        kinds: dict[str, Any] = {"dtype": weight, "data_dtype": data}
        for rows in (1, 3):
            right = partial(tiny.batch_matmul, rows=rows, **kinds)
            yield Case("BATCH_MATMUL", 1, weight, data, f"{rows} rows", right)
        if weight == data:
            left = partial(tiny.batch_matmul, (64, 200), weight_first=True, **kinds)
            yield Case("BATCH_MATMUL", 0, weight, data, "3 columns", left)


def _chains() -> Iterator[Case]:
    tiny = tiny_models
    readers: dict[str, Callable[[], Any]] = {
        "CONV_2D": partial(tiny.conv2d, (16, 3, 3, 24), dtype="float32"),
        "DEPTHWISE_CONV_2D": partial(tiny.depthwise_conv2d, 64, dtype="float32"),
        "TRANSPOSE_CONV": partial(tiny.transpose_conv, (16, 3, 3, 24), dtype="float32"),
        "FULLY_CONNECTED": partial(tiny.fully_connected, (32, 160), dtype="float32"),
        "BATCH_MATMUL": partial(tiny.batch_matmul, dtype="float32"),
        "ADD": partial(tiny.elementwise, "ADD", dtype="float32"),
    }
    for reader, make in readers.items():
        half = partial(_dequantized, make, "float16")
        if reader in ("BATCH_MATMUL", "ADD"):
            yield Case("DEQUANTIZE", 0, "float16", None, f"for {reader}", half)
        else:
            # Converters make all constants of an operator float16, or none.
            yield Case("DEQUANTIZE", 0, "float16", None, f"for {reader}", partial(half, names=("weight", "bias")))
            yield Case("DEQUANTIZE", 0, "float16", None, f"float32 bias: for {reader}", half)
        for words, per_channel in (("scale per channel", True), ("one scale", False)):
            axis = 3 if reader == "DEPTHWISE_CONV_2D" else 0
            build = partial(_dequantized, make, "int8", per_channel=per_channel, axis=axis)
            yield Case("DEQUANTIZE", 0, "int8", None, f"for {reader}, {words}", build)
    make = partial(_dequantized, partial(tiny.fully_connected, (32, 160), dtype="float32", bias=False))
    for dtype in ("float16", "int8"):
        yield Case("DEQUANTIZE", 0, dtype, None, "for FULLY_CONNECTED without bias", partial(make, dtype))


def _dequantized(make: Callable[[], Any], dtype: str, **options: Any) -> Any:
    return tiny_models.through_dequantize(make(), dtype, **options)


def _recurrent() -> Iterator[Case]:
    for weight, data in (("float32", "float32"), ("int8", "float32"), ("int8", "int8")):
        lstm = partial(tiny_models.lstm, dtype=weight, data_dtype=data)
        for position in range(1, 9):
            name, tensor = "UNIDIRECTIONAL_SEQUENCE_LSTM", f"weight{position}"
            yield Case(name, position, weight, data, "plain", lstm, tensor)
        svdf = partial(tiny_models.svdf, dtype=weight, data_dtype=data)
        yield Case("SVDF", 1, weight, data, "plain", svdf, "weight1")
        yield Case("SVDF", 2, "int16" if data == "int8" else weight, data, "plain", svdf, "weight2")


def _elementwise() -> Iterator[Case]:
    for name in ("ADD", "MUL", "CONCATENATION"):
        for dtype in ("float32", "int8"):
            for position in (0, 1):
                make = partial(tiny_models.elementwise, name, dtype=dtype, weight_first=position == 0)
                yield Case(name, position, dtype, dtype, "constant of rank 2", make)


def _layouts() -> Iterator[Case]:
    make = partial(tiny_models.conv2d, (16, 3, 3, 24))
    few = partial(tiny_models.conv2d, (16, 3, 3, 24), density=0.06)  # so few that uint8 counts them
    for words, encode in (
        ("1x1x1x4 blocks", _blocks((3,), (4,), 4)),
        ("4x1x1x1 blocks", _blocks((0,), (4,), 4)),
        ("4x1x1x4 blocks", _blocks((0, 3), (4, 4), 4)),
        ("uint16 segments and indices", _indices(np.uint16, np.uint16)),
        ("int32 segments and indices", _indices(np.int32, np.int32)),
        ("int32 segments, uint8 indices", _indices(np.int32, np.uint8)),
    ):
        yield Case("CONV_2D", 1, "int8", "int8", words, make, encode=encode)
    words = "uint8 segments and indices"
    yield Case("CONV_2D", 1, "int8", "int8", words, few, encode=_indices(np.uint8, np.uint8))


def _graphs() -> Iterator[Case]:
    for dtype in ("float32", "int8"):
        conv = partial(tiny_models.conv2d, (16, 3, 3, 24), dtype=dtype)
        yield Case("CONV_2D", 1, dtype, dtype, "two readers", partial(conv, readers=2))
        yield Case("CONV_2D", 1, dtype, dtype, "batch resized", partial(conv, dynamic=True), batches=(1, 3, 2))
        for control, place in (("WHILE", "body of a WHILE"), ("IF", "branch of an IF")):
            make = partial(tiny_models.conv2d_in_subgraph, control, dtype=dtype)
            yield Case("CONV_2D", 1, dtype, dtype, f"in the {place}", make)
    full = partial(tiny_models.fully_connected, (32, 160), dtype="float32", dynamic=True)
    yield Case("FULLY_CONNECTED", 1, "float32", "float32", "batch resized", full, batches=(1, 3, 2))


CASES = tuple(_all())
