"""Test the advice when int8 lost too much."""

import pytest

from tflite_sparse.report.text.alternatives import Remedies, advice, against_sharing, cures, line, shares
from tflite_sparse.results.alternatives import Alternative
from tflite_sparse.results.export import Accuracy, Interval


def way(option, drop, size):
    return Alternative(option=option, accuracy=0.9, drop=drop, file_bytes=size, words="measured")


FAILED = Alternative(option="--broken", words="it cannot be made")


def test_the_smallest_file_within_the_gate_is_taken_even_if_it_loses_exactly_what_is_allowed():
    found = [FAILED, way("--large", 0.001, 3000), way("--small", 0.01, 2000), way("--smallest", 0.011, 1000)]
    assert advice(found, 0.2, 0.01) == "Take --small: the drop is 0.0100, in 2,000 bytes."


def test_beyond_the_gate_the_least_drop_comes_nearest_and_of_equal_ones_the_smaller_file():
    found = [way("--large", 0.05, 3000), way("--small", 0.05, 2000), way("--smallest", 0.06, 1000), FAILED]
    assert advice(found, 0.2, 0.01) == "--small comes nearest: the drop is 0.0500, in 2,000 bytes."


def test_what_loses_as_much_as_int8_does_not_help():
    words = "No other int8 file that was tried loses less."
    assert advice([way("--same", 0.2, 2000), way("--worse", 0.3, 1000)], 0.2, 0.01) == words
    assert advice([way("--hardly", 0.199, 2000)], 0.2, 0.01).startswith("--hardly comes nearest")
    assert advice([FAILED], 0.2, 0.01) == words


def test_each_way_out_has_a_line():
    assert [line(each) for each in (way("--small", 0.01, 2000), FAILED)] == [
        "Instead, --small: accuracy 0.9000, drop 0.0100, 2,000 bytes; measured.",
        "Instead, --broken: it cannot be made",
    ]


BOTH = (("pruning", 0.06), ("int8", -0.01))
EVERYTHING = Remedies(training="--finetune-epochs 5", lower_sparsity=True, calibration=True)


@pytest.mark.parametrize(
    ("pruning", "int8", "open_to", "words"),
    [
        (0.1, 0.02, EVERYTHING, "Try --finetune-epochs 5, a lower --sparsity or more --calibration-samples."),
        (0.02, 0.1, EVERYTHING, "Try more --calibration-samples, --finetune-epochs 5 or a lower --sparsity."),
        (0.1, 0.0, EVERYTHING, "Try --finetune-epochs 5 or a lower --sparsity."),
        (0.09, 0.01, EVERYTHING, "Try --finetune-epochs 5 or a lower --sparsity."),
        (-0.01, 0.1, EVERYTHING, "Try more --calibration-samples."),
        (0.1, None, Remedies(lower_sparsity=True), "Try a lower --sparsity."),
        (None, None, EVERYTHING, "Try --finetune-epochs 5, a lower --sparsity or more --calibration-samples."),
        (0.0, 0.1, Remedies(), ""),
    ],
)
def test_what_costs_more_is_cured_first_and_what_costs_nothing_is_not(pruning, int8, open_to, words):
    lost = Accuracy(
        metric="top1", samples=100, drop=0.1, max_drop=0.01, drop_by_pruning=pruning, drop_by_int8=int8
    )  # fmt: skip
    assert cures(lost, open_to) == words


@pytest.mark.parametrize(
    ("sharing", "words"),
    [
        (0.02, "Try more --shared-values, or none: without them the drop is 0.0800."),
        (0.01, ""),  # a tenth of the drop
        (None, ""),
    ],
)
def test_more_values_are_recommended_where_sharing_costs_a_part_that_matters(sharing, words):
    lost = Accuracy(
        metric="top1", samples=100, drop=0.1, max_drop=0.01, drop_by_pruning=0.05, drop_by_int8=0.03,
        drop_by_sharing=sharing,
    )  # fmt: skip
    assert against_sharing(lost) == words


def test_the_shares_are_told_as_far_as_they_are_known():
    lost = Accuracy(metric="top1", samples=100, drop=0.1, max_drop=0.01, drop_by_pruning=0.08, drop_by_int8=0.02)
    assert shares(lost) == "pruning costs 0.0800, int8 0.0200"
    assert shares(lost.model_copy(update={"drop_by_int8": None})) == "pruning costs 0.0800"
    assert shares(lost.model_copy(update={"drop_by_pruning": None})) == ""
    intervals = {f"interval_by_{part}": Interval(low=low, high=0.1, method="bootstrap") for part, low in BOTH}
    told = "pruning costs 0.0800 [0.060, 0.100], int8 0.0200 [-0.010, 0.100]"
    assert shares(lost.model_copy(update=intervals)) == told
