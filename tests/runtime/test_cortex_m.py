"""The kernels on emulated Cortex-M CPUs: equal outputs, and instructions that do not grow."""

import dataclasses

import numpy as np
import pytest

from helpers.sparse_kernels import Layer, at_the_limit_of_pairs, made, of_halves
from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import PAIR_KERNELS, SHARED_KERNELS, Kernel
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import cortex_m

needs_emulator = pytest.mark.skipif(not cortex_m.is_available(), reason="compiler or emulator is not installed")

MATRIX = Layer(outputs=128, channels=1024, is_matrix=True)
WIDE = Layer(outputs=128, channels=128, input_size=(8, 8))
TALL = Layer(outputs=64, channels=64, input_size=(25, 5))
SQUARE = Layer(outputs=32, channels=32, filter_size=(3, 3), input_size=(16, 16))
FIRST = Layer(outputs=64, channels=1, filter_size=(10, 4), strides=(2, 2), input_size=(49, 10), zeros=0.0)
FOR_MATRIX, FOR_WIDE, FOR_TALL, FOR_SQUARE, FOR_FIRST = (
    "FULLY_CONNECTED 1024 to 128",
    "1x1 128 to 128",
    "1x1 64 to 64",
    "3x3 32 to 32",
    "10x4 1 to 64, no zeros",
)
LAYERS = {FOR_MATRIX: MATRIX, FOR_WIDE: WIDE, FOR_TALL: TALL, FOR_SQUARE: SQUARE, FOR_FIRST: FIRST}

INSTRUCTIONS = {
    ("cortex-m4", FOR_MATRIX, Kernel.ROW_INDEX8): 74_968,
    ("cortex-m4", FOR_MATRIX, Kernel.ROW_DELTA4): 136_006,
    ("cortex-m4", FOR_WIDE, Kernel.PAIR_DELTA8): 258_046,
    ("cortex-m4", FOR_WIDE, Kernel.PAIR_DELTA4): 298_798,
    ("cortex-m4", FOR_TALL, Kernel.PAIR_DELTA8): 177_700,
    ("cortex-m4", FOR_SQUARE, Kernel.STRIP_DELTA8): 483_978,
    ("cortex-m4", FOR_SQUARE, Kernel.PAIR_DELTA8): 704_386,
    ("cortex-m4", FOR_FIRST, Kernel.PAIR_DENSE8): 489_896,
    ("cortex-m3", FOR_MATRIX, Kernel.ROW_INDEX8): 89_785,
    ("cortex-m3", FOR_WIDE, Kernel.DIRECT_DELTA8): 649_406,
    ("cortex-m3", FOR_SQUARE, Kernel.PIXEL_DELTA8): 1_413_876,
    ("cortex-m0", FOR_MATRIX, Kernel.ROW_INDEX8): 137_311,
    ("cortex-m0", FOR_WIDE, Kernel.DIRECT_DELTA8): 1_295_308,
    ("cortex-m0", FOR_SQUARE, Kernel.PIXEL_DELTA8): 2_561_056,
    ("cortex-m55", FOR_MATRIX, Kernel.ROW_INDEX8): 19_245,
    ("cortex-m55", FOR_MATRIX, Kernel.ROW_BLOCK16): 10_533,
    ("cortex-m55", FOR_WIDE, Kernel.PIXEL_DELTA8): 148_954,
    ("cortex-m55", FOR_SQUARE, Kernel.PIXEL_DELTA8): 378_097,
    ("cortex-m55", FOR_WIDE, Kernel.PIXEL_BLOCK16): 127_365,
    ("cortex-m55", FOR_SQUARE, Kernel.PIXEL_BLOCK16): 308_775,
}
SHARED = {
    ("cortex-m4", FOR_MATRIX, Kernel.ROW_SHARED): 102_873,
    ("cortex-m4", FOR_MATRIX, Kernel.ROW_SHARED7): 133_000,
    ("cortex-m4", FOR_WIDE, Kernel.PAIR_SHARED): 301_341,
    ("cortex-m4", FOR_TALL, Kernel.PAIR_SHARED): 205_146,
    ("cortex-m4", FOR_SQUARE, Kernel.STRIP_SHARED): 609_625,
    ("cortex-m3", FOR_MATRIX, Kernel.ROW_SHARED): 121_406,
    ("cortex-m3", FOR_MATRIX, Kernel.ROW_SHARED7): 154_000,
    ("cortex-m3", FOR_SQUARE, Kernel.PIXEL_SHARED): 1_755_363,
    ("cortex-m0", FOR_MATRIX, Kernel.ROW_SHARED): 226_911,
    ("cortex-m0", FOR_SQUARE, Kernel.PIXEL_SHARED): 3_504_666,
    ("cortex-m55", FOR_MATRIX, Kernel.ROW_SHARED): 58_709,
    ("cortex-m55", FOR_SQUARE, Kernel.PIXEL_SHARED): 525_077,
}
"""Of sixteen values, all equally frequent: other weights than those of INSTRUCTIONS."""
ALLOWED = 0.03

