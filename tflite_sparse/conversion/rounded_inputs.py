"""Find int8 inputs that lose information: token numbers, mask values, values outside of the calibrated range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tflite_sparse.flatbuffer import signature
from tflite_sparse.flatbuffer.graph import Graph, Use, dtype_of, graphs, indices, quantisation_of, text
from tflite_sparse.flatbuffer.types import Model, Operator
from tflite_sparse.sources.arrays import Arrays

_COMPARISONS = ("EQUAL", "NOT_EQUAL")
_FAR = 0.05  # distance from the range, as a share of it; clipping smaller outliers changes little
_NOTABLE_SHARE = 0.01  # of the samples


def rounded(model: Model) -> dict[str, str]:
    """Return the quantised inputs of a file whose exact values matter, each with the reason in words.

    Keras's Embedding casts a float input to integers, and Masking compares it with a value. Quantisation can change a
    token number, and padding no longer equals the mask value unless that is 0, which every scale holds exactly.
    """
    graph = next(graphs(model))
    uses = graph.uses()
    found = {}
    for name, index in zip(signature.names_in(model).inputs, indices(graph.subgraph.inputs), strict=True):
        if quantisation_of(graph.tensor(index))[0] == 0:
            continue
        for reader in _readers(graph, uses, index):
            kind = graph.operator_name(reader)
            if kind == "CAST":
                found[name] = "is cast to integers, as an Embedding does"
            elif kind in _COMPARISONS and _compares_with_other_than_zero(graph, reader):
                found[name] = "is compared with a value that masks steps"
    return found


def rounded_comparisons(model: Model) -> list[str]:
    """Return the outputs of operators that compare quantised values with a constant other than 0 for equality."""
    return [
        text(graph.tensor(int(operator.outputs[0])).name)
        for graph in graphs(model)
        for operator in graph.operators
        if graph.operator_name(operator) in _COMPARISONS and _compares_with_other_than_zero(graph, operator)
    ]


def compares(model: Model) -> bool:
    """Return whether an operator compares values for equality, as masks of steps do."""
    found = graphs(model)
    return any(graph.operator_name(operator) in _COMPARISONS for graph in found for operator in graph.operators)


def outside(model: Model, x: Arrays) -> list[str]:
    """Return a sentence for each quantised input for which many of the samples ``x`` are far outside of its range.

    A single array is the first input.
    """
    graph = next(graphs(model))
    names = signature.names_in(model).inputs
    sentences = []
    given = x if isinstance(x, Mapping) else {names[0]: x}
    for name, index in zip(names, indices(graph.subgraph.inputs), strict=True):
        if name not in given:  # a state; it starts as zeros
            continue
        samples = given[name]
        tensor = graph.tensor(index)
        (scale, zero_point), dtype = quantisation_of(tensor), dtype_of(tensor)
        if scale == 0 or dtype is None or samples.dtype == dtype or samples.dtype.kind not in "fiu":
            continue
        limits = np.iinfo(dtype)
        low, high = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
        allowance = _FAR * (high - low)
        flat = samples.reshape(len(samples), -1)
        far = (flat < low - allowance) | (flat > high + allowance)
        share = float(far.any(axis=1).mean())
        if share >= _NOTABLE_SHARE:
            sentences.append(
                f"input {name!r}: {share:.0%} of the samples hold values far outside the range {low:.4g} to {high:.4g} "
                f"that the int8 file has from calibration ({flat.min():.4g} to {flat.max():.4g}); they are clipped. "
                "Calibrate with such samples, or leave such values out."
            )
    return sentences


def _readers(graph: Graph, uses: dict[int, list[Use]], index: int) -> Iterator[Operator]:
    """Yield the operators that read an input, directly or through a DEQUANTIZE."""
    for use in uses.get(index, []):
        yield use.operator
        if graph.operator_name(use.operator) == "DEQUANTIZE":
            yield from (inner.operator for inner in uses.get(int(use.operator.outputs[0]), []))


def _compares_with_other_than_zero(graph: Graph, operator: Operator) -> bool:
    """Return whether one operand is quantised, maybe through a DEQUANTIZE, and another a constant that is not all 0."""
    is_quantised = False
    differs = False
    producers = graph.producers()
    for index in indices(operator.inputs):
        values = graph.constant(index)
        scale, zero_point = quantisation_of(graph.tensor(index))
        if values is not None:
            differs |= bool(np.any(values != zero_point))
            continue
        producer = producers.get(index)
        if producer is not None and graph.operator_name(producer) == "DEQUANTIZE":
            scale, _ = quantisation_of(graph.tensor(int(producer.inputs[0])))
        is_quantised |= scale != 0
    return is_quantised and differs
