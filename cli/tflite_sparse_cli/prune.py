"""``tflite-sparse prune``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from tflite_sparse.settings import PruneSettings
from tflite_sparse_cli.options import (
    builder_option,
    custom_objects_option,
    json_option,
    progress_for,
    quiet_option,
    training_options,
)
from tflite_sparse_cli.tables import print_lines, print_table

_DEFAULTS = PruneSettings()


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", metavar="SPEC", required=True, help="Labelled data, as for export.")
@click.option(
    "-o",
    "--output",
    metavar="OUT.keras",
    type=click.Path(path_type=Path),
    help="The model to write, all or nothing; OUT.prune.json and OUT.prune.svg tell what was done.",
)
@click.option("--sparsity", type=float, help="Share of zeros in every pruned kernel, from 0 to below 1.")
@click.option(
    "--block",
    default=_DEFAULTS.block,
    show_default=True,
    help="What becomes zero together, outputs x inputs as in the .tflite file (1x4, 1x16), or N:M along inputs (2:4).",
)
@click.option(
    "--scope",
    type=click.Choice(["layer", "global"]),
    default=_DEFAULTS.scope,
    show_default=True,
    help="Whether --sparsity is that of each kernel, or of all together, ranked by magnitude.",
)
@click.option(
    "--schedule",
    type=click.Choice(["polynomial", "constant"]),
    default=_DEFAULTS.schedule,
    show_default=True,
    help="polynomial: rising along the cubic of Zhu and Gupta (2017); constant: all at once.",
)
@click.option(
    "--initial-sparsity", type=float, default=_DEFAULTS.initial_sparsity, show_default=True, help="At --begin."
)
@click.option("--begin", type=int, help="Training step of the first mask.  [default: a tenth of the steps]")
@click.option("--end", type=int, help="Training step of the last mask.  [default: 65 % of the steps]")
@click.option("--frequency", type=int, default=_DEFAULTS.frequency, show_default=True, help="Steps between two masks.")
@click.option("--epochs", type=int, default=_DEFAULTS.epochs, show_default=True, help="Of training.")
@training_options(_DEFAULTS)
@click.option("--optimizer", default=_DEFAULTS.optimizer, show_default=True, help="Name of an optimizer of Keras.")
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    help="TOML file of rules for single kernels, or a preset: litert, micro, ethos-u, native.",
)
@click.option(
    "--allocate",
    is_flag=True,
    help="Scan first, then spread --sparsity over the kernels so that the least is lost.",
)
@click.option(
    "--scan", is_flag=True, help="Only show what each kernel loses when it alone is masked; nothing is trained."
)
@click.option("--resume", is_flag=True, help="Go on from the last full epoch of an interrupted run.")
@custom_objects_option
@builder_option
@click.option("--seed", type=int, default=_DEFAULTS.seed, show_default=True, help="Of order, dropout and splits.")
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
    from tflite_sparse.commands import prune as prune_pipeline
    from tflite_sparse.report.text import prune as pruning_tables
    from tflite_sparse.report.text import sensitivity

    progress = progress_for(quiet)
    default = click.core.ParameterSource.DEFAULT  # what was not given must not overrule a recipe
    settings = {name: value for name, value in options.items() if context.get_parameter_source(name) != default}
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        if scan:
            report: Any = prune_pipeline.scan(model, data, output=output, progress=progress, **settings)
        elif output is None:
            raise click.UsageError("Missing option '-o' / '--output'.")
        else:
            report = prune_pipeline.prune(model, data, output, progress=progress, **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    elif scan:
        print_table(sensitivity.table(report), f"Kernels of {model}, each masked alone")
        print_lines(pruning_tables.scan_sentences(report))
    else:
        print_table(pruning_tables.kernels(report), f"Kernels of {output}")
        print_lines(pruning_tables.sentences(report))
