"""Test the page of a sweep in a browser: positions of points, the answer on top, and nothing loaded."""

import pytest
from test_sweep import grid, report

from helpers.tools import run_cli
from tflite_sparse.report.page import sweep as sweep_page


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sweep.json").write_text(report(grid()).model_dump_json())
    run = run_cli("report", tmp_path)
    assert (run.code, run.stdout.strip()) == (0, str(tmp_path / "report.html"))
    return tmp_path


def test_points_lie_where_their_numbers_say(folder, visit):
    page = visit(folder / "report.html")
    marks = page.locator(".scatter g")
    assert marks.count() == 8  # configurations, not seeds
    found = {}
    for mark in marks.all():
        circle = mark.locator("circle")
        name = mark.locator("title").text_content().partition(":")[0]
        found[name] = float(circle.get_attribute("cx")), float(circle.get_attribute("cy"))
    small, large = found["width 0.25, dense"], found["width 1, dense"]
    assert small[0] < large[0]  # fewer bytes
    assert small[1] > large[1]  # less accurate: lower
    assert found["width 1, 0.9 zeros"][0] == found["width 0.5, dense"][0]  # both 80,000 bytes
    assert found["width 1, 0.9 zeros"][1] < found["width 0.5, dense"][1]
    assert page.locator(".scatter polyline").count() == 3  # the families, blocks apart
    named = page.locator(".scatter text.family").all_text_contents()
    assert sorted(named) == ["blocks 1x16", "large sparse", "small dense"]
    assert "of the small dense one" in page.locator(".verdict").inner_text()
    assert "At equal gzip bytes" in page.locator("main").inner_text()


@pytest.mark.parametrize("width", [320, 1280])
def test_no_width_needs_sideways_scrolling(folder, visit, width):
    page = visit(folder / "report.html", viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_failed_point_is_told_on_top(tmp_path, visit):
    path = tmp_path / "report.html"
    path.write_text(sweep_page.render(report(grid(), failures=["1-0.9-1x1-0: <b>out of memory</b>"])))
    verdict = visit(path).locator(".verdict").inner_text()
    assert "Some points failed." in verdict
    assert verdict.count("<b>out of memory</b>") == 1


def test_nothing_measured(tmp_path, visit):
    path = tmp_path / "report.html"
    path.write_text(sweep_page.render(report([])))
    assert "Nothing to compare" in visit(path).locator(".verdict").inner_text()
