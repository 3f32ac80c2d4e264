"""Test the options of a kernel with simple prices: ten bytes for each weight that is kept."""

from types import SimpleNamespace

import numpy as np
import pytest

from tflite_sparse.fitting import candidates
from tflite_sparse.fitting.candidates import SPARSITIES, Candidate, Option
from tflite_sparse.pruning.allocation import Curve
from tflite_sparse.pruning.channel_groups import ChannelGroup, Part
from tflite_sparse.pruning.channel_masks import Remaining
from tflite_sparse.pruning.structure import UNSTRUCTURED, Structure
from tflite_sparse.results.scan import KernelScan, Point, Scan
from tflite_sparse.sources.source_model import Kernel

ROWS = Structure((1, 16))


class Pricer:
    def __init__(self, name):
        assert isinstance(name, str)

    def __call__(self, mask, counts):
        possible = counts if mask.mean() <= 2 / 3 else (None,)
        return {count: (10 if count is None else count) * int(np.count_nonzero(mask)) for count in possible}


COSTS = SimpleNamespace(pricer=Pricer)
LINE = Curve(np.array([0.0, 1.0]), np.array([0.0, 4.0]))  # a sparsity of 0.5 costs 2


def kernel(values, name="dense/kernel"):
    return Kernel(name, "Dense", values.shape, lambda: values, lambda new: None)


def numbers(inputs=100, outputs=10):
    return np.arange(1, inputs * outputs + 1, dtype=np.float32).reshape(inputs, outputs)


def test_every_sparsity_is_priced_in_each_block_and_the_kernel_as_it_is():
    twice = Curve(LINE.sparsity, 2 * LINE.rise)
    found = Candidate(kernel(numbers(96, 10)), (), {UNSTRUCTURED: LINE, ROWS: twice}).priced(COSTS)
    plain, *rest = found.options
    assert plain == Option(None, UNSTRUCTURED, 9600, 0.0)
    assert [option.sparsity for option in rest] == [*SPARSITIES, *SPARSITIES]
    assert [option.block for option in rest] == [UNSTRUCTURED] * len(SPARSITIES) + [ROWS] * len(SPARSITIES)
    assert rest[0] == Option(0.3, UNSTRUCTURED, 10 * (960 - 288), pytest.approx(1.2))
    assert rest[len(SPARSITIES)] == Option(0.3, ROWS, 10 * (960 - 18 * 16), pytest.approx(2.4))
    assert found.lightest == rest[len(SPARSITIES) - 1]  # 10 weights are left; of blocks, 16 are


def test_blocks_lie_along_the_axes_of_the_kernel():
    """In a transposed convolution outputs come first."""
    values = np.where(np.arange(16)[:, None] < 8, 1.0, 2.0).astype(np.float32) * np.ones((1, 32), np.float32)
    subject = Kernel("up/kernel", "Conv2DTranspose", (16, 32), lambda: values, lambda new: None, (-2, -1))
    np.testing.assert_array_equal(Candidate(subject, ()).mask(Option(0.5, ROWS, 0, 0.0)), values == 2)
    uneven = np.arange(1, 6 * 32 + 1, dtype=np.float32).reshape(6, 32)  # along the other axis a block is cut to 6
    subject = Kernel("up/kernel", "Conv2DTranspose", (6, 32), lambda: uneven, lambda new: None, (-2, -1))
    option = Candidate(subject, (), {ROWS: LINE}).priced(COSTS).options[1]
    assert (option.sparsity, option.nbytes) == (0.3, 10 * (192 - 64))  # 57.6 zeros asked for: four blocks of 16


def test_what_the_kernel_holds_is_no_option_but_the_plain_one():
    values = numbers()
    values[:50] = 0
    found = Candidate(kernel(values), (), {UNSTRUCTURED: LINE}).priced(COSTS)
    assert found.options[0] == Option(None, UNSTRUCTURED, 5000, 0.0)
    assert found.options[1].sparsity == next(share for share in SPARSITIES if share > 0.5)
    values = numbers()
    values[:30] = 0  # exactly the sparsity of the first option
    assert Candidate(kernel(values), (), {UNSTRUCTURED: LINE}).priced(COSTS).options[1].sparsity == SPARSITIES[1]


def test_an_option_comes_to_the_mask_that_was_priced():
    values = numbers()
    values[0] = 0
    subject = Candidate(kernel(values), (), {})
    np.testing.assert_array_equal(subject.mask(Option(None, UNSTRUCTURED, 0, 0.0)), values != 0)
    np.testing.assert_array_equal(subject.mask(Option(0.5, UNSTRUCTURED, 0, 0.0)), values > 500)
    in_rows = subject.mask(Option(0.9, Structure((1, 50)), 0, 0.0))
    np.testing.assert_array_equal(in_rows, (values > 500) & (np.arange(10) >= 8))


def test_of_equally_light_options_the_one_that_loses_less_is_the_lightest():
    options = (Option(None, UNSTRUCTURED, 90, 0.0), Option(0.5, UNSTRUCTURED, 40, 2.0), Option(0.6, ROWS, 40, 1.0))
    assert Candidate(kernel(numbers()), options).lightest == options[2]


