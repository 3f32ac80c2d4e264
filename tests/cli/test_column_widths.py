"""Test how tables fit into a terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from helpers.example_reports import make
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import weights
from tflite_sparse.report.text.table import Table
from tflite_sparse_cli import tables as printed
from tflite_sparse_cli.column_widths import fitted

TEXT = Table(
    ("file name", "bytes", "how it is stored"),
    (("a" * 40 + "1", "1,234,567", "in words " * 5), ("a" * 40 + "2", "1", "")),
    frozenset({"file name"}),
    frozenset({"file name", "how it is stored"}),
    ("bytes",),
)


def shown(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(printed._rich(table, "Title", width))
    return console.file.getvalue()


def test_a_table_that_fits_is_left_as_it_is():
    table, sizes = fitted(TEXT, 120)
    assert table is TEXT
    assert sizes == [41, 9, 45]


def test_headings_wrap_before_columns_are_left_out():
    short = replace(TEXT, rows=(("a", "1,234,567", "b"),))
    table, sizes = fitted(short, 30)
    assert table is short
    assert sizes == [4, 9, 6]


def test_columns_are_left_out_before_text_is_hard_to_read():
    assert fitted(TEXT, 70)[0] is TEXT
    table, sizes = fitted(TEXT, 50)
    assert table.headings == ("file name", "how it is stored")
    assert sum(sizes) + 5 == 50


@pytest.mark.parametrize("width", [20, 50])
def test_a_column_that_is_missing_already_is_not_left_out_again(width):
    """As the multiply-adds of a sweep without channels, which narrow terminals would leave out."""
    assert fitted(TEXT.without("bytes"), width)[0].headings == ("file name", "how it is stored")


@pytest.mark.parametrize("width", [50, 60, 80, 100])
def test_nothing_that_tells_rows_apart_is_lost(width):
    lines = shown(TEXT, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    names = "".join(line[1 : 1 + fitted(TEXT, width)[1][0]].strip() for line in lines[4:])
    assert f"{'a' * 40}1" in names
    assert f"{'a' * 40}2" in names


@pytest.mark.parametrize("table", [tables.files, weights.table])
def test_reports_fit_into_80_columns(table):
    found = table(make())
    text = shown(found, 80)
    assert max(map(len, text.splitlines())) <= 80
    for row in found.rows:
        assert row[found.headings.index("weight" if "weight" in found.headings else "file")] in text
