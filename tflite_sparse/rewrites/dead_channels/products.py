"""What operators with kernels do to channels: convolutions, transposed and depthwise ones, and FULLY_CONNECTED."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import scales_of
from tflite_sparse.flatbuffer.types import ConvolutionOptions, Operator
from tflite_sparse.rewrites.dead_channels import sizes
from tflite_sparse.rewrites.dead_channels.analysis import Analysis, Depthwise, Product
from tflite_sparse.rewrites.dead_channels.cut import LARGEST_WEIGHT
from tflite_sparse.rewrites.dead_channels.kernels import Kernel
from tflite_sparse.rewrites.dead_channels.numbers import Numbers

_AT_A_TIME = 8
"""Channels that built-in quantised kernels of depthwise and transposed convolutions compute together."""


def convolution(found: Analysis, operator: Operator) -> bool:
    """Analyse a CONV_2D; one of several groups is left, for its kernel has fewer features than its source channels."""
    folds = not _reaches_over_the_edge(found, operator)
    return _product(found, operator, (0, 1, 2), operator.builtinOptions.fusedActivationFunction, folds=folds)


def fully_connected(found: Analysis, operator: Operator) -> bool:
    """Analyse a FULLY_CONNECTED, whose features may be several positions of the source's channels."""
    options = operator.builtinOptions
    if options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        return False
    return _product(found, operator, (0, 1, 2), options.fusedActivationFunction, folds=True)


def transposed_convolution(found: Analysis, operator: Operator) -> bool:
    """Analyse a TRANSPOSE_CONV. Its outputs sum different numbers of taps, so that no constant but 0 can be folded."""
    size = sizes.of_channels(found, operator, 0, int(operator.outputs[0]))
    activation = operator.builtinOptions.fusedActivationFunction
    if size is None or not _product(found, operator, (2, 1, 3), activation, folds=False):
        return False
    found.edits.append(size)
    _rounds_by_place(found, int(operator.outputs[0]))
    return True


