"""``tflite-sparse export``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

import tflite_sparse
from tflite_sparse.settings import DEMO_DATA, ExportSettings
from tflite_sparse_cli.export_tables import show, show_next
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import data_option, end, json_option, progress_for, quiet_option, timings_option
from tflite_sparse_cli.tables import show_timings

_DATA = data_option(
    "mnist-5k, digits, fashion-mnist; an .npz file with x, y (or x_train, y_train, x_test, y_test); a folder of class "
    f"folders with images; or path/to/module.py:function. Default without MODEL: {DEMO_DATA}."
)
_ORDER = (
    *("sparsity", "int8", "data", "pixels", "io", "activations", "calibration", "dense_scales"),
    *("baseline", "recipe", "recurrent", "fixed_batch"),
    *("target", "optimize", "micro_kernels", "micro_cpu"),
    *("micro_codec", "micro_min_saving", "c_array", "name", "accelerator_config", "keep_channels"),
    *("finetune_epochs", "calibration_samples", "bias_correction", "shared_values"),
    *("metric", "measure", "max_accuracy_drop", "alternatives", "layer_errors"),
    *("custom_objects", "builder", "signature", "seed", "out", "android_assets"),
)


@click.command(params=options_of(ExportSettings, _DATA, order=_ORDER))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@timings_option
@json_option
@quiet_option
def export(model: Path | None, data: str | None, timings: bool, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write MODEL as dense float32, dense int8 and sparse .tflite files, verify them, and report what it cost.

    MODEL is a .keras file (Keras 2 or 3), an .h5 / .hdf5 file or a SavedModel folder, with or without
    prune_low_magnitude wrappers. Without MODEL, a demo network is trained on mnist-5k and pruned while it trains.

    Exit code: 0 done, 1 a gate failed (accuracy, size, verification), 2 bad usage or input and nothing written. A gate
    that is not judged, as that of accuracy without a baseline, does not change the exit code: stderr, page and report
    say so (gates.unjudged, and gates.passed is false).
    """
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        report = tflite_sparse.export(model, data, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        end(report.gates)
        return
    show(report, settings["out"])
    if timings:
        show_timings(report)
    end(report.gates, lambda: show_next(report, settings["out"]))
