"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from tflite_sparse.progress import Progress, Silent
from tflite_sparse_cli.progress import TerminalProgress

output_option = click.option(
    "-o",
    "--output",
    "destination",
    metavar="OUT.tflite",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, all or nothing; may be IN.tflite itself.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout and nothing else there."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress and no notes.")


def progress_for(quiet: bool) -> Progress:
    """Who listens to a command's progress: the terminal's stderr, or nobody."""
    return Silent() if quiet else TerminalProgress(Console(stderr=True))
