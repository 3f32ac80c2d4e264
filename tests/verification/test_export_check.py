"""What counts as a failure of the check that every export makes, and what its report says."""

import numpy as np
import pytest

from tflite_sparse.base.progress import Silent
from tflite_sparse.errors import VerificationError
from tflite_sparse.runtime import litert
from tflite_sparse.verification import exactness
from tflite_sparse.verification import export_check as verification
from tflite_sparse.verification.exactness import OutputComparison

EXACT = OutputComparison("one", 4, True, 0.0, share_of_range=0.0)


def compared(monkeypatch, answers, share_of_range=0.0):
    """What :func:`verify_outputs` makes of the answers of LiteRT's runtimes, in their order."""
    left = dict(zip(litert.ALL_KERNELS, answers, strict=True))

    def compare(sparse, dense, samples, kernels):
        assert (sparse, dense, samples) == ("sparse", "dense", ["probes"])
        answer = left.pop(kernels)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(exactness, "compare_outputs", compare)
    found = verification.verify_outputs("sparse", "dense", ["probes"], Silent().stage, share_of_range)
    assert not left
    return found


def differing(share, largest=3.0):
    return OutputComparison("two", 4, False, largest, share_of_range=share)


def test_every_runtime_is_asked(monkeypatch):
    answers = [EXACT, OutputComparison("two", 4, None, None, "no such kernel"), EXACT]
    found, failures = compared(monkeypatch, answers)
    assert (found, failures) == (answers, [])


@pytest.mark.parametrize("place", range(3))
def test_a_difference_in_one_runtime_is_a_failure(place, monkeypatch):
    answers = [EXACT] * 3
    answers[place] = differing(0.001)
    found, failures = compared(monkeypatch, answers)
    assert found == answers
    assert failures == ["verification: outputs differ from the dense file's by up to 3 in two"]


@pytest.mark.parametrize(
    ("share", "allowed", "passes"),
    [
        (1 / 255, 0.0, False),
        (0.02, 0.02, True),
        (np.nextafter(0.02, 1), 0.02, False),
        (0.0, 0.02, False),  # 0.0 against -0.0, or an output that is missing
        (np.inf, 0.02, False),
        (None, 0.02, False),
    ],
)
def test_the_allowed_share_of_the_range_is_the_last_that_passes(share, allowed, passes, monkeypatch):
    _, failures = compared(monkeypatch, [EXACT, EXACT, differing(share)], allowed)
    assert (not failures) == passes


def test_a_runtime_that_refuses_the_sparse_file_alone_is_a_failure(monkeypatch):
    refusal = VerificationError("the dense file runs, the sparse one does not: no")
    found, failures = compared(monkeypatch, [EXACT, refusal, EXACT], 0.02)
    assert found == [EXACT, EXACT]
    assert failures == ["verification: the dense file runs, the sparse one does not: no"]


def test_weights_are_not_forgiven(monkeypatch):
    def check(sparse, dense, *, on_step):
        raise VerificationError(f"{sparse}: weight 'w' is not what {dense} holds.")

    monkeypatch.setattr(exactness, "check_weights", check)
    found = verification.verify_weights("sparse", "dense", Silent().stage)
    assert found == ["verification: sparse: weight 'w' is not what dense holds."]


def test_the_summary_calls_outputs_exact_only_where_every_bit_is():
    """Within the allowed share they are no failure, and not exact."""
    unavailable = OutputComparison("three", 4, None, None, "no such kernel")
    found = verification.summary(True, 4, [EXACT, unavailable], [])
    assert (found.weights_bit_exact, found.outputs_bit_exact, found.samples) == (True, True, 4)
    assert [(each.name, each.outputs_bit_exact, each.unavailable) for each in found.runtimes] == [
        ("one", True, None),
        ("three", None, "no such kernel"),
    ]
    assert not verification.summary(False, 4, [EXACT], []).weights_bit_exact
    allowed = verification.summary(True, 4, [EXACT, differing(0.01)], [])
    assert not allowed.outputs_bit_exact
    assert allowed.runtimes[1].largest_difference == 3
    assert not verification.summary(True, 4, [EXACT], ["one refuses the sparse file"]).outputs_bit_exact