SHAPES = [
    Layer(outputs=5, channels=7, filter_size=(3, 3), strides=(2, 1), input_size=(9, 11), zeros=0.6),
    Layer(outputs=6, channels=5, filter_size=(2, 5), dilations=(2, 1), input_size=(8, 12), valid=True, zeros=0.5),
    Layer(outputs=9, channels=18, filter_size=(3, 3), input_size=(4, 13), zeros=0.8, output_range=(-20, 90)),
    Layer(outputs=7, channels=30, input_size=(3, 7), zeros=0.7, batches=2, one_scale=True),
    Layer(outputs=4, channels=20, input_size=(1, 3), zeros=0.3, zero_points=(-128, -128)),
    Layer(outputs=9, channels=24, input_size=(3, 9), bias_range=2**30 + 2**29, scale=3e-4, zero_points=(-128, 0)),
    Layer(outputs=9, channels=24, input_size=(3, 9), scale=4e4, bias_range=50, largest_weight=1),
    Layer(outputs=11, channels=600, is_matrix=True, batches=2, zeros=0.9),
    Layer(outputs=11, channels=4112, is_matrix=True, zeros=0.99),
    Layer(outputs=5, channels=7, filter_size=(3, 2), strides=(1, 2), input_size=(9, 13), zeros=0.6, shared_values=16),
    Layer(outputs=9, channels=18, filter_size=(3, 3), input_size=(4, 13), zeros=0.9, batches=2, shared_values=7),
    Layer(outputs=4, channels=900, input_size=(3, 9), zeros=0.5, scale=4e4, largest_weight=1, shared_values=2),
    Layer(outputs=11, channels=4112, is_matrix=True, zeros=0.97, shared_values=64),
    Layer(outputs=24, channels=48, filter_size=(3, 3), input_size=(3, 17), shared_values=16, two_kinds=True),
    Layer(outputs=24, channels=1600, input_size=(1, 9), shared_values=16, two_kinds=True),
    Layer(outputs=24, channels=6, input_size=(4, 8), zeros=0.8),  # outputs without weights, or with one to four
    Layer(outputs=5, channels=1, input_size=(3, 6), zeros=0.3),
    # strips whose ends are inside of the image or not; rows of an odd number of words by four
    Layer(outputs=4, channels=3, filter_size=(3, 3), input_size=(3, 8), zeros=0.5, zero_points=(-128, 127)),
    Layer(outputs=3, channels=1, filter_size=(3, 3), input_size=(4, 19), zeros=0.3, zero_points=(127, -128)),
    Layer(outputs=3, channels=5, filter_size=(3, 3), input_size=(5, 10), zeros=0.4, valid=True),
    Layer(outputs=3, channels=5, filter_size=(2, 3), input_size=(4, 8), zeros=0.4, valid=True),
    Layer(outputs=3, channels=2, filter_size=(2, 4), input_size=(4, 11), zeros=0.4),
    # groups of weights that fill several rounds of a loop, in full and not
    Layer(outputs=40, channels=530, is_matrix=True, batches=2, zeros=0.85, one_scale=True),
    Layer(outputs=20, channels=513, is_matrix=True, zeros=0.5),
    Layer(outputs=3, channels=2, filter_size=(3, 3), input_size=(4, 7), zeros=0.4),
    # the smallest and the largest right shift of the faster code, and those beyond
    Layer(outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=0.8, largest_weight=1, bias_range=99),
    Layer(outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=1.6, largest_weight=1, bias_range=99),
    Layer(outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=5e-4, bias_range=2**26),
    Layer(outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=8e-6, bias_range=2**28, zero_points=(3, 99)),
    # outputs that are clamped at the zero point: shifts of 1, 15 and 16; a sum that has 23 bits, or more
    Layer(outputs=9, channels=24, input_size=(3, 9), zeros=0.5, zero_points=(3, -128)),
    Layer(outputs=9, channels=5, filter_size=(3, 3), input_size=(4, 13), zeros=0.5, output_range=(-5, 90)),
    Layer(outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=1.6, bias_range=9, zero_points=(3, -128)),
    Layer(
        outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=6e-3, bias_range=2**20, zero_points=(3, -128)
    ),
    Layer(
        outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=3e-3, bias_range=2**20, zero_points=(3, -128)
    ),
    Layer(
        outputs=9, channels=24, input_size=(3, 9), one_scale=True, scale=6e-3, bias_range=2**23, zero_points=(3, -128)
    ),
]


