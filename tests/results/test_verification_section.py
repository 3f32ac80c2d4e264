"""The section of an export's report that is made of the comparison of two files."""

import pytest

from tflite_sparse.results.export import NOT_INSTALLED, Verification
from tflite_sparse.results.verification import (
    AcrossRuntimes,
    OutputDifference,
    RuntimeCheck,
    VerificationReport,
    WeightsCheck,
)


def check(name="one", exact=True, sizes=(), **options):
    differences = [
        OutputDifference(output=f"y{index}", index=index, samples=1, largest_difference=size)
        for index, size in enumerate(sizes)
    ]
    return RuntimeCheck(
        **{"name": name, "gate": True, "signature": None, "outputs_bit_exact": exact, "within_tolerance": exact},
        differences=differences,
        **options,
    )


def section(*checks, equal=2, across=()):
    weights = WeightsCheck(compared=2, values=40, equal=equal, missing=[], different=["w"] * (2 - equal))
    found = VerificationReport(
        **{"tool": "tool", "file": "file", "against": "dense", "samples": 4, "seed": 0, "tolerance": 0.0},
        weights=weights,
        runtimes=list(checks),
        across=list(across),
        passed=True,
        failures=[],
    )
    return Verification.of(found, "the runtime")


def test_runtimes_that_do_not_run_the_dense_file_do_not_count():
    found = section(check(), check("two", exact=None, unavailable="no such kernel"))
    assert (found.weights_bit_exact, found.outputs_bit_exact, found.samples) == (True, True, 4)
    assert [(each.name, each.outputs_bit_exact, each.largest_difference) for each in found.runtimes] == [
        ("one", True, 0.0),
        ("two", None, None),
    ]
    assert [each.unavailable for each in found.runtimes] == [None, "the dense file does not run: no such kernel"]
    assert not section(check("two", exact=None, unavailable="no such kernel")).outputs_bit_exact


@pytest.mark.parametrize(
    ("differing", "largest"),
    [
        (check(exact=False, sizes=(2.0, 3.0)), 3.0),
        (check(exact=False, sizes=(0.0,)), 0.0),  # 0.0 against -0.0
        (check(exact=False, sizes=(2.0, None)), None),  # NaN, or another shape
        (check(exact=False, refused="no"), None),
    ],
    ids=["two outputs", "signs", "nan", "refused"],
)
def test_outputs_are_exact_only_where_every_bit_is(differing, largest):
    """Also where a tolerance allows them to differ."""
    found = section(check(), differing)
    assert not found.outputs_bit_exact
    assert [(each.outputs_bit_exact, each.largest_difference) for each in found.runtimes] == [
        (True, 0.0),
        (False, largest),
    ]


def test_a_weight_that_differs():
    assert not section(check(), equal=1).weights_bit_exact


def test_a_runtime_that_is_not_installed_is_named():
    found = section()
    assert not found.outputs_bit_exact
    assert [(each.name, each.outputs_bit_exact, each.unavailable) for each in found.runtimes] == [
        ("the runtime", None, NOT_INSTALLED)
    ]


def test_what_was_compared_across_runtimes_is_kept():
    across = AcrossRuntimes(runtime="one", beside="two", gate=True, samples=4, explained=True)
    assert section(check(), across=[across]).across == [across]
