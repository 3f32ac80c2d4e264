"""What LiteRT takes sparse, in its default (XNNPACK) and its built-in-kernels interpreter and in CompiledModel.

The table was measured on ai-edge-litert 2.3.0 by running one-operator models; ``tests/targets`` runs them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_sparse.encoding import csr, sparsity_parameters
from tflite_sparse.encoding.csr import Encoded
from tflite_sparse.encoding.layout import Layout
from tflite_sparse.encoding.search import Cost
from tflite_sparse.flatbuffer.graph import Graph, Use, dtype_of, shape_of, type_name
from tflite_sparse.rewrites import densify, factored_conv, fully_connected_as_conv, native_fully_connected
from tflite_sparse.rewrites.split_axis import ONE_BYTE_INDEX_REACH
from tflite_sparse.targets.form import Answer, Form

NAME = "litert"

_INT8, _FLOAT32 = np.dtype(np.int8), np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class Reader:
    """An operator input that may read the output of DENSIFY.

    Attributes:
        position: the input that holds the weight.
        dtypes: types of the weight that are taken.
        data_input: the input whose type must be the weight's; None where any goes.
    """

    position: int
    dtypes: frozenset[np.dtype[Any]]
    data_input: int | None


_BOTH: frozenset[np.dtype[Any]] = frozenset({_INT8, _FLOAT32})

READERS = {
    "CONV_2D": Reader(1, _BOTH, 0),
    "DEPTHWISE_CONV_2D": Reader(1, _BOTH, 0),
    "TRANSPOSE_CONV": Reader(1, _BOTH, 2),
    "GATHER": Reader(0, _BOTH, None),
    # An int8 weight is refused by the default interpreter and goes through CONV_2D instead.
    "FULLY_CONNECTED": Reader(1, frozenset({_FLOAT32}), 0),
}


def answer(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
    """How LiteRT takes the constant ``tensor_index``, read by ``uses``, sparse."""
    tensor = graph.tensor(tensor_index)
    if graph.subgraph.outputs is not None and tensor_index in graph.subgraph.outputs:
        return Answer((), "the graph yields it as an output, which would then be the packed values")
    refusal = _refusal_of_constant(tensor) or next(
        filter(None, (_refusal_of_use(graph, tensor, use) for use in uses)), None
    )
    if refusal is not None:
        return Answer((), refusal)
    names = {graph.operator_name(use.operator) for use in uses}
    forms = []
    if all(dtype_of(tensor) in READERS[name].dtypes for name in names):
        forms.append(densified(graph, tensor_index, uses))
    if names == {"FULLY_CONNECTED"} and dtype_of(tensor) == _INT8:
        refusal = _refusal_of_rewrite(graph, uses)
        if refusal is None:
            forms += _through_conv(graph, tensor_index, uses)
    if names == {"CONV_2D"} and _may_be_factored(graph, tensor, uses):
        forms.append(_factored(graph, tensor_index, uses))
    return Answer(tuple(forms), refusal if not forms else None)


def _refusal_of_constant(tensor: Any) -> str | None:
    if dtype_of(tensor) not in _BOTH:
        return f"{type_name(tensor)} constants are left dense"
    quantization = tensor.quantization
    if quantization is not None and quantization.zeroPoint is not None and np.any(np.asarray(quantization.zeroPoint)):
        return "its zero point is not 0, and the runtime fills what is left out with 0"
    return None


def _refusal_of_use(graph: Graph, tensor: Any, use: Use) -> str | None:
    name = graph.operator_name(use.operator)
    reader = READERS.get(name)
    if reader is None or reader.position != use.position:
        return f"{name} does not take a sparse constant as input {use.position}"
    if reader.data_input is not None:
        data = graph.tensor(int(use.operator.inputs[reader.data_input]))
        if dtype_of(data) != dtype_of(tensor):
            return f"{name} with {type_name(data)} input does not take sparse {type_name(tensor)} weights"
    return None


def _refusal_of_rewrite(graph: Graph, uses: Sequence[Use]) -> str | None:
    found = (fully_connected_as_conv.refusal(graph, use.operator) for use in uses)
    return next((f"FULLY_CONNECTED cannot become CONV_2D: {why}" for why in found if why is not None), None)


def _may_be_factored(graph: Graph, tensor: Any, uses: Sequence[Use]) -> bool:
    # Where either side is within a byte's reach, a traversal order without any edit does as well.
    outputs, channels = shape_of(tensor)[0], shape_of(tensor)[3]
    wide = min(outputs, channels) > ONE_BYTE_INDEX_REACH
    return wide and all(factored_conv.refusal(graph, use.operator) is None for use in uses)


def densified(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Form:
    """The plain form: a DENSIFY in front of whatever reads the constant."""
    tensor = graph.tensor(tensor_index)

    def apply(encoded: Encoded) -> None:
        densify.apply(graph, tensor_index, encoded, uses)

    return Form(
        "",
        shape_of(tensor),
        lambda layout: densify.overhead_bytes(tensor, layout),
        apply,
    )


def _through_conv(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Iterator[Form]:
    tensor = graph.tensor(tensor_index)
    operators = [use.operator for use in uses]
    overhead = sum(fully_connected_as_conv.overhead_bytes(graph, operator) for operator in operators)

    def apply(encoded: Encoded) -> None:
        for operator in operators:
            fully_connected_as_conv.apply(graph, operator, encoded.layout.shape)
        dense = densify.apply(graph, tensor_index, encoded, uses)
        fully_connected_as_conv.set_filter_scale(graph.tensor(dense))

    for shape in fully_connected_as_conv.stored_shapes(shape_of(tensor)):
        yield Form(
            "FULLY_CONNECTED as CONV_2D",
            shape,
            lambda layout: overhead + densify.overhead_bytes(tensor, layout),
            apply,
        )


def _factored(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Form:
    tensor = graph.tensor(tensor_index)
    operators = [use.operator for use in uses]

    def apply(encoded: Encoded) -> None:
        for operator in operators:
            factored_conv.apply(graph, operator)
        densify.apply(graph, tensor_index, encoded, uses)

    overhead = sum(factored_conv.overhead_bytes(graph, operator) for operator in operators)
    return Form(
        "CONV_2D in channel groups",
        factored_conv.stored_shape(shape_of(tensor)),
        lambda layout: overhead + densify.overhead_bytes(tensor, layout),
        apply,
    )


def native(graph: Graph, tensor_index: int, uses: Sequence[Use], layout: Layout) -> Form:
    """FULLY_CONNECTED reads the weight sparse in ``layout``, which its kernel must know, without a DENSIFY."""

    def apply(encoded: Encoded) -> None:
        native_fully_connected.apply(graph, tensor_index, encoded, [use.operator for use in uses])

    return Form(
        "read sparse by FULLY_CONNECTED",
        layout.shape,
        sparsity_parameters.overhead_bytes,
        apply,
        lambda values: Cost(layout, csr.encode(values, layout).nbytes),
    )
