"""``tflite-sparse decode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import DecodeSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import json_option, output_file, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines

_ORDER = ("destination", "verification_samples", "seed", "input_shapes", "unverified")


@click.command(params=options_of(DecodeSettings, output_file(), order=_ORDER))
@click.argument("source", metavar="IN.tflite", type=click.Path(path_type=Path))
@json_option
@quiet_option
def decode(source: Path, destination: Path, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write IN.tflite as the dense file that it stands for, every weight bit for bit.

    Sparse constants are stored whole; DENSIFY operators and the rewrites of `encode` are undone. An archive of
    associated files behind the model is kept. The new file is read back and compared, weights, and outputs in each
    runtime that runs IN.tflite, before it gets its name.

    Exit code: 0 done, 1 the new file is not what it must be (nothing written), 2 bad usage or input, nothing written.
    """
    from tflite_sparse.report.text import files as file_tables

    report = tflite_sparse.decode(source, destination, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return
    print_lines(file_tables.decoding(report))
