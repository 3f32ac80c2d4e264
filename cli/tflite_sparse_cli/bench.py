"""``tflite-sparse bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import BenchSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table


@click.command(
    params=options_of(BenchSettings, order=("target", "micro_cpu", "threads", "rounds", "kernels", "input_shapes"))
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@json_option
@quiet_option
def bench(files: tuple[Path, ...], as_json: bool, quiet: bool, **settings: Any) -> None:
    """Measure .tflite files beside each other; ratios refer to the first.

    Load is loading the file and running it once, resident what that adds to the memory of a fresh process: medians of
    five. Latency is that of one run on random inputs with a batch of 1, all files taking turns in one process. With
    --target c: the instructions of one inference of the generated C, by operator, counted in an emulator, or estimated
    where there is none.

    Exit code: 0 done, 2 a FILE cannot be read or the runtime refuses it.
    """
    from tflite_sparse.report.text import instructions as instruction_tables
    from tflite_sparse.report.text import latency as latency_tables
    from tflite_sparse.results.instructions import InstructionReport

    found = tflite_sparse.bench(files, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    elif isinstance(found, InstructionReport):
        print_table(instruction_tables.operators(found), instruction_tables.title(found))
        print_lines(instruction_tables.lines(found))
    else:
        print_table(latency_tables.files(found), latency_tables.title(found))
