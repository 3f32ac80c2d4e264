"""``tflite-sparse sweep``."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from tflite_sparse.settings import SweepSettings
from tflite_sparse_cli.options import (
    Listed,
    calibration_samples_option,
    dense_scales_option,
    json_option,
    listed,
    metric_option,
    out_option,
    progress_for,
    quiet_option,
    recurrent_option,
    runtime_option,
    training_options,
)
from tflite_sparse_cli.tables import print_lines, print_table

_DEFAULTS = SweepSettings()


_NUMBERS, _BLOCKS = Listed("numbers", float), Listed("blocks", str)


@click.command()
@click.argument("model", metavar="[MODEL-BUILDER]", required=False)
@click.option("--data", metavar="SPEC", required=True, help="Labelled data, as for export.")
@click.option(
    "--sparsity",
    type=_NUMBERS,
    default=listed(_DEFAULTS.sparsity),
    show_default=True,
    help="Shares of zeros; 0: the small dense models.",
)
@click.option(
    "--width",
    type=_NUMBERS,
    default=listed(_DEFAULTS.width),
    show_default=True,
    help="What the builder is called with; the largest makes the large sparse models.",
)
@click.option(
    "--block",
    type=_BLOCKS,
    default=listed(_DEFAULTS.block),
    show_default=True,
    help="What becomes zero together, outputs x inputs as in the .tflite file: 1x1,1x16.",
)
@click.option("--seeds", type=int, default=_DEFAULTS.seeds, show_default=True, help="How often each point is trained.")
@click.option(
    "--grid",
    type=click.Choice(["full", "families"]),
    default=_DEFAULTS.grid,
    show_default=True,
    help="families: only what is compared, each width dense and the largest at each sparsity.",
)
@click.option(
    "--scope",
    type=click.Choice(["layer", "global"]),
    default=_DEFAULTS.scope,
    show_default=True,
    help="Whether a sparsity is that of each kernel, or of all together, ranked by magnitude, so that small ones keep "
    "more.",
)
@runtime_option(_DEFAULTS.target, "The runtime of the files.")
@recurrent_option(_DEFAULTS.recurrent)
@dense_scales_option(_DEFAULTS.dense_scales)
@click.option("--epochs", type=int, default=_DEFAULTS.epochs, show_default=True, help="Of training, for every point.")
@training_options(_DEFAULTS)
@calibration_samples_option(_DEFAULTS.calibration_samples)
@metric_option(_DEFAULTS.metric)
@click.option("--seed", type=int, default=_DEFAULTS.seed, show_default=True, help="Of the split, and the first seed.")
@click.option(
    "--jobs",
    type=int,
    help="Points that are trained at once.  [default: as many as cores and free memory allow]",
)
@click.option(
    "--ray-address",
    metavar="auto|HOST:PORT",
    help="Run on this Ray cluster instead of on this machine alone (pip install 'tflite-sparse[ray]').",
)
@click.option("--resume", is_flag=True, help="Skip the points that are done in --out; those that failed are run again.")
@out_option(_DEFAULTS.out, "sweep.json, sweep.md, sweep.svg, report.html and the points.")
@json_option
@quiet_option
def sweep(model: str | None, data: str, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Train, prune, quantise, encode and measure every combination of width, sparsity, block and seed.

    Which model is the most accurate under a bound on its size: a large sparse one or a small dense one?
    MODEL-BUILDER is module.py:function, a function of the width that returns a Keras model; without it, a
    depthwise-separable network for images is built. Each point is written to the folder as it comes.

    Exit code: 0 done, 1 a point failed (the others are done), 2 bad usage or input and nothing trained.
    """
    from tflite_sparse.commands.sweep import command as sweep_pipeline
    from tflite_sparse.report.text import sweep as sweep_tables

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        report = sweep_pipeline.sweep(model, data, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_table(sweep_tables.points(report), f"Points in {settings['out']}")
        for comparison in report.comparisons:
            if comparison.margins:
                print_table(sweep_tables.margins(comparison), sweep_tables.title(comparison))
            elif comparison.axis != "file_bytes":  # what there is to say of that comes last
                print_lines(comparison.sentences)
        print_lines(sweep_tables.sentences(report))
    if report.failures:
        sys.exit(1)
