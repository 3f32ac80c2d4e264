"""``tflite-sparse inspect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

import tflite_sparse
from tflite_sparse.settings import InspectSettings, RunnableTarget
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_TARGET = click.Option(
    ["--target"],
    type=click.Choice(get_args(RunnableTarget)),
    help="Exit with 1 if this runtime does not load FILE.",
)


@click.command(params=options_of(InspectSettings, _TARGET, order=("target", "input_shapes")))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@quiet_option
def inspect(file: Path, target: str | None, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Show what is in a .tflite FILE: every constant and how it is stored, who loads it, what it could take.

    Nothing is written. Exit code: 0 done, 1 the --target does not load FILE, 2 FILE cannot be read.
    """
    from tflite_sparse.report.text import files as file_tables

    found = tflite_sparse.inspect(file, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        print_table(file_tables.constants(found), f"Constants of {file}")
        print_lines(file_tables.summary(found))
    if target is not None and not found.is_for(target):
        sys.exit(1)
