"""The C kernels on this machine, under address and undefined behaviour sanitizers, against a plain dense loop."""

import dataclasses
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.sparse_kernels import Layer, at_the_limit_of_pairs, made, run_with_sanitizers
from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import PAIR_KERNELS, SHARED_KERNELS, Kernel

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

DENSITIES = st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.875, 0.95, 0.99, 1.0])
ZERO_POINTS = st.tuples(st.integers(-128, 127), st.integers(-128, 127))
RANGES = st.sampled_from([(-128, 127), (-128, 90), (-5, 127), (0, 64), (7, 7)])
SETTINGS = settings(max_examples=9, deadline=None, suppress_health_check=list(HealthCheck))


def layers(**fixed):
    common = {
        "outputs": st.integers(1, 12),
        "zeros": DENSITIES,
        "zero_points": ZERO_POINTS,
        "output_range": RANGES,
        "one_scale": st.booleans(),
        "batches": st.integers(1, 3),
        "largest_weight": st.sampled_from([1, 40, 127]),
        "shared_values": st.sampled_from([None, 1, 15, 16, 64]),
        "scale": st.sampled_from([1e-6, 0.01, 1.0, 3.0, 4e4]),
        "seed": st.integers(0, 2**20),
    }
    return st.builds(Layer, **{**common, **fixed})


