"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from rich.console import Console

from tflite_sparse.base.progress import Progress, Silent
from tflite_sparse.codecs.names import MicroCodec
from tflite_sparse.settings import (
    DenseScales,
    FitSettings,
    PruneSettings,
    Recurrent,
    SweepSettings,
    TargetSettings,
    WrittenFileSettings,
)
from tflite_sparse.target_registry import FittedTarget, Target
from tflite_sparse_cli.progress import TerminalProgress

if TYPE_CHECKING:
    from tflite_sparse.results.export import Gates

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_DEFAULTS = TargetSettings()
_WRITTEN_FILE_DEFAULTS = WrittenFileSettings()

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
timings_option = click.option(
    "--timings",
    is_flag=True,
    help="Also print where the time went: seconds of each stage, CPU seconds of each process. --json has them too.",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress and no notes.")


class InputShape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """The name of an input and its whole shape."""

    name = "NAME=1,16000"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, which may hold ``=`` itself, and the sizes."""
        if not isinstance(value, str):
            return value
        name, _, sizes = value.rpartition("=")
        if not name or not re.fullmatch(r"[1-9][0-9]*( *, *[1-9][0-9]*)*", sizes.strip()):
            self.fail(f"{value!r}: give an input and its whole shape, batch included, as x=1,16000.", param, ctx)
        return name, tuple(int(size) for size in sizes.split(","))


def _by_name(
    ctx: click.Context, param: click.Parameter, values: tuple[tuple[str, tuple[int, ...]], ...]
) -> dict[str, tuple[int, ...]]:
    names = [name for name, _ in values]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise click.BadParameter(f"{twice!r} is given twice.", ctx, param)
    return dict(values)


input_shape_option = click.option(
    "--input-shape",
    "input_shapes",
    metavar="NAME=1,16000",
    type=InputShape(),
    multiple=True,
    callback=_by_name,
    help="Whole shape, batch included, that an input with open sizes is run with; for each such input once. Without it "
    "a batch is 1, and a size that runs is looked for.",
)

_WRITTEN_FILE_OPTIONS = (
    click.option(
        "--samples",
        "verification_samples",
        type=click.IntRange(0),
        default=_WRITTEN_FILE_DEFAULTS.verification_samples,
        show_default=True,
        help="How many random inputs the new file is compared on with its source, beside three at the boundaries.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        default=_WRITTEN_FILE_DEFAULTS.seed,
        show_default=True,
        help="Of the random inputs.",
    ),
    input_shape_option,
    click.option(
        "--unverified",
        is_flag=True,
        help="Write the new file even if its outputs cannot be compared with those of its source, as where no size of "
        "an input is found that runs. Its weights are compared all the same.",
    ),
)


def written_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of :class:`tflite_sparse.settings.WrittenFileSettings`."""
    for option in reversed(_WRITTEN_FILE_OPTIONS):
        command = option(command)
    return command


builder_option = click.option(
    "--builder",
    metavar="FILE.py:FUNCTION",
    help="Where MODEL is an .h5 file with weights only: a function without arguments that returns the built Keras "
    "model (Keras 2 or 3). It is run.",
)

custom_objects_option = click.option(
    "--custom-objects",
    type=click.Path(path_type=Path),
    help="Python file that defines MODEL's own layers. It is run.",
)


class Listed(click.ParamType[tuple[Any, ...]]):
    """Values with commas between them."""

    def __init__(self, name: str, of: Callable[[str], Any]) -> None:
        self.name = name
        self._of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The values as a tuple."""
        if not isinstance(value, str):
            return value
        try:
            return tuple(self._of(part.strip()) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: give {self.name} with commas between them.", param, ctx)


def listed(values: tuple[Any, ...]) -> str:
    """A default of :class:`Listed`, as help shows it."""
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def training_options(defaults: PruneSettings | FitSettings | SweepSettings) -> Decorator:
    """``--batch-size`` and ``--learning-rate``."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        size = click.option(
            "--batch-size", type=int, default=defaults.batch_size, show_default=True, help="Samples of one step."
        )
        rate = click.option(
            "--learning-rate",
            type=float,
            default=defaults.learning_rate,
            show_default=True,
            help="The highest; it falls to zero along a cosine.",
        )
        return size(rate(command))

    return add


def calibration_samples_option(default: int) -> Decorator:
    """``--calibration-samples``."""
    return click.option(
        "--calibration-samples",
        type=int,
        default=default,
        show_default=True,
        help="How many training samples the quantiser sees.",
    )


def metric_option(default: str) -> Decorator:
    """``--metric``."""
    return click.option(
        "--metric",
        metavar="NAME",
        default=default,
        show_default=True,
        help="auto, by labels and outputs; top1, top5; mse, psnr (numbers); auc (yes or no); or FILE.py:FUNCTION of "
        "(outputs, labels), higher is better, one number or one for each sample. It is run.",
    )


def recurrent_option(default: str) -> Decorator:
    """``--recurrent``."""
    return click.option(
        "--recurrent",
        type=click.Choice(get_args(Recurrent)),
        default=default,
        show_default=True,
        help="Recurrent layers as loops (LSTMs of Keras 2 as one fused operator), or step by step, which takes space "
        "for each step and lets int8 weights be sparse; or the file as one time step, whose states the app feeds back, "
        "for sequences of any length. auto: what works.",
    )


def dense_scales_option(default: str, condition: str = "") -> Decorator:
    """``--dense-scales``."""
    return click.option(
        "--dense-scales",
        type=click.Choice(get_args(DenseScales)),
        default=default,
        show_default=True,
        help=f"{condition}int8 kernels of Dense layers and other matrix products (recurrent ones too) have a scale for "
        "each output, or one in all: up to 16 bytes less for each output, and coarser.",
    )


def runtime_option(default: str, words: str) -> Decorator:
    """``--target`` of commands that make a file of a given size."""
    return click.option(
        "--target", type=click.Choice(get_args(FittedTarget)), default=default, show_default=True, help=words
    )


def out_option(default: Path, words: str) -> Decorator:
    """``--out``, a folder."""
    return click.option(
        "--out", type=click.Path(path_type=Path), default=default, show_default=True, help=f"Folder for {words}"
    )


_TARGET_OPTIONS = (
    click.option(
        "--target",
        type=click.Choice(get_args(Target)),
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
        type=click.Choice(get_args(MicroCodec)),
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
    """The options of :class:`tflite_sparse.settings.TargetSettings`."""
    for option in reversed(_TARGET_OPTIONS):
        command = option(command)
    return command


def end(gates: Gates) -> None:
    """Say on stderr which gates failed and leave with 1; with 0 if none did."""
    for failure in gates.failures:
        click.echo(f"failed: {failure}", err=True)
    if not gates.passed:
        sys.exit(1)


def progress_for(quiet: bool) -> Progress:
    """Who listens to a command's progress: the terminal's stderr, or nobody."""
    return Silent() if quiet else TerminalProgress(Console(stderr=True))
