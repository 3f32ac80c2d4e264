"""Test what reports say of dead channels."""

from pathlib import Path

import pytest

from helpers import example_reports
from tflite_sparse.report.page import export as page
from tflite_sparse.report.text import dead_channels as words
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import markdown, next_steps
from tflite_sparse.results.dead_channels import (
    BeforeAfter,
    Channels,
    CutLayer,
    DeadChannels,
    LeftChannels,
    RemainingChannels,
)
from tflite_sparse.results.verification import RuntimeCheck, VerificationReport, WeightsCheck


def layer(name, outputs, inputs=(3, 3)):
    both = {key: BeforeAfter(before=a, after=b) for key, (a, b) in (("outputs", outputs), ("inputs", inputs))}
    return CutLayer(name=f"net/{name}/Conv2D", layer=name, operator="CONV_2D", **both)


DEAD = DeadChannels(
    layers=[layer("stem", (16, 9)), layer("head", (10, 10), (16, 9))],
    multiply_adds=BeforeAfter(before=1000, after=400),
    dense_bytes=BeforeAfter(before=5000, after=3000),
    is_exact=True,
)
GONE = Channels(dead=DEAD, removed=True, file_bytes=BeforeAfter(before=4000, after=2000))
KEPT = Channels(dead=DEAD, removed=False, reason="outputs are not equal bit for bit in a runtime.")


@pytest.mark.parametrize(
    ("found", "sentence", "heading"),
    [
        (
            GONE,
            "Dead channels: 7 of 26 in 2 operators left the file; multiply-adds 1,000 to 400 (40%), bytes of the file "
            "4,000 to 2,000 (50%).",
            "## Dead channels\n",
        ),
        (
            KEPT,
            "Dead channels: 7 of 26 in 2 operators stay, because outputs are not equal bit for bit in a runtime.",
            "## Dead channels, which stay\n",
        ),
    ],
)
def test_every_report_tells_of_them(found, sentence, heading):
    report = example_reports.make(channels=found)
    assert sentence in tables.verdicts(report)
    text, html = markdown.render(report), page.render(report)
    assert f"- {sentence}" in text
    assert heading in text
    assert "| stem | CONV_2D | 3 to 3 | 16 to 9 |" in text
    assert sentence in html
    assert "16 to 9" in html
    assert ("They stay in the file" in html) != found.removed


def test_what_is_left_is_named():
    left = LeftChannels(tensor="net/mean", channels=1200, reason="it is another constant in a runtime.")
    sentence = "1,200 dead channels of 'net/mean' stay, because it is another constant in a runtime."
    assert words.lines(GONE.model_copy(update={"left": [left]}))[-1] == sentence


def checked(*exact):
    """Channels that went; ``exact``: whether outputs are equal bit for bit in each runtime."""
    checks = [
        RuntimeCheck(name=f"runtime {i}", gate=True, signature=None, outputs_bit_exact=each, within_tolerance=True)
        for i, each in enumerate(exact)
    ]
    weights = WeightsCheck(compared=1, values=1, equal=1, missing=[], different=[])
    proof = VerificationReport(
        tool="", file="", against="", samples=1, seed=0, tolerance=0.0, weights=weights, runtimes=checks, passed=True,
        failures=[],
    )  # fmt: skip
    return GONE.model_copy(update={"verification": proof})


@pytest.mark.parametrize(("exact", "is_told"), [((True, True), False), ((True, False), True)])
def test_an_export_is_compared_with_what_it_equals(exact, is_told):
    line = next(
        line
        for line in tables.verdicts(example_reports.make(channels=checked(*exact)))
        if line.startswith("Verification: ")
    )
    assert ("outputs equal with those of the dense file without its dead channels bit for bit" in line) == is_told


def test_runtimes_are_named_once_with_their_signatures():
    found = checked(True, True, True)
    checks = [
        check.model_copy(update={"name": name, "signature": signature})
        for check, name, signature in zip(found.verification.runtimes, "aab", ("one", "two", "one"), strict=True)
    ]
    proof = found.verification.model_copy(update={"runtimes": checks})
    found = found.model_copy(update={"verification": proof})
    assert "bit for bit in a (signature 'one' and 'two'), b (signature 'one') (1 samples" in words.lines(found)[1]


def remaining(name, channels, keeper, multiple=0):
    return RemainingChannels(name=f"net/{name}/Conv2D", layer=name, channels=channels, keeper=keeper, multiple=multiple)


STAY = DEAD.model_copy(
    update={"remaining": [*(remaining(f"conv{i}", 8 + i, "GELU") for i in range(7)), remaining("head", 4, "MEAN", 16)]}
)
STAY_WORDS = (
    "Channels with weights of 0 that stay: 77 (conv6 14, conv5 13, conv4 12, conv3 11, conv2 10, 2 more) for GELU; "
    "4 (head 4) for MEAN, which keeps a multiple of 16 or all."
)


@pytest.mark.parametrize("found", [GONE, KEPT])
def test_channels_with_weights_of_0_that_stay_are_named(found):
    found = found.model_copy(update={"dead": STAY})
    assert STAY_WORDS in words.lines(found)
    assert STAY_WORDS in words.of_inspected(STAY)
    assert STAY_WORDS in markdown.render(example_reports.make(channels=found))


def test_where_none_can_go_only_these_are_named():
    found = Channels(dead=STAY.model_copy(update={"layers": []}), removed=False)
    assert words.lines(found) == words.of_inspected(found.dead) == [STAY_WORDS]
    report = example_reports.make(channels=found)
    assert "## Dead channels" not in markdown.render(report)
    assert "<h2>Dead channels</h2>" not in page.render(report)


@pytest.mark.parametrize(
    ("merged", "words_of_it"), [(0, "places;"), (1, "in one kernel sums"), (2, "in 2 kernels sums")]
)
def test_sums_of_weights_are_told(merged, words_of_it):
    dead = DEAD.model_copy(update={"merged": merged})
    assert words_of_it in words.lines(checked(True).model_copy(update={"dead": dead}))[1]


def test_without_any_nothing_is_said():
    report = example_reports.make()
    assert not any("channels" in line for line in words.lines(report.channels))
    assert "Dead channels" not in markdown.render(report)
    assert "Dead channels" not in page.render(report)


def test_the_share_of_nothing_is_all_of_it():
    assert BeforeAfter(before=0, after=0).share == 1
    assert BeforeAfter(before=8, after=2).share == 0.25


def test_a_file_without_its_dead_channels_got_smaller():
    """Also where no weight is stored sparse; the next step is no other pruning."""
    made = example_reports.make()
    dense = [each.model_copy(update={"encoded_bytes": each.dense_bytes}) for each in made.tensors]
    without_zeros = made.pruning.model_copy(update={"after": 0.0})
    gone, kept = (example_reports.make(tensors=dense, pruning=without_zeros, channels=each) for each in (GONE, KEPT))
    assert next_steps.nothing_smaller(gone) is None
    assert next_steps.lines(gone, Path("out"))[-1].startswith("Next: tflite-sparse bench ")
    assert next_steps.nothing_smaller(kept).startswith("Nothing got smaller: no zeros")
    few = GONE.model_copy(
        update={"dead": DEAD.model_copy(update={"dense_bytes": BeforeAfter(before=5000, after=4990)})}
    )
    unpruned = example_reports.make(tensors=dense, pruning=without_zeros, channels=few)
    assert next_steps.nothing_smaller(unpruned) is None
    assert next_steps.lines(unpruned, Path("out"))[-1].startswith("Next: tflite-sparse prune ")
