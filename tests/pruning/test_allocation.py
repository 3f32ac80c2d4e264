"""Test allocated sparsities: total, least predicted loss, and limits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import allocation
from tflite_sparse.pruning.allocation import allocate, curve_of
from tflite_sparse.pruning.plan import Span, frozen, of_settings
from tflite_sparse.pruning.schedule import PolynomialSchedule
from tflite_sparse.report.text.sensitivity import KernelScan, Point, Scan
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel

ASKED = allocation.ALLOCATION_SPARSITIES


def kernel_scan(name, weights, losses, held=0.0, asked=ASKED):
    points = tuple(
        Point(asked=share, sparsity=max(share, held), metric=0.5, loss=loss)
        for share, loss in zip(asked, losses, strict=True)
    )
    return KernelScan(
        name=name, type="Dense", shape=(weights, 1), weights=weights, block="1x1", held=held, points=points
    )


def scan_of(*kernels, baseline=1.0):
    return Scan(model="m", baseline_metric=0.9, baseline_loss=baseline, kernels=kernels)


@st.composite
def scans(draw, most_held=0.0):
    """Draw losses that mostly rise, with noise, some of them below the baseline."""
    losses = st.lists(st.floats(0.9, 9), min_size=len(ASKED), max_size=len(ASKED))
    return scan_of(
        *(
            kernel_scan(
                f"k{number}",
                draw(st.integers(1, 500_000)),
                sorted(values) if draw(st.booleans()) else values,
                draw(st.floats(0, most_held)),
            )
            for number, values in enumerate(draw(st.lists(losses, min_size=1, max_size=7)))
        )
    )


def total_of(scan, sparsities):
    return sum(sparsities[kernel.name] * kernel.weights for kernel in scan.kernels) / scan.weights


@given(scans(), st.floats(0, 0.97), st.floats(1, 64))
def test_total_met_bounds_kept_and_never_worse_than_uniform(scan, total, ratio):
    found = allocate(scan, total, density_ratio=ratio)
    assert total_of(scan, found.sparsities) == pytest.approx(total, abs=1e-9)
    for share in found.sparsities.values():
        assert 0 <= share <= 0.995
        # Rounding errors of the sum over all kernels may fall on one of a single weight.
        assert (1 - total) / ratio - 1e-9 <= 1 - share <= (1 - total) * ratio + 1e-9
    assert found.loss <= found.uniform_loss + 1e-9


@given(scans(most_held=0.6), st.floats(0.6, 0.97))
def test_what_a_kernel_holds_is_kept(scan, total):
    found = allocate(scan, total)
    assert total_of(scan, found.sparsities) == pytest.approx(total, abs=1e-9)
    assert all(found.sparsities[kernel.name] >= kernel.held for kernel in scan.kernels)
    assert found.loss <= found.uniform_loss + 1e-9


@given(scans())
def test_curves_are_convex_rising_and_not_above_what_was_measured(scan):
    for kernel in scan.kernels:
        curve = curve_of(kernel, scan.baseline_loss)
        slopes = np.diff(curve.rise) / np.diff(curve.sparsity)
        assert curve.rise[0] == 0
        assert slopes.min() >= 0
        # Rounding: the knots lie close together towards 1.
        assert np.all(np.diff(slopes) >= -1e-6 * (1 + slopes[1:]))
        highest = 0.0
        for point in kernel.points:
            highest = max(highest, point.loss - scan.baseline_loss)
            assert curve.at(point.sparsity) <= highest + 1e-9


@settings(max_examples=60)
@given(st.data())
def test_exact_against_every_combination(data):
    """The best of all 13^3 allocations of three kernels of 12 weights, cut at twelfths, is no better."""
    asked = tuple(np.arange(1, 12) / 12)
    steps = st.lists(st.integers(0, 20), min_size=11, max_size=11)
    kernels = []
    for number in range(3):
        rises = np.cumsum(sorted(data.draw(steps)))
        kernels.append(kernel_scan(f"k{number}", 12, [1.0 + float(rise) for rise in rises], asked=asked))
    scan = scan_of(*kernels)
    zeros = data.draw(st.integers(0, 33))
    found = allocate(scan, zeros / 36, most=11 / 12, density_ratio=1e9)

    rises = [[0.0, *(point.loss - 1 for point in kernel.points)] for kernel in kernels]
    best = min(
        sum(rise[count] for rise, count in zip(rises, counts, strict=True))
        for counts in itertools.product(range(12), repeat=3)
        if sum(counts) == zeros
    )
    assert found.loss == pytest.approx(best, abs=1e-9)


def test_the_kernel_that_matters_less_gets_more_zeros():
    weak = [1.0, 1.01, 1.02, 1.05, 1.1, 1.2]
    strong = [1.1, 1.5, 2.0, 3.0, 5.0, 7.0]
    found = allocate(scan_of(kernel_scan("weak", 1000, weak), kernel_scan("strong", 1000, strong)), 0.9)
    assert found.sparsities["strong"] < 0.9 < found.sparsities["weak"]
    assert found.loss < found.uniform_loss


def test_the_ratio_keeps_from_extremes():
    scan = scan_of(
        kernel_scan("free", 10_000, [1.0] * 6), kernel_scan("dear", 10_000, [2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    )
    limited = allocate(scan, 0.9, density_ratio=2.0).sparsities
    assert limited["free"] == pytest.approx(0.95)
    assert limited["dear"] == pytest.approx(0.85)
    assert allocate(scan, 0.9, density_ratio=1.0).sparsities == pytest.approx({"free": 0.9, "dear": 0.9})


def test_kernels_that_cost_nothing_get_sparser_side_by_side():
    scan = scan_of(*(kernel_scan(f"k{i}", 100 * (i + 1), [1.0] * 6) for i in range(4)))
    assert list(allocate(scan, 0.7).sparsities.values()) == pytest.approx([0.7] * 4)
    held = scan_of(kernel_scan("some", 100, [1.0] * 6, held=0.6), kernel_scan("none", 100, [1.0] * 6))
    assert allocate(held, 0.5).sparsities == pytest.approx({"some": 0.6, "none": 0.4})
    assert allocate(held, 0.8).sparsities == pytest.approx({"some": 0.8, "none": 0.8})


def test_beyond_the_last_point_each_halving_costs_the_same_and_more_than_a_line():
    kernel = kernel_scan("k", 100, [1.0, 1.2, 1.5, 2.0, 3.0, 4.0])
    curve = curve_of(kernel, 1.0)
    halvings = curve.at(1 - 0.01 / 2 ** np.arange(4))
    assert np.diff(halvings) == pytest.approx([(1.0 / 0.01) * 0.01 * np.log(2)] * 3)
    assert curve.at(0.995) > 3.0 + 100 * 0.005


def test_what_came_sparse_may_leave_the_others_denser_than_the_ratio():
    scan = scan_of(kernel_scan("full", 9000, [1.0] * 6, held=0.99), kernel_scan("k", 1000, [1.0] * 6))
    assert allocate(scan, 0.9, density_ratio=1.5).sparsities == pytest.approx({"full": 0.99, "k": 0.09})


def test_a_kernel_that_the_scan_emptied():
    """Ten weights become all zero when 99 % zeros are demanded."""
    points = tuple(Point(asked=s, sparsity=share, metric=0.5, loss=1 + s) for s, share in ((0.5, 0.5), (0.99, 1.0)))
    tiny = kernel_scan("tiny", 10, [1.0] * 6).model_copy(update={"points": points})
    found = allocate(scan_of(tiny, kernel_scan("k", 1000, [1.0] * 6)), 0.9).sparsities
    assert 0.6 <= found["tiny"] < 0.9 < found["k"]


def test_totals_that_cannot_be_met_say_what_can():
    full = kernel_scan("full", 1000, [1.0] * 6, held=0.9)
    scan = scan_of(full, kernel_scan("k", 1000, [1.0] * 6))
    with pytest.raises(SettingsError, match=r"total = 0.3 cannot be met: within the limits 0.45 to 0.995 can"):
        allocate(scan, 0.3)
    with pytest.raises(SettingsError, match=r"total = 0.999 cannot be met: within the limits 0.45 to 0.995 can"):
        allocate(scan, 0.999)


@pytest.mark.parametrize(
    "arguments",
    [
        {"total": 1.0},
        {"total": -0.1},
        {"total": float("nan")},
        {"total": 0.5, "least": 0.9, "most": 0.8},
        {"total": 0.5, "most": 1.0},
        {"total": 0.5, "density_ratio": 0.5},
        {"total": 0.5, "density_ratio": float("nan")},
    ],
)
def test_shares_out_of_range(arguments):
    with pytest.raises(SettingsError, match="expected shares"):
        allocate(scan_of(kernel_scan("k", 10, [1.0] * 6)), **arguments)


def test_an_empty_scan():
    with pytest.raises(SettingsError, match="nothing to allocate"):
        allocate(scan_of(), 0.5)


KERNELS = [
    Kernel(name, "Dense", (64, 64), lambda: np.ones((64, 64), np.float32), lambda values: None)
    for name in ("a/k", "b/k")
]
SPAN = Span(1000, 100)


def test_a_plan_with_the_allocated_sparsities():
    inner = of_settings(PruningSettings(sparsity=0.9, initial_sparsity=0.8, begin=5, end=500))
    plan = allocation.planner(inner, {"a/k": 0.7, "b/k": 0.95})(KERNELS, SPAN)
    assert [each.schedule for each in plan.kernels] == [
        PolynomialSchedule(0.7, 0.7, 5, 500, 100),  # a sparsity falls at no time
        PolynomialSchedule(0.8, 0.95, 5, 500, 100),
    ]


@pytest.mark.parametrize("constant", [True, False])
def test_either_schedule_ends_at_what_was_allocated(constant):
    inner = of_settings(PruningSettings(sparsity=0.9, schedule="constant" if constant else "polynomial"))
    plan = allocation.planner(inner, {"a/k": 0.7, "b/k": 0.95})(KERNELS, SPAN)
    assert [each.schedule.sparsity_at(900) for each in plan.kernels] == [0.7, 0.95]


@pytest.mark.parametrize(
    ("inner", "sparsities", "message"),
    [
        (of_settings(PruningSettings(sparsity=0.9)), {"a/k": 0.7}, "b/k was not scanned"),
        (of_settings(PruningSettings(block="2:4")), {"a/k": 0.7, "b/k": 0.7}, "a/k: 2:4 makes exactly 0.5"),
        (of_settings(PruningSettings(sparsity=0.9, scope="global")), {"a/k": 0.7, "b/k": 0.7}, "scope = 'global'"),
        (frozen, {"a/k": 0.7, "b/k": 0.7}, "a/k keeps the zeros"),
    ],
)
def test_plans_that_have_no_room_for_an_allocation(inner, sparsities, message):
    with pytest.raises(SettingsError, match=message):
        allocation.planner(inner, sparsities)(KERNELS, SPAN)
