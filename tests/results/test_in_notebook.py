"""Test how results look in Python and in notebooks."""

from html.parser import HTMLParser

import pytest
from pydantic import Field

from helpers.example_reports import make
from tflite_sparse.results.export import Gates
from tflite_sparse.results.part import Part
from tflite_sparse.results.tensor import Tensor


class Numbers(Part):
    items: list[int] = Field(default=[])
    about: dict[str, object] = Field(default={})
    words: str = "usual"


class Tags(HTMLParser):
    """Collects tags that open and close, and text."""

    def __init__(self, text):
        super().__init__()
        self.opened, self.data = [], []
        self.feed(text)
        assert self.opened == []

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        self.data.append(data)


def test_repr_is_short_and_has_what_matters():
    report = repr(make())
    assert report.startswith("Report(tool='tflite-sparse 0.1.0', model='net.keras', data='digits', ratios=Ratios(vs_")
    assert "accuracy=Accuracy(metric='top1', samples=360, drop=0.0064, max_drop=0.01)" in report
    assert "gates=Gates(passed=True)" in report
    assert report.endswith(", ...)")
    assert len(report) < 400
    assert repr(Gates(passed=False, failures=["accuracy: fell"])) == "Gates(passed=False, ...)"
    assert repr(Numbers()) == "Numbers()"
    assert repr(Numbers(words="x" * 100)) == f"Numbers(words='{'x' * 60}...')"


def test_a_notebook_shows_every_value():
    text = " ".join(Tags(make()._repr_html_()).data)
    for words in ("Report", "net.keras", "passed True", "250,880", "first runtime", "no such kernel", "(2)", "0.9812"):
        assert words in text.replace("  ", " ")


def test_text_is_escaped():
    hostile = "<script>alert(1)</script>"
    tensor = Tensor(
        name=hostile, operator=hostile, shape=(1,), sparsity=0, layout="", dense_bytes=1, encoded_bytes=1,
        entropy_bytes=1, reason=hostile,
    )  # fmt: skip
    for found in (make(model=hostile, tensors=[tensor]), Numbers(about={hostile: [hostile, {hostile: hostile}]})):
        assert "<script" not in found._repr_html_()
        assert "&lt;script&gt;" in found._repr_html_()


@pytest.mark.parametrize("count", [100, 101])
def test_long_tables_are_cut_and_say_so(count):
    tensor = make().tensors[0]
    text = make(tensors=[tensor] * count)._repr_html_()
    assert text.count("250,880") == 100
    assert ("and 1 more" in text) == (count > 100)
