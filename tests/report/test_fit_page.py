"""Test the page of a fit in a browser: aim, plan and rounds above the export's sections, and the fit's own gates."""

import pytest
from test_fit import kernel, report

from helpers.example_reports import make
from helpers.tools import run_cli
from tflite_sparse.report.page import export as export_page
from tflite_sparse.results.export import Gates
from tflite_sparse.results.fit import FitRound


@pytest.fixture
def shown(tmp_path, visit):
    """Return the text of the page of a fit."""

    def text(exported=None, width=1280, **changes):
        path = tmp_path / "report.html"
        path.write_text(export_page.render(exported or make(), fitted=report(**changes)))
        page = visit(path, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        return page.locator("body").inner_text()

    return text


@pytest.mark.parametrize("width", [320, 1280])
def test_the_plan_is_shown(shown, width):
    text = shown(width=width)
    assert "The most accurate file of at most 9,000 bytes" in text
    for words in ("Plan", "dense/kernel", "1x16", "as it was", "8,900 bytes, of 9,000 allowed", "classes\t300"):
        assert words in text
    assert "held-out drop" not in text  # nothing of the sort is measured under a budget


def test_under_a_gate_each_round_tells_what_it_lost(shown):
    rounds = [
        FitRound(number=1, epochs=3, predicted_bytes=8000, file_bytes=8100, held_out_drop=0.0312, passed=False),
        FitRound(number=2, epochs=3, predicted_bytes=8990, file_bytes=8900, held_out_drop=0.0087, passed=True),
    ]
    text = shown(mode="gate", budget_bytes=None, rounds=rounds)
    assert "The smallest file within the accuracy gate" in text
    assert "1\t3\t8,000\t8,100\t0.0312\tno" in text
    assert "2\t3\t8,990\t8,900\t0.0087\tyes" in text


def test_the_verdict_is_that_of_the_fit(shown):
    assert make().gates.passed
    text = shown(gates=Gates(passed=False, failures=["budget: too large"]), warnings=["mind <b>this</b>"])
    assert "A gate failed." in text
    assert "budget: too large" in text
    assert "mind <b>this</b>" in text  # as text


def test_names_are_text(shown):
    name = "<script>alert(1)</script>"
    assert name in shown(kernels=[kernel(name)])


def test_a_plan_of_other_files_is_left_out(tmp_path):
    """An export into the folder of an earlier fit leaves its plan there."""
    exported = make()
    (tmp_path / "report.json").write_text(exported.model_dump_json())
    sparse = exported.models.sparse

    def page(**changes):
        (tmp_path / "fit.json").write_text(report(**changes).model_dump_json())
        assert run_cli("report", tmp_path).code == 0
        return (tmp_path / "report.html").read_text()

    assert "<h2>Plan</h2>" in page(file_bytes=sparse.file_bytes, accuracy=sparse.accuracy)
    assert "<h2>Plan</h2>" not in page(file_bytes=sparse.file_bytes + 4, accuracy=sparse.accuracy)


def test_a_damaged_plan_is_told(tmp_path):
    (tmp_path / "report.json").write_text(make().model_dump_json())
    (tmp_path / "fit.json").write_text("{}")
    run = run_cli("report", tmp_path)
    assert run.code == 2
    assert "fit.json is no report of version 1" in run.stderr
