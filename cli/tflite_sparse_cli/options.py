"""Options of several commands that are not settings, and functions for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem
from rich.console import Console

from tflite_sparse.base.progress import Progress, Silent
from tflite_sparse.sources.built_in_data import LOADERS
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
    """Return the option ``--data`` with a command's help text."""
    return click.Option(["--data"], metavar="SPEC", required=required, help=words, shell_complete=_complete_data)


def _complete_data(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of built-in data sets, else files."""
    del context, option
    names = [CompletionItem(name) for name in LOADERS if name.startswith(incomplete)]
    return names if incomplete and names else [*names, CompletionItem(incomplete, type="file")]


def output_file() -> click.Option:
    """Return the option ``--output`` for a ``.tflite`` file."""
    return click.Option(
        ["-o", "--output", "destination"],
        metavar="OUT.tflite",
        type=click.Path(path_type=Path),
        required=True,
        help="The file to write, all or nothing; may be IN.tflite itself. For the target c also a folder.",
    )


def end(gates: Gates, finally_: Callable[[], None] = lambda: None) -> None:
    """Print gates that failed or were not judged on stderr, call ``finally_``, and exit with 1 if one failed."""
    for failure in gates.failures:
        click.echo(f"failed: {failure}", err=True)
    for sentence in gates.unjudged:
        click.echo(f"not judged: {sentence}", err=True)
    finally_()
    if gates.failures:
        sys.exit(1)


def progress_for(quiet: bool) -> Progress:
    """Return a progress that shows stages on stderr, or nothing."""
    return Silent() if quiet else TerminalProgress(Console(stderr=True))
