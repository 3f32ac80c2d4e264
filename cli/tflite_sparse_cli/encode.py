"""``tflite-sparse encode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import EncodeSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import json_option, output_file, progress_for, quiet_option, timings_option
from tflite_sparse_cli.tables import print_lines, print_table, show_instructions, show_timings

_ORDER = (
    *(
        "destination",
        "target",
        "optimize",
        "micro_kernels",
        "micro_cpu",
        "micro_codec",
        "micro_min_saving",
        "c_array",
        "name",
        "accelerator_config",
        "keep_channels",
    ),
    "shared_values",
    *("verification_samples", "seed", "input_shapes", "unverified"),
)


@click.command(params=options_of(EncodeSettings, output_file(), order=_ORDER))
@click.argument("source", metavar="IN.tflite", type=click.Path(path_type=Path))
@timings_option
@json_option
@quiet_option
def encode(source: Path, destination: Path, timings: bool, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write IN.tflite as the smallest file that the target takes and that computes the same.

    IN.tflite may come from any converter, dense or sparse already. The zeros must be in its weights. An archive of
    associated files behind the model is kept. The new file is read back and compared, weights and outputs (ethos-u:
    weights), before it gets its name; it may replace IN.tflite.

    Exit code: 0 done, 1 the new file is not what it must be (nothing written), 2 bad usage or input, nothing written.
    """
    from tflite_sparse.report.text import contract as contract_words
    from tflite_sparse.report.text import files as file_tables
    from tflite_sparse.report.text import weights

    report = tflite_sparse.encode(source, destination, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return
    print_table(weights.table(report), f"Weights of {report.destination}")
    show_instructions(report)
    print_lines(file_tables.encoding(report))
    if report.contract is not None:
        print_table(contract_words.ports(report.contract), f"Inputs and outputs of {report.destination}")
        print_lines(contract_words.lines(report.contract))
        target = str(report.settings["target"])
        print_lines(contract_words.pointer(report.contract, report.destination, target))
    if timings:
        show_timings(report)
