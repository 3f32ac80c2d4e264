"""Random operators for the sparse kernels, what they must compute, and the kernels on this machine with sanitizers."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tflite_sparse.codecs.streams import options as codec_options
from tflite_sparse.codecs.streams import parameters as codec_parameters
from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import BLOCKS, Filter, Kernel
from tflite_sparse.codecs.streams.options import Bias, Options
from tflite_sparse.codecs.streams.parameters import Parameters, Scales
from tflite_sparse.runtime import kernel_cases
from tflite_sparse.runtime.kernel_cases import KernelCase

SOURCES = Path(kernel_cases.__file__).resolve().parent.parent / "micro_kernels"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A random operator, by its shape; see :func:`made`."""

    outputs: int
    channels: int
    filter_size: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    input_size: tuple[int, int] = (1, 1)
    batches: int = 1
    valid: bool = False
    one_scale: bool = False
    is_matrix: bool = False
    zeros: float = 0.875
    output_range: tuple[int, int] = (-128, 127)
    zero_points: tuple[int, int] = (3, -5)
    largest_weight: int = 127
    shared_values: int | None = None  # different weights other than zero
    two_kinds: bool = False  # every third output has the smaller half of these values, the others the larger half
    bias_range: int = 5000
    scale: float = 1.0
    seed: int = 0

    @property
    def filter(self):
        return Filter(self.outputs, *self.filter_size, self.channels, self.strides, self.dilations)


@dataclass(frozen=True)
class Made:
    """An operator with its weights, and what it must yield."""

    layer: Layer
    weights: np.ndarray
    parameters: Parameters
    inputs: np.ndarray
    expected: np.ndarray = field(repr=False)

    def case(self, kernel, tables=1):
        """It as a case for one kernel, with at most so many tables of shared values."""
        shape, layer = self.layer.filter, self.layer
        options = Options(
            operator="FULLY_CONNECTED" if layer.is_matrix else "CONV_2D",
            kernel=kernel,
            shape=shape,
            one_scale=layer.one_scale,
            valid=layer.valid,
            input_zero_point=layer.zero_points[0],
            output_zero_point=layer.zero_points[1],
            output_range=layer.output_range,
            version=1,
            activation=0,
            keep_num_dims=False,
            asymmetric_quantize_inputs=False,
            bias_type=0,
            bias=Bias.THERE,
            filter_scale=0.0,
        )
        return KernelCase(
            codec_options.pack(options),
            stream.encode(kernel, shape, self.weights, tables),
            self.parameters.to_bytes(),
            self.inputs,
            self.expected.shape,
        )

    def kernels(self):
        """The kernels that take it."""
        return [kernel for kernel in Kernel if stream.refusal(kernel, self.layer.filter, self.weights) is None]


