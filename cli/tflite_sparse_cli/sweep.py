"""``tflite-sparse sweep``."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import SweepSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import data_option, json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_DATA = data_option("Labelled data, as for export.", required=True)
_ORDER = (
    *("data", "pixels", "sparsity", "width", "block", "seeds", "grid", "scope"),
    *("target", "recurrent", "dense_scales"),
    *("epochs", "batch_size", "learning_rate", "calibration_samples", "metric"),
    *("seed", "jobs", "ray_address", "resume", "out"),
)


@click.command(params=options_of(SweepSettings, _DATA, order=_ORDER))
@click.argument("model", metavar="[MODEL-BUILDER]", required=False)
@json_option
@quiet_option
def sweep(model: str | None, data: str, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Train, prune, quantise, encode and measure every combination of width, sparsity, block and seed.

    Which model is the most accurate under a bound on its size: a large sparse one or a small dense one?
    MODEL-BUILDER is module.py:function, a function of the width that returns a Keras model; without it, a
    depthwise-separable network for images is built. Each point is written to the folder as it comes.

    Exit code: 0 done, 1 a point failed (the others are done), 2 bad usage or input and nothing trained.
    """
    from tflite_sparse.report.text import sweep as sweep_tables

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        report = tflite_sparse.sweep(model, data, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_table(sweep_tables.points(report), f"Points in {settings['out']}")
        for comparison in report.comparisons:
            if comparison.margins:
                print_table(sweep_tables.margins(comparison), sweep_tables.title(comparison))
            elif comparison.axis != "file_bytes":  # its conclusions come last
                print_lines(comparison.sentences)
        print_lines(sweep_tables.sentences(report))
    if report.failures:
        sys.exit(1)
