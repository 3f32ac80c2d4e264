"""``tflite-sparse fit``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import DEMO_DATA, FitSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import data_option, end, json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_DATA = data_option(f"Labelled data, as for export.  [default: {DEMO_DATA}]")
_ORDER = (
    *("budget", "gate", "max_macs", "max_arena", "max_latency", "max_accuracy_drop"),
    *("data", "pixels", "baseline", "builder", "target", "micro_kernels", "micro_cpu", "blocks"),
    *("epochs", "train_epochs", "batch_size", "learning_rate", "rounds", "shared_values"),
    *("io", "recurrent", "dense_scales", "calibration_samples", "metric"),
    *("resume", "custom_objects", "seed", "out"),
)


@click.command(params=options_of(FitSettings, _DATA, order=_ORDER))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@json_option
@quiet_option
def fit(model: Path | None, data: str | None, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write the most accurate int8 file of MODEL that is within a budget of bytes, or the smallest within a gate.

    Each kernel gets its own sparsity and block, or stays dense: by what it loses, measured on training samples held out
    for it, and what it takes in the file. Under a limit on multiply-adds, arena or latency whole channels go first.
    MODEL is pruned to that while it trains, exported, and measured. Without MODEL, a demo network is trained on
    mnist-5k first.

    Exit code: 0 done, 1 the budget, a limit or a gate cannot be met, 2 bad usage or input.
    """
    from tflite_sparse.report.text import fit as fit_tables

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        report = tflite_sparse.fit(model, data, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        if report.channels:
            print_table(fit_tables.channels(report), "Channels")
        if report.kernels:
            print_table(fit_tables.kernels(report), "Kernels")
        print_lines(fit_tables.sentences(report))
    end(report.gates)
