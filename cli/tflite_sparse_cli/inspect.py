"""``tflite-sparse inspect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from tflite_sparse.target_registry import RunnableTarget
from tflite_sparse_cli.options import input_shape_option, json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--target",
    type=click.Choice(get_args(RunnableTarget)),
    help="Exit with 1 if this runtime does not load FILE.",
)
@input_shape_option
@json_option
@quiet_option
def inspect(
    file: Path, target: str | None, input_shapes: dict[str, tuple[int, ...]], as_json: bool, quiet: bool
) -> None:
    """Show what is in a .tflite FILE: every constant and how it is stored, who loads it, what it could take.

    Nothing is written. Exit code: 0 done, 1 the --target does not load FILE, 2 FILE cannot be read.
    """
    from tflite_sparse.commands.inspect import inspect as run
    from tflite_sparse.report.text import files as file_tables

    found = run(file, input_shapes=input_shapes, progress=progress_for(quiet))
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        print_table(file_tables.constants(found), f"Constants of {file}")
        print_lines(file_tables.summary(found))
    if target is not None and not found.is_for(target):
        sys.exit(1)
