"""``tflite-sparse export``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, get_args

import click

from tflite_sparse.settings import DEFAULT_OUT, DEMO_DATA, DEMO_SPARSITY, Alternatives, ExportSettings
from tflite_sparse_cli.options import (
    builder_option,
    calibration_samples_option,
    custom_objects_option,
    dense_scales_option,
    end,
    json_option,
    metric_option,
    out_option,
    progress_for,
    quiet_option,
    recurrent_option,
    target_options,
    timings_option,
)
from tflite_sparse_cli.tables import show, show_timings

_DEFAULTS = ExportSettings()


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option(
    "--sparsity",
    type=float,
    help=f"Share of zeros in every prunable kernel, from 0 to below 1. Default: what MODEL holds; {DEMO_SPARSITY:g} "
    "for the demo network.",
)
@click.option("--int8", is_flag=True, help="Quantise weights and activations to int8 after training (needs data).")
@click.option(
    "--data",
    metavar="SPEC",
    help="mnist-5k, digits, fashion-mnist; an .npz file with x, y (or x_train, y_train, x_test, y_test); a folder of "
    f"class folders with images; or path/to/module.py:function. Default without MODEL: {DEMO_DATA}.",
)
@click.option(
    "--io",
    type=click.Choice(["int8", "int16", "float32"]),
    help="Type of inputs and outputs of the int8 files.  [default: that of --activations]",
)
@click.option(
    "--activations",
    type=click.Choice(["int8", "int16", "float32"]),
    default=_DEFAULTS.activations,
    show_default=True,
    help="With --int8: what int8 weights are combined with. int16 and float32 cost time and keep accuracy; float32 "
    "needs no data.",
)
@click.option(
    "--calibration",
    type=click.Choice(["min-max", "percentile", "mse"]),
    default=_DEFAULTS.calibration,
    show_default=True,
    help="Ranges of int8 activations: the outermost values; all but the outermost 0.01 %; or those of the least mean "
    "squared error. The latter two calibrate twice as long.",
)
@dense_scales_option(_DEFAULTS.dense_scales, "With --int8: ")
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    help="TOML file of rules for single layers, or a preset (litert, micro, ethos-u, native, float-normalization): "
    "masks of their kernels, "
    "and which layers stay float32 in an int8 file.",
)
@recurrent_option(_DEFAULTS.recurrent)
@click.option(
    "--fixed-batch",
    is_flag=True,
    help="Inputs take one sample and no other number: LiteRT.js runs no other files. It also needs --io float32.",
)
@target_options
@click.option(
    "--finetune-epochs",
    type=int,
    default=_DEFAULTS.finetune_epochs,
    show_default=True,
    help="Epochs of training MODEL under its masks, after they were made (needs labels).",
)
@calibration_samples_option(_DEFAULTS.calibration_samples)
@click.option(
    "--bias-correction",
    is_flag=True,
    help="With --int8: move biases so that pruning (without fine-tuning) and quantisation of the weights leave each "
    "layer's mean output where it was.",
)
@metric_option(_DEFAULTS.metric)
@click.option(
    "--measure", is_flag=True, help="Also measure latency, loading and memory on this machine, as bench does."
)
@click.option(
    "--max-accuracy-drop",
    type=float,
    default=_DEFAULTS.max_accuracy_drop,
    show_default=True,
    help="Exit with 1 if accuracy falls by more than this share against the dense float32 model. Of mse and psnr: if "
    "outputs explain that share less of the spread of the labels. Of a function: in its units.",
)
@click.option(
    "--alternatives",
    type=click.Choice(get_args(Alternatives)),
    default=_DEFAULTS.alternatives,
    show_default=True,
    help="With --int8, if accuracy falls too far: make and measure other int8 files that may pass (auto, for about as "
    "long as the export took), all of them, or none.",
)
@click.option(
    "--layer-errors",
    is_flag=True,
    help="With --int8: report how far every tensor inside the dense int8 file is from float32, and where that arises. "
    "Done anyway if accuracy falls too far.",
)
@custom_objects_option
@builder_option
@click.option(
    "--signature",
    metavar="NAME",
    help="Where MODEL is a SavedModel with several signatures: the one to convert.  [default: serving_default, or the "
    "only one]",
)
@click.option("--seed", type=int, default=_DEFAULTS.seed, show_default=True, help="Of initialisation, order and split.")
@out_option(DEFAULT_OUT, "the files. Only this command's own files are replaced in it.")
@click.option(
    "--android-assets",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of an Android app that also gets the three files, labels.txt and golden.json: inputs, and what this "
    "machine's runtime computes from them (needs --int8).",
)
@timings_option
@json_option
@quiet_option
def export(model: Path | None, data: str | None, timings: bool, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write MODEL as dense float32, dense int8 and sparse .tflite files, verify them, and report what it cost.

    MODEL is a .keras file (Keras 2 or 3), an .h5 / .hdf5 file or a SavedModel folder, with or without
    prune_low_magnitude wrappers. Without MODEL, a demo network is trained on mnist-5k and pruned while it trains.

    Exit code: 0 done, 1 a gate failed (accuracy, size, verification), 2 bad usage or input and nothing written.
    """
    from tflite_sparse.commands.export import export as run

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not mix with the report
        report = run(model, data, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        show(report, settings["out"])
        if timings:
            show_timings(report)
    end(report.gates)
