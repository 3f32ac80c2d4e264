"""``tflite-sparse report``."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

import tflite_sparse
from tflite_sparse.settings import DEFAULT_OUT


@click.command()
@click.argument("folder", metavar="[DIR]", default=DEFAULT_OUT, type=click.Path(path_type=Path))
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def report(folder: Path, opens: bool) -> None:
    """Make DIR/report.html again from DIR/report.json and the sparse file beside it, and print its path.

    DIR is a folder that `export` or `fit` wrote, or one of `sweep`, whose sweep.json is read: tflite-sparse-out where
    none is given.

    Exit code: 0 done, 2 there is no report in DIR.
    """
    page = tflite_sparse.rebuild_report(folder)
    click.echo(page)
    if opens:
        webbrowser.open(page.resolve().as_uri())