CONVOLUTIONS = layers(
    channels=st.integers(1, 9),
    filter_size=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    input_size=st.tuples(st.integers(8, 13), st.integers(9, 19)),
    valid=st.booleans(),
)
STEPS_OF_ONE = layers(
    channels=st.integers(1, 9),
    filter_size=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    input_size=st.tuples(st.integers(4, 13), st.integers(5, 19)),
    valid=st.booleans(),
)
POINTWISE = layers(
    channels=st.sampled_from([1, 16, 30, 255, 256, 257, 600, 1024]),
    input_size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
MATRICES = layers(channels=st.sampled_from([1, 16, 100, 260, 4112]), is_matrix=st.just(True))


def check(layers_here, kernel=None):
    ones = [made(layer, kernel) for layer in layers_here]
    pairs = [(one, each) for one in ones for each in one.kernels()]
    results = run_with_sanitizers([one.case(each, tables=2) for one, each in pairs])
    for (one, each), result in zip(pairs, results, strict=True):
        assert result.status == "ok", (each, one.layer)
        assert np.array_equal(result.output, one.expected), (each, one.layer)


def several(layer):
    """Layers for one process, whose start takes as long as some of them."""
    return st.lists(layer, min_size=5, max_size=5)


@pytest.mark.slow
@SETTINGS
@given(several(CONVOLUTIONS))
def test_convolutions(layers_here):
    check(layers_here)


@SETTINGS
@given(several(STEPS_OF_ONE))
def test_convolutions_with_steps_of_one(layers_here):
    check(layers_here)


@SETTINGS
@given(several(POINTWISE), st.sampled_from([None, Kernel.ROW_BLOCK16]))
def test_pointwise(layers_here, kernel):
    check(layers_here, kernel)


@SETTINGS
@given(several(MATRICES))
def test_matrices(layers_here):
    check(layers_here)


def test_every_kernel_is_reached():
    assert set(made(Layer(outputs=2, channels=32, input_size=(3, 9), shared_values=16)).kernels()) == set(Kernel)


TWO_TABLES = Layer(
    outputs=24, channels=48, filter_size=(3, 3), input_size=(4, 19), zeros=0.9, shared_values=16, two_kinds=True
)


@pytest.mark.parametrize(
    "layer",
    [
        TWO_TABLES,
        dataclasses.replace(TWO_TABLES, channels=432, filter_size=(1, 1), input_size=(3, 5)),
        dataclasses.replace(TWO_TABLES, outputs=40, channels=4112, filter_size=(1, 1), input_size=(1, 1), batches=2),
    ],
    ids=["3x3", "1x1", "counts of two bytes"],
)
def test_two_tables_of_shared_values(layer):
    one = made(layer)
    for kernel in set(one.kernels()) & SHARED_KERNELS:
        assert stream.tables(kernel, one.case(kernel, tables=2).stream) == 2
    check([layer])


def test_damaged_tables_are_refused():
    """One output: the first stream is whole, the others are not; the last one has as many symbols as 255 would say."""
    streams = [
        [129, 1, 252, 1, 2, 252, 255, 1, 3],
        [0],
        [65, *[1] * 200],
        [129, 1, 252],
        [129, 1, 252, 0, 0],
        [129, 1, 252, 1, 2, 0, 0],
        [129, 1, 252, 129, 2, 252, 1, 3],
        [129, 1, 252, 1, 2, 252, 255],
        [129, 1, 252, 1, 2, 252, 255, 255, 0],
        [129, 1, 252, 1, 2, 252, 255, 128],
        [1, 1, 252, 255, 0],
        [1, 1, 252, 255, 1, 0],
        [129, 1, 252, 1, 2, 20, 0],
        [129, 1, 252, 1, 2, 252, 255, 255, 0, *[0] * 127 * 256],
    ]
    small, large = (
        made(Layer(outputs=1, channels=channels, shared_values=1)).case(Kernel.ROW_SHARED) for channels in (8, 40_000)
    )
    wholes = [*[small] * (len(streams) - 1), large]
    pairs = zip(wholes, streams, strict=True)
    cases = [dataclasses.replace(whole, stream=np.array(each, np.uint8)) for whole, each in pairs]
    assert [each.status for each in run_with_sanitizers(cases)] == ["ok", *["stream"] * (len(streams) - 1)]


def test_damaged_symbols_of_seven_bits_are_refused():
    """One output of 300 inputs: the first two streams are whole. A table has 128 meanings, and so has a byte."""
    streams = [
        [1, 5, 127, 9, *[0] * 7, 126],
        [1, 5, 1, 1, 127],
        [1, 5, 1, 1, 128],
        [1, 5, 1, 1, 255],
        [1, 5, 128, 0],
        [1, 5, 200, 0],
        [2, 5, 6, 64, 64, 0],
        [1, 5, 120, 8, *[0] * 6],
        [1, 5, 120, 8, *[0] * 8],
        [1, 5, 120, 8, *[127] * 7],
    ]
    whole = made(Layer(outputs=1, channels=300, shared_values=1)).case(Kernel.ROW_SHARED7)
    cases = [dataclasses.replace(whole, stream=np.array(each, np.uint8)) for each in streams]
    assert [each.status for each in run_with_sanitizers(cases)] == ["ok"] * 2 + ["stream"] * (len(streams) - 2)


@pytest.mark.parametrize("largest_bias", [2**29, 2**30 + 2**29])
def test_sums_of_more_than_30_bits(largest_bias):
    layer = Layer(
        outputs=9,
        channels=24,
        input_size=(3, 9),
        bias_range=largest_bias,
        scale=3e-4,
        zero_points=(-128, 0),
        seed=5,
    )
    check([layer])


def test_the_largest_sum_that_pairs_take():
    one = at_the_limit_of_pairs()
    kernels = sorted(PAIR_KERNELS)
    for kernel, result in zip(kernels, run_with_sanitizers([one.case(kernel) for kernel in kernels]), strict=True):
        assert np.array_equal(result.output, one.expected), kernel


def spoiled(case, part, rng):
    """A case with one part damaged: bytes changed, or its end cut off or grown."""
    values = getattr(case, part).copy()
    how = rng.integers(3)
    if how == 0 and values.size:
        for _ in range(rng.integers(1, 4)):
            values[rng.integers(values.size)] = rng.integers(256)
    elif how == 1:
        values = values[: rng.integers(values.size + 1)]
    else:
        values = np.concatenate([values, rng.integers(0, 256, rng.integers(1, 9)).astype(np.uint8)])
    return dataclasses.replace(case, **{part: values})


@pytest.mark.slow
@pytest.mark.parametrize("part", ["options", "stream", "parameters"])
def test_damaged_constants_read_nothing_outside(part):
    """Whatever the bytes are: refused, or computed within the memory that they own."""
    rng = np.random.default_rng(0)
    layers_here = [
        Layer(outputs=5, channels=32, input_size=(2, 9), zeros=0.5, shared_values=16),
        Layer(outputs=3, channels=3, filter_size=(3, 3), input_size=(5, 9), zeros=0.5, shared_values=5),
        Layer(outputs=4, channels=300, is_matrix=True, batches=2),
        Layer(outputs=12, channels=200, input_size=(2, 8), zeros=0.93, shared_values=16, two_kinds=True),
    ]
    ones = [made(layer) for layer in layers_here]
    assert stream.tables(Kernel.PAIR_SHARED, ones[-1].case(Kernel.PAIR_SHARED, tables=2).stream) == 2
    cases = [
        spoiled(one.case(kernel, tables=2), part, rng) for _ in range(60) for one in ones for kernel in one.kernels()
    ]
    found = {result.status for result in run_with_sanitizers(cases)}
    assert "ok" in found or part != "stream"  # a changed weight is a weight
    assert part in found
