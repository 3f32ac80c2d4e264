"""How generated C says that sparse kernels may scale their sums."""

import dataclasses

import numpy as np
import pytest

from helpers.sparse_kernels import of_halves
from tflite_sparse.codecs.streams import options as codec_options
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.codecs.streams.stream import absolute_sums
from tflite_sparse.standalone_c.operators.sparse import scaling_of

ANY = (-128, 127)


def found(one, bias_more=0, shift=None):
    """With the last but one output, whose sum has the most bits, changed."""
    options = codec_options.unpack(one.case(Kernel.PAIR_DELTA8).options)
    bias, shifts = one.parameters.bias.copy(), one.parameters.shifts.copy()
    bias[-2] -= bias_more
    shifts[-2] = shifts[-2] if shift is None else shift
    parameters = dataclasses.replace(one.parameters, bias=bias, shifts=shifts)
    return scaling_of(options, parameters, absolute_sums(one.weights))


def fields(wide, quick, clamped):
    return {"wide": wide, "quick": quick, "clamped": clamped}


@pytest.mark.parametrize(
    ("zero_point", "output_range", "clamped"), [(-128, ANY, 1), (-5, ANY, 0), (-5, (-5, 127), 1), (-5, (-6, 100), 0)]
)
def test_outputs_below_the_zero_point(zero_point, output_range, clamped):
    assert found(of_halves(zero_point, output_range)) == fields(0, 1, clamped)


@pytest.mark.parametrize(
    ("bias_more", "shift", "expected"),
    [
        (1, None, (0, 1, 0)),  # 23 bits
        (2**30 - 2**22, None, (0, 1, 0)),
        (2**30 - 2**22 + 1, None, (1, 0, 0)),
        (0, -16, (0, 1, 0)),
        (0, -19, (0, 1, 0)),
        (0, -20, (0, 0, 0)),
        (0, 0, (0, 0, 0)),
        (0, 7, (0, 0, 0)),
        (0, 8, (0, 0, 0)),
        (0, 9, (1, 0, 0)),
    ],
)
def test_large_sums_and_shifts(bias_more, shift, expected):
    assert np.abs(of_halves(-128).parameters.bias[-2]) < 2**22
    assert found(of_halves(-128), bias_more, shift) == fields(*expected)