@needs_emulator
@pytest.mark.parametrize("cpu", sorted(cortex_m.CPUS))
def test_outputs_are_those_of_a_dense_loop(cpu):
    pairs = [(one, kernel) for layer in SHAPES for one in [made(layer)] for kernel in one.kernels()]
    cases = [one.case(kernel, tables=2) for one, kernel in pairs]
    results = cortex_m.run(cpu, cases)
    with_two = {
        kernel for (_, kernel), case in zip(pairs, cases, strict=True) if stream.tables(kernel, case.stream) == 2
    }
    assert {kernel for _, kernel in pairs} == set(Kernel)
    assert with_two == SHARED_KERNELS
    for (one, kernel), result in zip(pairs, results, strict=True):
        assert result.status == "ok"
        assert np.array_equal(result.output, one.expected), (one.layer, kernel)


@needs_emulator
@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
def test_the_largest_sum_that_pairs_take(cpu):
    one, kernels = at_the_limit_of_pairs(), sorted(PAIR_KERNELS)
    for kernel, result in zip(kernels, cortex_m.run(cpu, [one.case(kernel) for kernel in kernels]), strict=True):
        assert np.array_equal(result.output, one.expected), kernel


@needs_emulator
@pytest.mark.parametrize("output_range", [(-128, 127), (-5, 127), (-4, 100)])
@pytest.mark.parametrize("zero_point", [-5, -128])
def test_halves(zero_point, output_range):
    """Of pairs, where outputs are clamped at the zero point, the lower lane is scaled where it lies; else not."""
    one, kernels = of_halves(zero_point, output_range), sorted(PAIR_KERNELS)
    for kernel, result in zip(
        kernels, cortex_m.run("cortex-m4", [one.case(kernel) for kernel in kernels]), strict=True
    ):
        assert np.array_equal(result.output, one.expected), kernel


@needs_emulator
@pytest.mark.parametrize("cpu", sorted({cpu for cpu, *_ in INSTRUCTIONS}))
def test_instructions(cpu):
    """A regression fails; so does an improvement until it is written down here."""
    wanted = {key[1:]: count for key, count in INSTRUCTIONS.items() if key[0] == cpu}
    cases = [made(LAYERS[name], kernel).case(kernel) for name, kernel in wanted]
    found = {key: each.instructions for key, each in zip(wanted, cortex_m.run(cpu, cases), strict=True)}
    off = {key: count for key, count in found.items() if abs(count / wanted[key] - 1) > ALLOWED}
    assert not off


@needs_emulator
@pytest.mark.parametrize("cpu", sorted({cpu for cpu, *_ in SHARED}))
def test_instructions_of_shared_values(cpu):
    wanted = {key[1:]: count for key, count in SHARED.items() if key[0] == cpu}
    layers = {name: dataclasses.replace(LAYERS[name], shared_values=16) for name, _ in wanted}
    cases = [made(layers[name]).case(kernel) for name, kernel in wanted]
    found = {key: each.instructions for key, each in zip(wanted, cortex_m.run(cpu, cases), strict=True)}
    assert not {key: count for key, count in found.items() if abs(count / wanted[key] - 1) > ALLOWED}


@needs_emulator
def test_counts_repeat_to_the_digit():
    case = made(TALL).case(Kernel.PAIR_DELTA8)
    first, second = cortex_m.run("cortex-m4", [case, case])
    assert first.instructions == second.instructions > 0


@needs_emulator
def test_code_of_fewer_kernels_is_smaller():
    few, more = (cortex_m.code_bytes("cortex-m4", kernels) for kernels in (1 << 1, 1 << 1 | 1 << 7))
    assert 1000 < few < more < 12000


def test_a_missing_compiler_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    cortex_m._program.cache_clear()
    with pytest.raises(ExecutionError, match="apt-get install gcc-arm-none-eabi"):
        cortex_m.run("cortex-m4", [])