def made(layer, kernel=None):
    """A random operator; its zeros come in the blocks of ``kernel``, if that has any that fit."""
    rng, shape = np.random.default_rng(layer.seed), layer.filter
    block = BLOCKS.get(kernel, 1)
    block = 1 if shape.taps % block else block
    kept = np.repeat(rng.random((shape.outputs, shape.taps // block)) >= layer.zeros, block, axis=1)
    weights = rng.integers(-layer.largest_weight, layer.largest_weight + 1, shape.shape)
    if layer.shared_values is not None:
        few = np.rint(np.linspace(-layer.largest_weight, layer.largest_weight, layer.shared_values))
        chosen = rng.integers(0, layer.shared_values, shape.shape)
        if layer.two_kinds:
            few = few[np.argsort(np.abs(few), kind="stable")]
            is_larger = (np.arange(shape.outputs) % 3 > 0).reshape(-1, 1, 1, 1)
            chosen = (chosen + layer.shared_values * is_larger) // 2
        weights = np.where(few == 0, 1, few)[chosen]
    weights = np.where(kept.reshape(shape.shape), weights, 0).astype(np.int8)
    bias = rng.integers(-layer.bias_range, layer.bias_range + 1, shape.outputs).astype(np.int32)
    spread = layer.largest_weight * 80 * np.sqrt(max(1.0, (1 - layer.zeros) * shape.taps))
    scales = (rng.random(1 if layer.one_scale else shape.outputs) + 0.5) * 60 / spread * layer.scale
    inputs = rng.integers(-128, 128, (layer.batches, *layer.input_size, layer.channels)).astype(np.int8)
    return of_weights(layer, weights, inputs, bias, scales)


def of_weights(layer, weights, inputs, bias=None, scales=None):
    """An operator with these int8 weights and inputs; without a bias, and with one scale, unless they are given."""
    bias = np.zeros(layer.outputs, np.int32) if bias is None else bias
    scales = np.full(1 if layer.one_scale else layer.outputs, 100 / 2**22) if scales is None else scales
    parameters = codec_parameters.of(
        Scales(np.float32(1), np.float32(1), scales.astype(np.float32)),
        bias,
        weights,
        layer.zero_points[0],
    )
    return Made(layer, weights, parameters, inputs, _dense(layer, weights, bias, parameters, inputs))


def at_the_limit_of_pairs():
    """An operator whose absolute weights sum to 32,767: the outermost inputs leave the other pixel of a pair alone."""
    layer = Layer(outputs=1, channels=259, input_size=(2, 8), zero_points=(-128, 0))
    weights = np.full(layer.filter.shape, -127, np.int8)
    weights[0, 0, 0, 258] = 258 * 127 - 32767  # the rest, so that the sum is exactly the limit less one
    assert np.abs(weights.astype(int)).sum() == 32767
    row, column = np.indices((2, 8))
    inputs = np.where((row + column) % 2, 127, -128)[None, :, :, None]  # each extreme in each pixel of a pair
    return of_weights(layer, weights, np.broadcast_to(inputs, (1, 2, 8, 259)).astype(np.int8))


def of_halves(output_zero_point, output_range=(-128, 127)):
    """An operator whose outputs lie at and between whole numbers, scaled by right shifts of 1 to 15: all the inputs.

    Two outputs more have a bias as large as sums of 23 bits leave room for, with each sign. Of the last output, the
    input 5 is a little below what the first of two roundings makes a half.
    """
    channels, last_shift = 256, 15
    rows, scales, bias = [], [], []
    for shift, sign in [*((each, 0) for each in range(1, last_shift + 1)), (last_shift, 1), (last_shift, -1)]:
        weight = min(2**shift, 64)
        rows.append(np.where(np.arange(channels) < 2**shift // weight, weight, 0))
        scales.append(2.0 ** -(shift + 1))
        bias.append(sign * (2**22 - 1 - 128 * int(rows[-1].sum())))
    rows.append(np.where(np.arange(channels) == 0, 1, 0))
    scales.append((1 / 2 - 2**-4 - 2**-14) / 5)
    bias.append(0)
    layer = Layer(
        outputs=len(rows),
        channels=channels,
        input_size=(16, 16),
        zero_points=(0, output_zero_point),
        output_range=output_range,
    )
    pixels = np.random.default_rng(0).permutation(np.arange(-128, 128)).reshape(1, 16, 16, 1)
    inputs = np.broadcast_to(pixels, (1, 16, 16, channels)).astype(np.int8)
    weights = np.array(rows, np.int8).reshape(layer.filter.shape)
    return of_weights(layer, weights, inputs, np.array(bias, np.int32), np.array(scales))


def run_with_sanitizers(cases):
    """The results of cases on this machine; fails where a sanitizer finds something."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cases.bin").write_bytes(kernel_cases.to_bytes(cases))
        program = folder / "run"
        program.write_bytes(_program())
        program.chmod(0o700)
        done = subprocess.run(
            [program, "cases.bin", "results.bin"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return kernel_cases.results((folder / "results.bin").read_bytes(), cases)


@functools.cache
def _program():
    with tempfile.TemporaryDirectory() as name:
        sources = [
            SOURCES / "tflite_sparse_kernels.c",
            Path(__file__).resolve().parents[1] / "micro_kernels" / "run_cases_host.c",
        ]
        target = Path(name) / "run"
        command = ["gcc", *STRICT, "-O1", *SANITIZERS, f"-I{SOURCES}", *sources, "-o", target]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return target.read_bytes()


def _dense(layer, weights, bias, parameters, inputs):
    """What a plain dense loop yields, int8: TensorFlow Lite Micro's arithmetic."""
    rows, pad_rows = _window(layer, 0)
    columns, pad_columns = _window(layer, 1)
    height, width = layer.input_size
    padded = np.full(
        (layer.batches, height + 2 * _reach(layer, 0), width + 2 * _reach(layer, 1), layer.channels),
        layer.zero_points[0],
        np.int64,
    )
    padded[:, pad_rows : pad_rows + height, pad_columns : pad_columns + width] = inputs
    padded -= layer.zero_points[0]
    sums = np.zeros((layer.batches, rows, columns, layer.outputs), np.int64)
    for y in range(layer.filter_size[0]):
        for x in range(layer.filter_size[1]):
            top, left = y * layer.dilations[0], x * layer.dilations[1]
            window = padded[
                :,
                top : top + (rows - 1) * layer.strides[0] + 1 : layer.strides[0],
                left : left + (columns - 1) * layer.strides[1] + 1 : layer.strides[1],
            ]
            sums += window @ weights[:, y, x].astype(np.int64).T
    return _requantised(sums + bias, parameters, layer)


def _window(layer, axis):
    """(outputs, padding in front) along one axis."""
    size, stride = layer.input_size[axis], layer.strides[axis]
    reach = (layer.filter_size[axis] - 1) * layer.dilations[axis] + 1
    if layer.valid:
        return (size - reach) // stride + 1, 0
    count = -(-size // stride)
    return count, max((count - 1) * stride + reach - size, 0) // 2


def _reach(layer, axis):
    return layer.filter_size[axis] * layer.dilations[axis] + layer.strides[axis]


def _requantised(sums, parameters, layer):
    """A doubling high product that rounds halves up, then a shift that rounds halves away from zero."""
    left, right = np.maximum(parameters.shifts, 0).astype(np.int64), np.maximum(-parameters.shifts, 0).astype(np.int64)
    high = ((sums << left) * parameters.multipliers.astype(np.int64) + 2**30) >> 31
    scaled = np.sign(high) * ((2 * np.abs(high) + (np.int64(1) << right)) >> (right + 1))
    return np.clip(scaled + layer.zero_points[1], *layer.output_range).astype(np.int8)
