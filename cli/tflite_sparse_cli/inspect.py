"""``tflite-sparse inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from tflite_sparse_cli.options import json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table


@click.command(short_help="Show what a .tflite file holds and who loads it.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@quiet_option
def inspect(file: Path, as_json: bool, quiet: bool) -> None:
    """Show what is in a .tflite FILE: every constant and how it is stored, who loads it, what it could take.

    Nothing is written. Exit code: 0 done, 2 FILE cannot be read.
    """
    from tflite_sparse.inspection import inspect as run
    from tflite_sparse.report import file_tables

    found = run(file, progress=progress_for(quiet))
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    print_table(file_tables.constants(found), f"Constants of {file}")
    print_lines(file_tables.summary(found))