def depthwise(found: Analysis, operator: Operator) -> bool:
    """Analyse a DEPTHWISE_CONV_2D with any multiplier: output i reads channel i // multiplier."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    numbers = found.numbers_of(source, result)
    if numbers is None or numbers[0].kind != numbers[1].kind:
        return False
    kernel = found.constants.kernel(operator, 1, 2, 3, numbers[0]) if found.rank(int(operator.inputs[1])) == 4 else None
    inputs, outputs = found.channels.sizes[source], found.channels.sizes[result]
    if kernel is None or not inputs or kernel.outputs != outputs or outputs % inputs:
        return False
    read = np.arange(outputs) // (outputs // inputs)
    found.tie(found.channels.of_tensor(source)[read], found.channels.of_tensor(result))
    found.edits.append(Depthwise(kernel, source, result))
    _rounds_by_place(found, result)
    matrix = kernel.values.reshape(-1, outputs)
    values = found.known(source)[read]
    folds = numbers[0].folds and not _reaches_over_the_edge(found, operator)
    added = _added(values, numbers[0], folds=folds)
    constant = ~np.any(matrix, axis=0) | ~np.isnan(added)
    sums = kernel.bias_values.astype(np.float64) + matrix.astype(np.float64).sum(0) * np.nan_to_num(added)
    activation = operator.builtinOptions.fusedActivationFunction
    found.learn(result, np.where(constant, _requantised(found, kernel, numbers, sums, activation), np.nan))
    return True


def _rounds_by_place(found: Analysis, result: int) -> None:
    numbers = found.numbers[result]
    if numbers is not None and not numbers.is_float:
        found.multiples[result] = _AT_A_TIME


def _product(
    found: Analysis, operator: Operator, positions: tuple[int, int, int], activation: int, *, folds: bool
) -> bool:
    """Analyse an operator whose outputs sum over all channels.

    Args:
        found: the analysis.
        operator: the operator.
        positions: of source, kernel and bias among its inputs; the bias may be missing.
        activation: fused activation function, the schema's number.
        folds: whether all weights of an output are in each of its sums.
    """
    source, result = int(operator.inputs[positions[0]]), int(operator.outputs[0])
    numbers = found.numbers_of(source, result)
    if numbers is None or numbers[0].kind != numbers[1].kind:
        return False
    kernel = found.constants.kernel(operator, positions[1], positions[2], 0, numbers[0])
    channels = found.channels.sizes[source]
    if kernel is None or not channels or kernel.outputs != found.channels.sizes[result]:
        return False
    features = kernel.values.shape[-1]
    if features % channels:
        return False
    taps = kernel.values.reshape(kernel.outputs, -1, features)
    nonzero = taps.any(axis=1)
    of_feature = np.arange(features) % channels
    values = found.known(source)[of_feature]
    added = _added(values, numbers[0], folds=folds and numbers[0].folds)
    shift = _shift(taps, added)
    if np.any(np.abs(kernel.bias_values + shift)[shift != 0] > np.iinfo(np.int32).max):
        added = _added(values, numbers[0], folds=False)
        shift = np.zeros(kernel.outputs)
    needs = nonzero & np.isnan(added)
    alike = _alike(found, source, taps) if numbers[0].folds and features == channels else ()
    varies = needs.any(axis=1)
    for members in alike:
        needs[:, members] = False
    reads = needs.reshape(kernel.outputs, -1, channels).any(axis=1)
    sums = kernel.bias_values.astype(np.float64) + shift
    known = _requantised(found, kernel, numbers, sums, activation)
    found.learn(result, np.where(varies, np.nan, known))
    found.edits.append(Product(kernel, source, result, reads, np.nan_to_num(added).astype(np.int64), alike))
    return True


def _alike(found: Analysis, source: int, taps: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the sets of channels of one value; note how many each needs for the sums of its weights.

    Args:
        found: the analysis.
        source: the activation.
        taps: weights (outputs, taps, channels).
    """
    sets = tuple(found.alike.get(source, ()))
    for members in sets:
        sums = taps[:, :, members].sum(axis=2, dtype=np.int64)
        least = -(-int(np.abs(sums).max()) // LARGEST_WEIGHT)
        found.least.append((found.channels.of_tensor(source)[members], max(least, 1)))
    return sets


def _added(values: np.ndarray, numbers: Numbers, *, folds: bool) -> np.ndarray:
    """Return what a constant channel adds to each weight's factor, float64; NaN where the channel cannot be folded."""
    offset = values - numbers.zero
    return offset if folds else np.where(offset == 0, 0.0, np.nan)


def _shift(taps: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Return what all constant features add to the sum of each output, float64 (outputs,), exact."""
    folded = np.flatnonzero(np.nan_to_num(added))
    if not folded.size:
        return np.zeros(len(taps))
    sums = taps[:, :, folded].sum(axis=1, dtype=np.int64) @ added[folded].astype(np.int64)
    return np.asarray(sums, np.float64)


def _requantised(
    found: Analysis, kernel: Kernel, numbers: list[Numbers], sums: np.ndarray, activation: int
) -> np.ndarray:
    """Return the stored outputs for constant sums."""
    source, result = numbers
    if source.is_float:
        return result.stored(sums, activation=activation)
    scale = scales_of(found.graph.tensor(kernel.constant.tensor)).astype(np.float64) * source.scale
    scale = np.where(np.isfinite(scale), scale, np.nan)  # a converter may give a layer of zeros an infinite one
    return result.stored(sums * scale, scale / result.scale, activation)


def _reaches_over_the_edge(found: Analysis, operator: Operator) -> bool:
    """Return whether a window of a convolution reaches over the edge of its source, where it reads 0.

    Sizes of SAME padding: ``(ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size`` on both sides
    together (TensorFlow, ``tf.nn`` on padding).
    """
    options: ConvolutionOptions = operator.builtinOptions
    if options.padding == schema.Padding.VALID:
        return False
    if any(found.rank(int(operator.inputs[position])) != 4 for position in range(2)):  # a damaged file
        return True
    source, kernel = found.shape(int(operator.inputs[0])), found.shape(int(operator.inputs[1]))
    strides, dilations = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    for size, width, stride, dilation in zip(source[1:3], kernel[1:3], strides, dilations, strict=True):
        if width == 1:
            continue
        if size < 0 or stride < 1 or (-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 > size:
            return True
    return False
