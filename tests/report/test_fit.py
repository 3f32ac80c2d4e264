"""What ``fit`` shows on a terminal."""

from tflite_sparse.report import fit_tables
from tflite_sparse.report.fit import FitKernel, FitReport, FitRound, FixedConstant
from tflite_sparse.report.model import Gates


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


def test_the_sentences_tell_size_limits_and_accuracy():
    text = "\n".join(fit_tables.sentences(report()))
    assert "8,900 bytes, of 9,000 allowed; predicted were 8,990 (+1.01%), in 1 round." in text
    assert "Between 7,000 bytes and 18,000 this model can be fitted; 6,000 of them are fixed." in text
    assert "top1 0.9500, dense float32 0.9700, on 359 test samples" in text


def test_what_failed_is_told():
    failed = report(accuracy=None, gates=Gates(passed=False, failures=["budget: too large"]), warnings=["mind this"])
    lines = fit_tables.sentences(failed)
    assert "FAILED budget: too large" in lines
    assert "Warning: mind this" in lines
    assert any(line.startswith("Accuracy: unknown") for line in lines)
