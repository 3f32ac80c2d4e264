"""``tflite-sparse prune``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import PruneSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import data_option, json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_OUTPUT = click.Option(
    ["-o", "--output"],
    metavar="OUT.keras",
    type=click.Path(path_type=Path),
    help="The model to write, all or nothing; OUT.prune.json and OUT.prune.svg tell what was done.",
)
_SCAN = click.Option(
    ["--scan"],
    is_flag=True,
    help="Only show what each kernel loses when it alone is masked; nothing is trained.",
)
_DATA = data_option("Labelled data, as for export.", required=True)
_ORDER = (
    *(
        "data",
        "pixels",
        "output",
        "sparsity",
        "block",
        "channel_multiple",
        "scope",
        "schedule",
        "initial_sparsity",
        "begin",
        "end",
        "frequency",
    ),
    *("epochs", "batch_size", "learning_rate", "optimizer", "recipe", "allocate", "scan", "resume"),
    *("custom_objects", "builder", "seed"),
)


@click.command(params=options_of(PruneSettings, _DATA, _OUTPUT, _SCAN, order=_ORDER))
@click.argument("model", type=click.Path(path_type=Path))
@json_option
@quiet_option
@click.pass_context
def prune(
    context: click.Context,
    /,
    model: Path,
    data: str,
    output: Path | None,
    scan: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train MODEL while its kernels become sparse, and write it as a Keras model of the same generation.

    MODEL is a .keras, .h5 or .hdf5 file or a SavedModel of Keras, dense, with prune_low_magnitude wrappers, or pruned
    already: what is zero stays zero. The first convolution, depthwise kernels and small ones are left alone, unless a
    recipe says otherwise. `export` makes the .tflite file.

    Exit code: 0 done, 2 bad usage or input, or the training failed, and no model written.
    """
    from tflite_sparse.report.text import channels as channel_tables
    from tflite_sparse.report.text import prune as pruning_tables
    from tflite_sparse.report.text import sensitivity

    progress = progress_for(quiet)
    default = click.core.ParameterSource.DEFAULT  # defaults must not override a recipe
    settings = {name: value for name, value in options.items() if context.get_parameter_source(name) != default}
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        if scan:
            report: Any = tflite_sparse.scan(model, data, output=output, progress=progress, **settings)
        elif output is None:
            raise click.UsageError("Missing option '-o' / '--output'.")
        else:
            report = tflite_sparse.prune(model, data, output, progress=progress, **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    elif scan:
        print_table(sensitivity.table(report), f"Kernels of {model}, each masked alone")
        print_lines(pruning_tables.scan_sentences(report))
    else:
        print_table(pruning_tables.kernels(report), f"Kernels of {output}")
        if report.channels:
            print_table(channel_tables.table(report.channels), f"Channels of {output}")
        print_lines(pruning_tables.sentences(report))
