"""Options of several commands that are no settings, and what commands do with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from tflite_sparse.base.progress import Progress, Silent
from tflite_sparse_cli.progress import TerminalProgress

if TYPE_CHECKING:
    from tflite_sparse.results.export import Gates

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout and nothing else there."
)
timings_option = click.option(
    "--timings",
    is_flag=True,
    help="Also print where the time went: seconds of each stage, CPU seconds of each process. --json has them too.",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress and no notes.")


def data_option(words: str, *, required: bool = False) -> click.Option:
    """``--data``, as the help of a command explains it."""
    return click.Option(["--data"], metavar="SPEC", required=required, help=words)


def output_file() -> click.Option:
    """``--output``, a ``.tflite`` file."""
    return click.Option(
        ["-o", "--output", "destination"],
        metavar="OUT.tflite",
        type=click.Path(path_type=Path),
        required=True,
        help="The file to write, all or nothing; may be IN.tflite itself.",
    )


def end(gates: Gates) -> None:
    """Say on stderr which gates failed and leave with 1; with 0 if none did."""
    for failure in gates.failures:
        click.echo(f"failed: {failure}", err=True)
    if not gates.passed:
        sys.exit(1)


def progress_for(quiet: bool) -> Progress:
    """What shows a command's progress: the terminal, on stderr, or nothing."""
    return Silent() if quiet else TerminalProgress(Console(stderr=True))