def test_steps_between_an_option_and_the_next_denser_one_of_its_block():
    subject = Candidate(
        kernel(numbers()),
        (
            Option(None, UNSTRUCTURED, 10_000, 0.0),
            Option(0.3, UNSTRUCTURED, 7000, 1.2),
            Option(0.5, UNSTRUCTURED, 5000, 2.0),
            Option(0.7, UNSTRUCTURED, 3000, 2.8),
            Option(0.6, ROWS, 6000, 9.0),
        ),
        {UNSTRUCTURED: LINE},
    )
    found = subject.refined(subject.options[3], COSTS)
    assert found.options[:5] == subject.options
    assert [option.sparsity for option in found.options[5:]] == pytest.approx(np.linspace(0.52, 0.68, 9)[::-1])
    assert [option.nbytes for option in found.options[5:]] == [
        10 * (1000 - round(1000 * s)) for s in np.linspace(0.68, 0.52, 9)
    ]
    assert {option.block for option in found.options[5:]} == {UNSTRUCTURED}
    for unchanged in (subject.options[0], subject.options[1]):  # nothing is denser, or it is the kernel itself
        assert subject.refined(unchanged, COSTS).options == subject.options


def test_weights_share_values_where_a_third_are_zeros():
    """Two values: a fifth of the bytes, and half a unit of loss more."""
    subject = Candidate(kernel(numbers()), (), {UNSTRUCTURED: LINE}, {None: 0.0, 2: 0.5}).priced(COSTS)
    plain, below_a_third, *rest = subject.options
    assert (plain.values, below_a_third.values) == (None, None)
    assert (SPARSITIES[0], SPARSITIES[1]) == (0.3, pytest.approx(0.37))
    assert [option.values for option in rest] == [None, 2] * (len(SPARSITIES) - 1)
    assert [option.sparsity for option in rest[::2]] == [option.sparsity for option in rest[1::2]]
    assert rest[1] == Option(0.37, UNSTRUCTURED, 2 * 630, pytest.approx(0.37 * 4 + 0.5), 2)
    refined = subject.refined(rest[3], COSTS)
    assert {option.values for option in refined.options[len(subject.options) :]} == {2}
    assert rest[2].is_within_reach_of(rest[1]), "values are chosen after the training"


def test_a_kernel_of_many_zeros_shares_values_as_it_is():
    values = numbers()
    values[:50] = 0
    found = Candidate(kernel(values), (), {}, {2: 0.0}).priced(COSTS)
    assert found.options == (Option(None, UNSTRUCTURED, 1000, 0.0, 2),)


@pytest.mark.parametrize(("block", "fits"), [((1, 100), True), ((1, 101), False), ((10, 1), True), ((11, 1), False)])
def test_a_block_that_is_larger_than_the_kernel_has_no_room(block, fits):
    assert candidates.has_room(kernel(numbers()), Structure(block)) == fits


def scan(name, loss, block):
    points = (Point(asked=0.5, sparsity=0.5, metric=0.5, loss=loss),)
    measured = KernelScan(name=name, type="Dense", shape=(100, 10), weights=1000, block=block, held=0.0, points=points)
    return Scan(model="m", baseline_metric=0.9, baseline_loss=1.0, kernels=(measured,))


def test_each_kernel_has_the_curves_of_its_own_scans():
    scans = {UNSTRUCTURED: scan("a", 3.0, "1x1"), ROWS: scan("b", 5.0, "1x16")}
    steps = []
    found = candidates.candidates(
        [kernel(numbers(), "a"), kernel(numbers(), "b"), kernel(numbers(), "c")],
        scans,
        COSTS,
        on_step=lambda *step: steps.append(step),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert [each.kernel.name for each in found] == ["a", "b", "c"]
    assert [list(each.curves) for each in found] == [[UNSTRUCTURED], [ROWS], []]
    assert float(found[0].curves[UNSTRUCTURED].at(0.5)) == pytest.approx(2.0)
    assert float(found[1].curves[ROWS].at(0.5)) == pytest.approx(4.0)
    assert len(found[0].options) == len(SPARSITIES) + 1
    assert len(found[2].options) == 1
    sharing = candidates.candidates([kernel(numbers(), "a")], scans, COSTS, {"a": {2: 0.5}})
    assert {option.values for option in sharing[0].options[2:]} == {2}


def test_where_channels_are_masked_shares_are_of_what_remains():
    """The kernel keeps 5 of 10 outputs and reads 60 of 100 inputs: 300 weights, of which a third is zero already."""
    values = numbers()
    values[60:80, 5:] = 0
    subject = kernel(values)
    reads = Part(subject, None, -2, np.arange(100))
    makes = Part(subject, None, -1, np.arange(10))
    remaining = Remaining(
        {
            ChannelGroup("before", 100, (), (), (reads,)): np.arange(100) >= 40,
            ChannelGroup("own", 10, (makes,), (), ()): np.arange(10) >= 5,
        }
    )
    found = Candidate(subject, (), {UNSTRUCTURED: LINE}, remaining=remaining).priced(COSTS)
    assert found.options[1].sparsity == next(share for share in SPARSITIES if share > 1 / 3)
    last = next(option for option in found.options if option.sparsity == SPARSITIES[-1])
    mask = found.mask(last)
    assert last.nbytes == 10 * np.count_nonzero(mask) == 10 * (300 - round(300 * SPARSITIES[-1]))
    assert mask.shape == (100, 10)
    assert not mask[:40].any()
    assert not mask[:, :5].any()
    assert mask[99, 9]
