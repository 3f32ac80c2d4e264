"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tflite_sparse.config import TargetSettings
from tflite_sparse.progress import Progress, Silent
from tflite_sparse_cli.progress import TerminalProgress

_DEFAULTS = TargetSettings()

output_option = click.option(
    "-o",
    "--output",
    "destination",
    metavar="OUT.tflite",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, all or nothing; may be IN.tflite itself.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout and nothing else there."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress and no notes.")


builder_option = click.option(
    "--builder",
    metavar="FILE.py:FUNCTION",
    help="Where MODEL is an .h5 file with weights only: a function without arguments that returns the built Keras "
    "model (Keras 2 or 3). It is run.",
)

_TARGET_OPTIONS = (
    click.option(
        "--target",
        type=click.Choice(["litert", "micro", "ethos-u"]),
        default=_DEFAULTS.target,
        show_default=True,
        help="The runtime. micro: TensorFlow Lite Micro, constants behind its DECODE operator. ethos-u: the dense "
        "file, and OUT_vela.tflite beside it, compiled by Vela.",
    ),
    click.option(
        "--optimize",
        type=click.Choice(["size", "latency"]),
        default=_DEFAULTS.optimize,
        show_default=True,
        help="size: the smallest file, every bit kept. latency: of each operator's forms the fastest on this machine, "
        "native sparse kernels included, which round in their own way.",
    ),
    click.option(
        "--micro-codec",
        type=click.Choice(["auto", "prune", "huffman", "lut", "dense"]),
        default=_DEFAULTS.micro_codec,
        show_default=True,
        help="Of the target micro: how constants are compressed.",
    ),
    click.option(
        "--micro-min-saving",
        type=click.IntRange(0),
        default=_DEFAULTS.micro_min_saving,
        show_default=True,
        help="Of the target micro: constants that would save fewer bytes stay dense.",
    ),
    click.option(
        "--c-array", is_flag=True, help="Of the target micro: also write OUT.h and OUT.cc, the file as an array."
    ),
    click.option(
        "--accelerator-config",
        default=_DEFAULTS.accelerator_config,
        show_default=True,
        help="Of the target ethos-u: what Vela compiles for.",
    ),
)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of :class:`tflite_sparse.config.TargetSettings`."""
    for option in reversed(_TARGET_OPTIONS):
        command = option(command)
    return command


def progress_for(quiet: bool) -> Progress:
    """Who listens to a command's progress: the terminal's stderr, or nobody."""
    return Silent() if quiet else TerminalProgress(Console(stderr=True))
