"""Test the choice of an option for each kernel."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.fitting import choosing
from tflite_sparse.fitting.candidates import Candidate, Option
from tflite_sparse.pruning.structure import UNSTRUCTURED, Structure
from tflite_sparse.sources.source_model import Kernel

ROWS = Structure((1, 16))


def candidate(name, dense_bytes, options):
    """``options``: (sparsity, block, bytes, rise)."""
    values = np.ones((4, 4), np.float32)
    kernel = Kernel(name, "Dense", (4, 4), lambda: values, lambda new: None)
    return Candidate(kernel, (Option(None, UNSTRUCTURED, dense_bytes, 0.0), *(Option(*each) for each in options)))


def curve(name, dense_bytes, steepness):
    """Return a kernel whose loss rises with the square of its sparsity, in both blocks."""
    shares = (0.5, 0.7, 0.8, 0.9, 0.95)
    plain = [(s, UNSTRUCTURED, round(dense_bytes * 2 * (1 - s)), steepness * s**2) for s in shares]
    rows = [(s, ROWS, round(dense_bytes * 1.1 * (1 - s)), 2 * steepness * s**2) for s in shares]
    return candidate(name, dense_bytes, plain + rows)


def nbytes(choice):
    return sum(option.nbytes for option in choice.values())


def rise(choice):
    return sum(option.rise for option in choice.values())


MODELS = st.lists(st.tuples(st.integers(100, 5000), st.floats(0.01, 10)), min_size=1, max_size=4)


@given(MODELS, st.floats(0, 1.2))
def test_a_budget_is_kept_and_better_used_the_larger_it_is(kernels, share):
    candidates = [curve(str(i), *each) for i, each in enumerate(kernels)]
    floor, whole = nbytes(choosing.lightest(candidates)), sum(size for size, _ in kernels)
    budget = round(floor + share * (whole - floor))
    choice = choosing.under_budget(candidates, budget)
    assert choice.keys() == {str(i) for i in range(len(kernels))}
    assert nbytes(choice) <= budget
    if budget >= whole:
        assert all(option.sparsity is None for option in choice.values())
    assert choosing.under_budget(candidates, floor - 1) is None


def test_the_kernel_that_loses_less_gets_fewer_bytes():
    candidates = [curve("robust", 1000, 0.1), curve("fragile", 1000, 1.0)]
    choice = choosing.under_budget(candidates, 900)
    assert choice["robust"].nbytes < choice["fragile"].nbytes


def test_a_block_is_taken_where_it_pays():
    blocks_cost_nothing = candidate("a", 1000, [(0.8, UNSTRUCTURED, 400, 0.5), (0.8, ROWS, 220, 0.5)])
    blocks_cost_much = candidate("a", 1000, [(0.8, UNSTRUCTURED, 400, 0.5), (0.8, ROWS, 220, 5.0)])
    assert choosing.under_budget([blocks_cost_nothing], 400)["a"].block == ROWS
    assert choosing.under_budget([blocks_cost_much], 400)["a"].block == UNSTRUCTURED


def test_where_nothing_is_lost_weights_are_kept():
    free = candidate("a", 1000, [(0.5, UNSTRUCTURED, 900, 0.0), (0.9, UNSTRUCTURED, 400, 0.0)])
    assert choosing.under_budget([free], 950)["a"].sparsity == 0.5
    assert choosing.under_budget([free], 1000)["a"].sparsity is None


def test_no_kernel_pays_for_all_others():
    """By its scan the second one costs nothing; it still gets a quarter of its uniform bytes."""
    candidates = [curve("a", 4000, 1.0), curve("b", 4000, 1e-9)]
    alike = choosing.under_budget([candidates[0]], 3200)["a"].nbytes
    assert choosing.under_budget(candidates, 6400)["b"].nbytes >= alike / choosing.BYTES_RATIO


def plain(*options):
    """Options without blocks: (sparsity, bytes, rise)."""
    return [(sparsity, UNSTRUCTURED, size, rise) for sparsity, size, rise in options]


def test_no_kernel_gets_more_than_four_times_its_uniform_bytes():
    """Both at 0.9 take 1,100 of 1,600 bytes. The first could use the other 500 best, but may have only 4 x 100."""
    fragile = candidate("fragile", 1000, plain((0.5, 500, 1.0), (0.6, 400, 2.0), (0.9, 100, 10.0)))
    other = candidate("other", 10_000, plain((0.5, 5000, 0.1), (0.6, 4000, 0.2), (0.9, 1000, 0.5)))
    choice = choosing.under_budget([fragile, other], 1600)
    assert {name: option.nbytes for name, option in choice.items()} == {"fragile": 400, "other": 1000}


def test_no_kernel_gets_less_than_a_quarter_of_its_uniform_bytes():
    """Both at 0.9 take 800 of 900 bytes. The second could shrink to 40 at no loss, but only to 400 / 4 is allowed."""
    fragile = candidate("fragile", 4000, plain((0.75, 860, 0.9), (0.8, 800, 1.0), (0.9, 400, 5.0)))
    free = candidate("free", 4000, plain((0.8, 800, 0.0), (0.9, 400, 0.0), (0.95, 100, 0.0), (0.99, 40, 0.0)))
    choice = choosing.under_budget([fragile, free], 900)
    assert {name: option.nbytes for name, option in choice.items()} == {"fragile": 800, "free": 100}


def test_uniform_is_in_the_first_block_that_there_is():
    """Both at 0.9 in rows take 880 bytes; so the second one gets no less than 110."""
    fragile = candidate("fragile", 4000, [(0.8, ROWS, 800, 1.0), (0.9, ROWS, 440, 5.0)])
    free = candidate("free", 4000, [(0.9, ROWS, 440, 0.0), (0.95, ROWS, 110, 0.0), (0.99, ROWS, 90, 0.0)])
    assert choosing.under_budget([fragile, free], 909)["fragile"].nbytes == 440  # 800 and 90 would fit
    assert choosing.under_budget([fragile, free], 910)["fragile"].nbytes == 800


def test_a_budget_of_exactly_the_bytes_is_enough():
    candidates = [curve("a", 1000, 1.0), curve("b", 3000, 1.0)]
    assert all(option.sparsity is None for option in choosing.under_budget(candidates, 4000).values())
    assert any(option.sparsity is not None for option in choosing.under_budget(candidates, 3999).values())
    # The floor: 0.95 zeros in blocks take 55 and 165 bytes.
    assert choosing.under_budget(candidates, 220) == choosing.lightest(candidates)
    assert nbytes(choosing.lightest(candidates)) == 220
    assert choosing.under_budget(candidates, 219) is None


@given(MODELS)
def test_the_way_back_leads_from_the_floor_to_the_untouched_model(kernels):
    candidates = [curve(str(i), *each) for i, each in enumerate(kernels)]
    way = choosing.way_back(candidates)
    assert nbytes(way[0]) == nbytes(choosing.lightest(candidates))
    assert all(option.sparsity is None for option in way[-1].values())
    gains = []
    for before, after in itertools.pairwise(way):
        assert nbytes(after) >= nbytes(before)
        assert sum(before[name] != after[name] for name in before) == 1  # one kernel at a time
        gains.append((rise(before) - rise(after)) / max(nbytes(after) - nbytes(before), 1))
    assert gains == pytest.approx(sorted(gains, reverse=True))  # the largest loss for each byte saved comes first


def bytes_on_the_way_back(*candidates):
    return [tuple(option.nbytes for option in choice.values()) for choice in choosing.way_back(candidates)]


def test_the_way_back_leaves_out_what_lies_on_or_above_the_hull_or_beyond_the_kernel_itself():
    """From 10 bytes and a rise of 8 by 0.1 a byte to 50 and 4, then by 0.08 to the unchanged kernel of 100 bytes."""
    curved = candidate(
        "a",
        100,
        plain(
            (0.9, 10, 8.0),
            (0.85, 20, 7.9),  # above the line to the next but one
            (0.8, 30, 6.0),  # on it
            (0.7, 45, 9.0),  # worse than what is lighter
            (0.6, 50, 4.0),
            (0.55, 60, 4.0),  # no better than what is lighter
            (0.5, 90, 3.9),
            (0.4, 99, 0.5),
            (0.3, 120, 0.0),  # heavier than the kernel itself
        ),
    )
    assert bytes_on_the_way_back(curved) == [(10,), (50,), (100,)]


def test_several_options_may_fall_off_the_hull_at_once():
    bent = candidate("a", 100, plain((0.9, 10, 9.0), (0.8, 20, 8.0), (0.7, 30, 7.5), (0.6, 40, 7.2), (0.5, 50, 1.0)))
    assert bytes_on_the_way_back(bent) == [(10,), (50,), (100,)]
    straight = candidate(
        "a", 100, plain((0.9, 10, 9.0), (0.8, 20, 5.0), (0.7, 30, 3.0), (0.6, 40, 2.0), (0.5, 50, 1.5))
    )
    assert bytes_on_the_way_back(straight) == [(10,), (20,), (30,), (40,), (50,), (100,)]


def test_the_way_back_ends_with_the_kernel_itself_where_it_is_no_better():
    free = candidate("a", 100, plain((0.9, 10, 1.0), (0.5, 50, 0.0)))
    assert bytes_on_the_way_back(free) == [(10,), (50,), (100,)]


def test_a_single_byte_counts_as_one():
    near = candidate("near", 11, plain((0.9, 10, 1.0)))
    far = candidate("far", 20, plain((0.9, 10, 8.0)))
    assert bytes_on_the_way_back(far, near) == [(10, 10), (10, 11), (20, 11)]


def test_zeros_and_blocks_stay_when_a_plan_is_tightened():
    both = curve("a", 1000, 1.0)
    now = next(option for option in both.options if option.block == ROWS and option.sparsity == 0.8)
    assert {(each.block, each.sparsity) for each in both.from_here(now).options} == {
        (ROWS, 0.8),
        (ROWS, 0.9),
        (ROWS, 0.95),
    }
    assert both.from_here(both.options[0]).options == both.options
