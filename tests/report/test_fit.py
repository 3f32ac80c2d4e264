"""Test the terminal output of ``fit``."""

from tflite_sparse.report.page import fit as fit_page
from tflite_sparse.report.text import fit as fit_tables
from tflite_sparse.results.export import Accuracy, Gates, Interval, Paired
from tflite_sparse.results.fit import FitChannels, FitKernel, FitLimit, FitReport, FitRound, FixedConstant
from tflite_sparse.settings import FitSettings


def kernel(name, **changes):
    values = {
        "name": name,
        "type": "Dense",
        "shape": (512, 16),
        "block": "1x16",
        "planned": 0.9,
        "sparsity": 0.9,
        "untouched_bytes": 8192,
        "predicted_bytes": 1000,
        "file_bytes": 990,
        "predicted_rise": 0.25,
    }
    return FitKernel(**values | changes)


def report(**changes):
    values = {
        "tool": "tflite-sparse",
        "model": "model.keras",
        "data": "digits",
        "settings": {"out": "folder"},
        "mode": "budget",
        "budget_bytes": 9000,
        "floor_bytes": 7000,
        "untouched_bytes": 18000,
        "rest_bytes": 5700,
        "fixed": [FixedConstant(name="classes", bytes=300)],
        "kernels": [kernel("dense/kernel"), kernel("last/kernel", block=None, planned=None, file_bytes=None)],
        "rounds": [
            FitRound(number=1, epochs=3, predicted_bytes=8990, file_bytes=8900, held_out_drop=None, passed=True)
        ],
        "predicted_bytes": 8990,
        "file_bytes": 8900,
        "prediction_error": 8990 / 8900 - 1,
        "metric": "top1",
        "samples": 359,
        "dense_accuracy": 0.97,
        "accuracy": 0.95,
        "gates": Gates(passed=True, failures=[]),
        "warnings": [],
        "seconds": {},
    }
    return FitReport(**values | changes)


def test_each_kernel_has_a_row():
    table = fit_tables.kernels(report())
    by_name = {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}
    assert by_name["dense/kernel"]["block"] == "1x16"
    assert by_name["dense/kernel"]["stored B"] == "990"
    assert by_name["last/kernel"]["block"] == "as it was"
    assert by_name["last/kernel"]["stored B"] == "unknown"
    assert "values" not in table.headings


def test_shared_values_have_a_column():
    table = fit_tables.kernels(report(kernels=[kernel("dense/kernel", values=16), kernel("last/kernel")]))
    place = table.headings.index("values")
    assert [row[place] for row in table.rows] == ["16", "all"]
    assert {len(row) for row in table.rows} == {len(table.headings)}


def test_the_sentences_tell_size_limits_and_accuracy():
    text = "\n".join(fit_tables.sentences(report()))
    assert "8,900 bytes, of 9,000 allowed; 8,990 were predicted (+1.01%), in 1 round." in text
    assert "This model fits into 7,000 to 18,000 bytes; 6,000 of them are fixed." in text
    assert "top1 0.9500, dense float32 0.9700, on 359 test samples" in text


def test_intervals_and_the_comparison_on_the_same_samples_are_told():
    paired = Paired(against="dense_float32", difference=-0.02, interval=None, lost=9, gained=2, p_value=0.065)
    lines = fit_tables.sentences(
        report(
            interval=Interval(low=0.92, high=0.97, method="wilson"),
            compared=Accuracy(metric="top1", samples=359, drop=0.02, max_drop=1.0, paired=[paired]),
        )
    )
    text = "\n".join(lines)
    assert "top1 0.9500 [0.920, 0.970], dense float32 0.9700, on 359" in text
    assert "Against dense float32: no loss that 359 samples can show (p = 0.065; 9 samples lost, 2 gained)." in lines


