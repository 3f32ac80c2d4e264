"""Test made-up inputs."""

from dataclasses import replace

import numpy as np
import pytest

from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime.inputs_and_outputs import InputDetails
from tflite_sparse.verification import probes


def details(dtype, scale=0.0, zero_point=0, signature=(1, 4)):
    return InputDetails("x", signature, np.dtype(dtype), scale, zero_point)


def values(detail, random=50):
    samples = probes.samples_for([detail], random, seed=1, file="model")
    assert len(samples) == 3 + random
    assert all(array.dtype == detail.dtype for (array,) in samples)
    return [array for (array,) in samples]


@pytest.mark.parametrize(
    ("detail", "edges", "lowest", "highest"),
    [
        (details("int8", 0.1, -3), [-128, 127, -3], -128, 127),
        (details("uint8", 0.1, 128), [0, 255, 128], 0, 255),
        (details("int16", 0.1), [-(2**15), 2**15 - 1, 0], -(2**15), 2**15 - 1),
        (details("int32"), [0, 1, 0], 0, 1),
        (details("int64"), [0, 1, 0], 0, 1),
        (details("bool"), [0, 1, 0], 0, 1),
        (details("float32"), [-4, 4, 0], -6, 6),
        (details("float16"), [-4, 4, 0], -6, 6),
        (replace(details("float32"), counts=True), [0, 1, 0], 0, 1),
    ],
    ids=lambda value: value.dtype.name if isinstance(value, InputDetails) else "",
)
def test_boundaries_then_the_whole_range(detail, edges, lowest, highest):
    found = values(detail)
    assert [np.unique(array).tolist() for array in found[:3]] == [[edge] for edge in edges]
    drawn = np.concatenate(found[3:]).astype(np.float64)
    assert lowest <= drawn.min() < lowest / 2 + highest / 2 < drawn.max() <= highest
    if detail.dtype.kind == "f" and not detail.counts:
        assert (abs(drawn.mean()) < 0.3, 0.8 < drawn.std() < 1.2) == (True, True)
    else:
        assert np.ptp(drawn) > 0.6 * (highest - lowest)
        assert (drawn == drawn.round()).all()


@pytest.mark.parametrize(
    ("signature", "shape"),
    [((1, 4), (1, 4)), ((8, 4), (8, 4)), ((-1, 4), (1, 4)), ((-1, -1, 3), (1, 32, 3)), ((), ()), ((5,), (5,))],
)
def test_shapes(signature, shape):
    assert {array.shape for array in values(details("float32", signature=signature), 2)} == {shape}


def test_samples_are_those_of_their_seed():
    inputs = [details("int8", 0.1), details("float32", signature=(2, 3))]
    first, again, other = (probes.samples_for(inputs, 2, seed, file="model") for seed in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[-1][0], other[-1][0])


def test_strings_cannot_be_made_up():
    with pytest.raises(ExecutionError, match="model: input 'x' takes no numbers"):
        probes.samples_for([details("S")], 1, 0, file="model")
