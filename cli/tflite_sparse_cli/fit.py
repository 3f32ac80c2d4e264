"""``tflite-sparse fit``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from tflite_sparse.settings import DEFAULT_DROP, DEFAULT_OUT, DEMO_DATA, FitSettings
from tflite_sparse_cli.options import (
    Listed,
    calibration_samples_option,
    custom_objects_option,
    dense_scales_option,
    end,
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

_DEFAULTS = FitSettings(gate=True)


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--budget", metavar="BYTES", help="What the file may have: 100kB (100,000), 100KiB, 1.5MB, 100000.")
@click.option(
    "--gate", is_flag=True, help="Instead of a budget: the smallest file that loses no more than --max-accuracy-drop."
)
@click.option(
    "--max-accuracy-drop",
    type=float,
    help=f"Exit with 1 if accuracy falls by more than this share against the dense float32 model.  [default: "
    f"{DEFAULT_DROP:g} with --gate, none with --budget]",
)
@click.option("--data", metavar="SPEC", help=f"Labelled data, as for export.  [default: {DEMO_DATA}]")
@click.option(
    "--builder",
    metavar="FILE.py:FUNCTION",
    help="Instead of MODEL: a function without arguments that returns the built Keras model to train. It is run.",
)
@runtime_option(_DEFAULTS.target, "The runtime. micro: TensorFlow Lite Micro, constants behind its DECODE operator.")
@click.option(
    "--block",
    "blocks",
    type=Listed("blocks", str),
    default=listed(_DEFAULTS.blocks),
    show_default=True,
    help="What may become zero together, outputs x inputs; each kernel gets the one that pays.",
)
@click.option(
    "--epochs",
    type=int,
    default=_DEFAULTS.epochs,
    show_default=True,
    help="Of training while a plan is pruned to; 0: masks only.",
)
@click.option(
    "--train-epochs",
    type=int,
    default=_DEFAULTS.train_epochs,
    show_default=True,
    help="Without MODEL: of training the dense one first.",
)
@training_options(_DEFAULTS)
@click.option(
    "--rounds",
    type=int,
    default=_DEFAULTS.rounds,
    show_default=True,
    help="How many times at most a plan is carried out, where the file comes out too large.",
)
@click.option(
    "--io",
    type=click.Choice(["int8", "float32"]),
    help="Type of inputs and outputs of the file.  [default: int8]",
)
@recurrent_option(_DEFAULTS.recurrent)
@dense_scales_option(_DEFAULTS.dense_scales)
@calibration_samples_option(_DEFAULTS.calibration_samples)
@metric_option(_DEFAULTS.metric)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@custom_objects_option
@click.option(
    "--seed", type=int, default=_DEFAULTS.seed, show_default=True, help="Of initialisation, order, dropout and split."
)
@out_option(DEFAULT_OUT, "the files. Only this command's own files are replaced in it.")
@json_option
@quiet_option
def fit(model: Path | None, data: str | None, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write the most accurate int8 file of MODEL that is within a budget of bytes, or the smallest within a gate.

    Each kernel gets its own sparsity and block, or stays dense: by what it loses, measured on training samples held out
    for it, and what it takes in the file. MODEL is pruned to that while it trains, exported, and weighed. Without
    MODEL, a demo network is trained on mnist-5k first.

    Exit code: 0 done, 1 the budget or a gate cannot be met, 2 bad usage or input.
    """
    from tflite_sparse.commands.fit.command import fit as run
    from tflite_sparse.report.text import fit as fit_tables

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        report = run(model, data, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_table(fit_tables.kernels(report), "Kernels")
        print_lines(fit_tables.sentences(report))
    end(report.gates)
