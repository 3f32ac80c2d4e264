"""List the sparse forms that LiteRT takes in its default (XNNPACK) and built-in interpreter and in CompiledModel.

The operators that read a weight behind a DENSIFY are measured: see :mod:`tflite_sparse.targets.acceptance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tflite_sparse.codecs import csr, sparsity_parameters
from tflite_sparse.codecs.csr import Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.search import Cost
from tflite_sparse.flatbuffer.graph import Graph, Use, dtype_of, shape_of, type_name
from tflite_sparse.flatbuffer.types import Operator, Tensor
from tflite_sparse.rewrites import densify, factored_conv, fully_connected_as_conv, native_fully_connected
from tflite_sparse.rewrites.split_axis import ONE_BYTE_INDEX_REACH
from tflite_sparse.targets import acceptance
from tflite_sparse.targets.form import Answer, Form, SparseForm

_INT8 = np.dtype(np.int8)
_SPARSE_TYPES: frozenset[np.dtype] = frozenset(map(np.dtype, (np.int8, np.float16, np.float32)))
"""Types that DENSIFY rebuilds."""

_NO_DATA = frozenset({"GATHER", "EMBEDDING_LOOKUP", "DEQUANTIZE"})
"""Operators whose other inputs, if any, are indices."""


def answer(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
    """Return the sparse forms that LiteRT takes of the constant ``tensor_index``, read by ``uses``."""
    tensor = graph.tensor(tensor_index)
    if graph.yields(tensor_index):
        return Answer((), "the graph yields it as an output, which would then be the packed values")
    refusal = _refusal_of_constant(tensor)
    if refusal is not None:
        return Answer((), refusal)
    refusal = next(filter(None, (_refusal_of_use(graph, tensor, use) for use in uses)), None)
    names = {graph.operator_name(use.operator) for use in uses}
    forms: list[Form] = []
    if refusal is None:
        forms.append(densified(graph, tensor_index, uses))
    elif names == {"FULLY_CONNECTED"} and dtype_of(tensor) == _INT8 and all(use.position == 1 for use in uses):
        rewrite_refusal = _refusal_of_rewrite(graph, uses)
        if rewrite_refusal is None:
            forms += _through_conv(graph, tensor_index, uses)
        else:
            refusal = f"{refusal}; {rewrite_refusal}"
    if names == {"CONV_2D"} and forms and _may_be_factored(graph, tensor, uses):
        forms.append(_factored(graph, tensor_index, uses))
    return Answer(tuple(forms), refusal if not forms else None)


def _refusal_of_constant(tensor: Tensor) -> str | None:
    if dtype_of(tensor) not in _SPARSE_TYPES:
        return f"{type_name(tensor)} constants are left dense"
    quantization = tensor.quantization
    if quantization is not None and quantization.zeroPoint is not None and np.any(np.asarray(quantization.zeroPoint)):
        return "its zero point is not 0, and the runtime fills what is left out with 0"
    return None


def _refusal_of_use(graph: Graph, tensor: Tensor, use: Use) -> str | None:
    name = graph.operator_name(use.operator)
    form = acceptance.BEHIND_DENSIFY
    if name == "DEQUANTIZE" and dtype_of(tensor) == np.float16 and _feeds_a_float32_bias(graph, use.operator):
        form = acceptance.FLOAT32_BIAS
    return acceptance.refusal(name, use.position, type_name(tensor), _type_of_data(graph, use), form)


def _type_of_data(graph: Graph, use: Use) -> str | None:
    """Return the type of the operator's data: of the first other input that is not a constant."""
    if graph.operator_name(use.operator) in _NO_DATA:
        return None
    others = (int(i) for position, i in enumerate(use.operator.inputs) if position != use.position)
    return next((type_name(graph.tensor(i)) for i in others if i >= 0 and not graph.is_constant(i)), None)


def _feeds_a_float32_bias(graph: Graph, dequantize: Operator) -> bool:
    """Return whether a reader of this DEQUANTIZE has a constant float32 bias, which converters do not write."""
    readers = graph.uses().get(int(dequantize.outputs[0]), ())
    others = (int(i) for use in readers for position, i in enumerate(use.operator.inputs) if position != use.position)
    return any(i >= 0 and graph.is_constant(i) and dtype_of(graph.tensor(i)) == np.float32 for i in others)


def _refusal_of_rewrite(graph: Graph, uses: Sequence[Use]) -> str | None:
    found = (fully_connected_as_conv.refusal(graph, use.operator) for use in uses)
    return next((f"FULLY_CONNECTED cannot become CONV_2D: {why}" for why in found if why is not None), None)


def _may_be_factored(graph: Graph, tensor: Tensor, uses: Sequence[Use]) -> bool:
    # If a one-byte index reaches one of them, a traversal order without an edit is as good.
    outputs, channels = shape_of(tensor)[0], shape_of(tensor)[3]
    wide = min(outputs, channels) > ONE_BYTE_INDEX_REACH
    return wide and all(factored_conv.refusal(graph, use.operator) is None for use in uses)


def densified(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Form:
    """Return the plain form: a DENSIFY in front of the constant's readers."""
    tensor = graph.tensor(tensor_index)

    def apply(encoded: Encoded) -> None:
        densify.apply(graph, tensor_index, encoded, uses)

    return SparseForm(
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
        yield SparseForm(
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
    return SparseForm(
        "CONV_2D in channel groups",
        factored_conv.stored_shape(shape_of(tensor)),
        lambda layout: overhead + densify.overhead_bytes(tensor, layout),
        apply,
    )


def answer_with_native(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
    """Return the forms of :func:`answer`, and those in which FULLY_CONNECTED reads the weight sparse.

    These save memory and time, but use LiteRT's built-in kernel: where XNNPACK runs the dense operator, outputs may
    differ by one unit.
    """
    found = answer(graph, tensor_index, uses)
    tensor = graph.tensor(tensor_index)
    if _refusal_of_constant(tensor) or graph.yields(tensor_index):
        return found
    if any(graph.operator_name(use.operator) != "FULLY_CONNECTED" or use.position != 1 for use in uses):
        return found
    if any(native_fully_connected.refusal(graph, use.operator) for use in uses):
        return found
    layout = native_fully_connected.layout(shape_of(tensor), np.dtype(dtype_of(tensor)))
    return Answer((*found.forms, native(graph, tensor_index, uses, layout, exact=False)))


def native(graph: Graph, tensor_index: int, uses: Sequence[Use], layout: Layout, *, exact: bool) -> Form:
    """Return the form in which FULLY_CONNECTED reads the weight sparse, without a DENSIFY.

    Its kernel must support ``layout``. The form is ``exact`` if the source file has it already; the dense kernels round
    differently.
    """

    def apply(encoded: Encoded) -> None:
        native_fully_connected.apply(graph, tensor_index, encoded, [use.operator for use in uses])

    return SparseForm(
        "read sparse by FULLY_CONNECTED",
        layout.shape,
        sparsity_parameters.overhead_bytes,
        apply,
        lambda values: Cost(layout, csr.encode(values, layout).nbytes),
        exact,
    )