def test_training_that_the_dense_model_had_not_is_told():
    rounds = [
        FitRound(number=number, epochs=epochs, predicted_bytes=1, file_bytes=1, held_out_drop=None, passed=True)
        for number, epochs in ((1, 3), (2, 1))
    ]
    words = "The sparse model was trained for {} epochs more than the dense one."
    assert words.format(4) in "\n".join(fit_tables.sentences(report(rounds=rounds)))
    of_gate = report(mode="gate", budget_bytes=None, rounds=rounds[::-1])  # each of them started from the dense model
    assert words.format(3) in "\n".join(fit_tables.sentences(of_gate))
    untrained = [rounds[0].model_copy(update={"epochs": 0})]
    assert "The sparse model had" not in "\n".join(fit_tables.sentences(report(rounds=untrained)))


def test_what_failed_is_told():
    failed = report(accuracy=None, gates=Gates(passed=False, failures=["budget: too large"]), warnings=["mind this"])
    lines = fit_tables.sentences(failed)
    assert "FAILED budget: too large" in lines
    assert "Warning: mind this" in lines
    assert any(line.startswith("Accuracy: unknown") for line in lines)


def with_limits(**changes):
    limits = [
        FitLimit(resource="multiply_adds", limit=5e6, untouched=9e6, least=1e6, predicted=4.9e6, used=4.8e6),
        FitLimit(resource="latency_ms", limit=1.5, untouched=3.25, least=0.5, predicted=1.4, used=1.375),
    ]
    channels = [
        FitChannels(kernels=("a/kernel", "b/kernel"), channels=64, planned=32, kept=30, predicted_rise=0.5),
        FitChannels(kernels=("c/kernel",), channels=16, planned=16, kept=16, predicted_rise=0.0),
    ]
    return report(**{"limits": limits, "channels": channels} | changes)


def test_limits_and_channels_are_told():
    found = with_limits()
    text = "\n".join(fit_tables.sentences(found))
    assert "Multiply-adds: 4,800,000, of 5,000,000 allowed; 9,000,000 with all channels." in text
    assert "Latency (ms): 1.375, of 1.5 allowed; 3.25 with all channels." in text
    assert "Channels: 46 of 80 are kept, in 2 groups." in text
    assert "without the channels that go for the limits" in text
    assert fit_tables.channels(found).rows[0] == ("a/kernel, b/kernel", "64", "32", "30", "0.5")
    assert fit_tables.limits(found).rows[1] == ("Latency (ms)", "3.25", "0.5", "1.5", "1.4", "1.375")
    assert fit_page.of(found).aim == (
        "The most accurate file of at most 9,000 bytes and at most 5,000,000 multiply-adds and at most 1.5 ms"
    )
    alone = with_limits(mode="limits", budget_bytes=None, kernels=[])
    assert "This model fits into" not in "\n".join(fit_tables.sentences(alone))
    assert fit_page.of(alone).aim.startswith("The most accurate file of at most 5,000,000 multiply-adds")
    gated = with_limits(mode="gate", budget_bytes=None)
    assert fit_page.of(gated).aim.startswith("The smallest file within the accuracy gate and at most 5,000,000")


def test_what_a_run_aims_at_and_what_failed():
    settings = FitSettings(budget="9kB", max_macs=5_000_000, max_latency=1.5)
    assert fit_tables.aim(settings) == "9,000 bytes, 5,000,000 multiply-adds and 1.5 ms"
    assert fit_tables.aim(FitSettings(gate=True)) == "the gate"
    words = fit_tables.beyond("latency_ms", 1.75, settings, 4)
    assert words.startswith("max_latency: the file takes 1.75 ms after 4 rounds, 1.5 ms are allowed.")
    assert words.endswith("Try more --rounds, or a larger --max-latency")


def test_advice_names_only_what_a_run_reads():
    gated = FitSettings(gate=True, max_latency=1.5)
    assert fit_tables.beyond("latency_ms", 1.75, gated, 4).endswith("are allowed. Try a larger --max-latency")
    assert fit_tables.remedies(gated) == "search with a smaller drop, or a larger --max-latency"
    assert fit_tables.remedies(FitSettings(gate=True)) == "search with a smaller drop"
    assert fit_tables.remedies(FitSettings(budget=9000, max_macs=1000)) == "a larger --budget or --max-macs"
    assert fit_tables.remedies(FitSettings(max_macs=1000)) == "a larger --max-macs"
