"""``tflite-sparse verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import VerifySettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_AGAINST = click.Option(
    ["--against"],
    required=True,
    type=click.Path(path_type=Path),
    help="The dense .tflite file that says what FILE must compute.",
)
_ORDER = ("against", "target", "samples", "seed", "threads", "tolerance", "input_shapes")


@click.command(params=options_of(VerifySettings, _AGAINST, order=_ORDER))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@quiet_option
def verify(file: Path, against: Path, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Check that the .tflite FILE computes what another file does.

    Every weight is read back from disk and compared bit for bit, then the outputs of every signature in LiteRT's
    default interpreter, its built-in and reference kernels and CompiledModel. Where outputs differ, the first tensor
    that does is named. A fault that both files share does not show so: the other file is also compared with itself
    in one runtime beside another, with --target micro in TensorFlow Lite Micro beside LiteRT.

    Exit code: 0 the files agree, 1 they do not, 2 a file cannot be read or the dense one does not run.
    """
    from tflite_sparse.report.text import verification as verification_tables

    report = tflite_sparse.verify(file, against, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_table(verification_tables.runtimes(report), f"{file} against {against}")
        print_lines(verification_tables.verdicts(report))
    if not report.passed:
        sys.exit(1)
