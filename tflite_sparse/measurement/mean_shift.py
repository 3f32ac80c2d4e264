"""Measure how changed weights shift the mean output of each layer.

Nagel and others, "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2: if the
weights of a layer ``y = W x + b`` become ``W + e``, the mean output moves by ``e E[x]``. Pruning moves it in the same
way. ``E[x]`` is measured here on samples, for each channel *and position* of the input. The mean over all positions of
a convolution's output follows from it exactly, including padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, indices, scales_of, zero_points_of
from tflite_sparse.flatbuffer.types import ConvolutionOptions, Operator
from tflite_sparse.verification.observation import Observer, Origins, counterparts, graph_of, in_child, write_yielding

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True, slots=True)
class _Layer:
    """An operator of the quantised graph, its counterpart in the float32 one, and the weights of both."""

    operator: Operator
    original: Operator
    weights: np.ndarray
    original_weights: np.ndarray


def measure(
    reference: Path, quantised: Path, samples: Sequence[np.ndarray], *, on_step: Step = ignore_steps
) -> dict[int, np.ndarray]:
    """Return the shift of the mean output of each layer of a quantised file, before its activation function.

    Layers are CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED whose counterpart is found in the float32 file and whose
    weights no other operator reads. Recurrent layers read theirs at every time step, each with another mean.

    Args:
        reference: the float32 file with the original weights.
        quantised: the dense file whose weights were made from them.
        samples: one array for each input, in the order of the files, ``(n, ...)``: real values.
        on_step: receives (samples done, all samples).

    Returns:
        By the index of the layer's output tensor in the first graph of ``quantised``, the shift of each output channel,
        ``(channels,)`` float64, in real units.

    Raises:
        ExecutionError: LiteRT refuses a copy of ``reference`` that yields its intermediate tensors.
        FlatbufferError: a file cannot be read.
    """
    graph, other = graph_of(serde.read(reference)), graph_of(serde.read(quantised))
    layers = list(_layers(graph, other))
    read = list(dict.fromkeys(int(layer.original.inputs[0]) for layer in layers))
    with scratch.folder() as folder:
        copy = folder / "reference.tflite"
        given = set(indices(graph.subgraph.inputs))
        write_yielding(graph.model, graph, [index for index in read if index not in given], copy)
        means: dict[int, np.ndarray] = in_child(
            f"{__name__}:means_here", path=str(copy), read=read, samples=samples, on_step=on_step
        )
    return {
        int(layer.operator.outputs[0]): _shift(graph, layer, means[int(layer.original.inputs[0])]) for layer in layers
    }


def means_here(
    path: str, read: Sequence[int], samples: Sequence[np.ndarray], on_step: Step = ignore_steps
) -> dict[int, np.ndarray]:
    """Return the mean of tensors of a file over all samples, each in its shape, float64; runs in this process."""
    file = Observer(path)
    count = len(samples[0])
    sums: dict[int, np.ndarray] = {}
    for row in range(count):
        values = file.values([array[row : row + 1] for array in samples])
        for index in read:
            sums[index] = sums.get(index, np.float64(0)) + values[index]
        on_step(row + 1, count)
    return {index: total / count for index, total in sums.items()}


def _layers(graph: Graph, other: Graph) -> Iterator[_Layer]:
    producers, other_producers, origins = graph.producers(), other.producers(), Origins(other)
    uses, other_uses = graph.uses(), other.uses()
    seen = set()
    for index, partner in counterparts(graph, other).items():
        original, operator = producers.get(index), other_producers.get(origins.of(partner))
        if original is None or operator is None or id(operator) in seen:
            continue
        seen.add(id(operator))
        names = graph.operator_name(original), other.operator_name(operator)
        if names[0] != names[1] or names[0] not in KINDS:
            continue
        weight, other_weight = int(original.inputs[1]), int(operator.inputs[1])
        if len(uses[weight]) > 1 or len(other_uses[other_weight]) > 1:
            continue
        values, original_values = _real_constant(other, other_weight), _real_constant(graph, weight)
        if values is not None and original_values is not None and values.shape == original_values.shape:
            yield _Layer(operator, original, values, original_values)


def _real_constant(graph: Graph, index: int) -> np.ndarray | None:
    """Return the real values of a dense constant, float64: ``scale * (q - zero point)`` if it is quantised.

    It may have a scale for each entry of one axis.
    """
    values, tensor = graph.constant(index), graph.tensor(index)
    if values is None or values.dtype == np.float32:
        return None if values is None else values.astype(np.float64)
    if tensor.quantization is None:
        return None
    shape = [1] * values.ndim
    shape[tensor.quantization.quantizedDimension] = -1
    scales = scales_of(tensor).astype(np.float64)
    shifted = values - zero_points_of(tensor)
    return np.asarray(shifted * (scales.reshape(shape) if scales.size > 1 else scales))


def _shift(graph: Graph, layer: _Layer, mean: np.ndarray) -> np.ndarray:
    """Return the shift by the error of the weights at the mean input, for each output channel."""
    error = layer.weights - layer.original_weights
    kind, options = graph.operator_name(layer.original), layer.original.builtinOptions
    if kind == "FULLY_CONNECTED":  # (outputs, inputs)
        return np.asarray(error @ mean.reshape(-1, error.shape[1]).mean(0))
    patch = mean_patch(mean.mean(0), error.shape[1:3], options)
    if kind == "DEPTHWISE_CONV_2D":  # (1, h, w, inputs * multiplier)
        return np.asarray(np.einsum("ijc,ijc->c", error[0], np.repeat(patch, error.shape[3] // patch.shape[2], axis=2)))
    groups = patch.shape[2] // error.shape[3]  # (outputs, h, w, inputs of a group)
    grouped = error.reshape(groups, -1, *error.shape[1:])
    patches = patch.reshape(*patch.shape[:2], groups, -1)
    return np.asarray(np.einsum("goijc,ijgc->go", grouped, patches, optimize=True).reshape(-1))


def mean_patch(image: np.ndarray, kernel: Sequence[int], options: ConvolutionOptions) -> np.ndarray:
    """Return the mean input at each position of a convolution's kernel over all positions of its output.

    Args:
        image: the input, ``(height, width, channels)``, padded with zeros according to ``options``.
        kernel: its height and width.
        options: of the operator: strides, dilations and padding.

    Returns:
        ``(*kernel, channels)``.
    """
    is_padded = options.padding == schema.Padding.SAME
    rows = _input_shares(image.shape[0], kernel[0], options.strideH, options.dilationHFactor, is_padded)
    columns = _input_shares(image.shape[1], kernel[1], options.strideW, options.dilationWFactor, is_padded)
    return np.asarray(np.einsum("ih,jw,hwc->ijc", rows, columns, image, optimize=True))


def _input_shares(size: int, kernel: int, stride: int, dilation: int, is_padded: bool) -> np.ndarray:
    """Return the share of outputs in which each position of the kernel meets each input: ``(kernel, size)``.

    Padding is TensorFlow's SAME: the output is ``ceil(size / stride)``; of an odd number of zeros the larger part comes
    last.
    """
    reach = (kernel - 1) * dilation + 1
    outputs = -(-size // stride) if is_padded else (size - reach) // stride + 1
    before = max((outputs - 1) * stride + reach - size, 0) // 2 if is_padded else 0
    met = np.zeros((kernel, size))
    for place in range(kernel):
        positions = np.arange(outputs) * stride + place * dilation - before
        inside = positions[(positions >= 0) & (positions < size)]
        np.add.at(met[place], inside, 1 / outputs)
    return met
