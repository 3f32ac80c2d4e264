"""Groups of settings that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from tflite_sparse.settings.base import Flag, Settings
from tflite_sparse.settings.kinds import (
    DEFAULT_OUT,
    AnyPath,
    Count,
    DenseScales,
    InputShapes,
    LearningRate,
    Metric,
    Pixels,
    Recurrent,
    ValuesOrAuto,
)


class ChannelOptions(TypedDict, total=False):
    """Keywords of :class:`ChannelSettings`."""

    keep_channels: bool


class ChannelSettings(Settings):
    """Settings of channels that no output depends on."""

    keep_channels: bool = Field(
        False,
        description="Keep dead channels, which are constant or which nothing reads. Without it they leave the file, "
        "where it becomes smaller and its outputs stay equal bit for bit (float32: up to the order of sums).",
    )


class ConversionOptions(TypedDict, total=False):
    """Keywords of :class:`ConversionSettings`."""

    recurrent: Recurrent
    dense_scales: DenseScales
    calibration_samples: int


class ConversionSettings(Settings):
    """Settings of the conversion of a Keras model to an int8 file."""

    recurrent: Recurrent = Field(
        "auto",
        description="Form of recurrent layers. loop: a loop in the file; LSTMs of Keras 2 become one fused operator. "
        "unroll: one copy of the cell for each time step; the file grows with the steps, int8 weights may be sparse. "
        "step: one time step for sequences of any length; the app feeds the states back. auto: the first form that "
        "converts.",
    )
    dense_scales: DenseScales = Field(
        "per-channel",
        description="Scales of int8 kernels of Dense and recurrent layers and other matrix products. per-channel: one "
        "for each output. per-tensor: one for the kernel; coarser, saves up to 16 bytes for each output. Convolutions "
        "always have one for each channel.",
    )
    calibration_samples: Count = Field(
        200, description="Training samples that the int8 ranges of activations are measured on."
    )


class ScoreOptions(TypedDict, total=False):
    """Keywords of :class:`ScoreSettings`."""

    metric: str


class ScoreSettings(Settings):
    """Settings of the score of outputs."""

    metric: Annotated[Metric, Flag(metavar="NAME")] = Field(
        "auto",
        description="Accuracy metric. auto: chosen by labels and outputs. top1, top5: classes. mse, psnr: numbers. "
        "auc: yes or no. FILE.py:FUNCTION: your own, runs FUNCTION(outputs, labels), which returns one number or one "
        "for each sample; higher is better.",
    )


class TrainingOptions(TypedDict, total=False):
    """Keywords of :class:`TrainingSettings`."""

    batch_size: int
    learning_rate: float


BatchSize = Annotated[Count, Field(description="Samples in one training step.")]
PeakLearningRate = Annotated[LearningRate, Field(description="Highest learning rate. It falls to zero along a cosine.")]


class TrainingSettings(Settings):
    """Settings of training."""

    batch_size: BatchSize = 64
    learning_rate: PeakLearningRate = 1e-3


class SourceOptions(TypedDict, total=False):
    """Keywords of :class:`SourceSettings`."""

    custom_objects: AnyPath | None
    builder: str | None


BUILDER = Flag(metavar="FILE.py:FUNCTION")


class SourceSettings(Settings):
    """Python files that are run to read a model."""

    custom_objects: Path | None = Field(None, description="Run this Python file, which defines `model`'s own layers.")
    builder: Annotated[str | None, BUILDER] = Field(
        None,
        description="For a `model` that is an .h5 file of weights only: run this function, which takes no arguments "
        "and returns the built Keras model (Keras 2 or 3).",
    )


class PixelOptions(TypedDict, total=False):
    """Keywords of :class:`PixelSettings`."""

    pixels: Pixels | None


PixelRange = Annotated[
    Pixels | None,
    Field(
        description="Range of pixels that `model` takes. Images are scaled to it; folders of images and uint8 arrays "
        "hold 0..255."
    ),
]


class PixelSettings(Settings):
    """Settings of image inputs."""

    pixels: Annotated[PixelRange, Flag(default="that of the data, if no other one fits `model` better")] = None


class BaselineOptions(TypedDict, total=False):
    """Keywords of :class:`BaselineSettings`."""

    baseline: AnyPath | None


class BaselineSettings(Settings):
    """Settings of the model that a file is compared with."""

    baseline: Annotated[
        Path | None, Flag(metavar="FILE", default="the one in the report of prune beside `model`, else `model` itself")
    ] = Field(
        None,
        description="The model before pruning, a file or folder as `model`. Size and accuracy are compared with it. "
        "The accuracy gate of a pruned model without a baseline is not judged.",
    )


class OutOptions(TypedDict, total=False):
    """Keywords of :class:`OutSettings`."""

    out: AnyPath


class OutSettings(Settings):
    """Settings of the output folder."""

    out: Annotated[Path, Flag(letter="o")] = Field(
        DEFAULT_OUT,
        description="Output folder. Only files of this command are replaced in it.",
    )


class InputShapeOptions(TypedDict, total=False):
    """Keywords of :class:`InputShapeSettings`."""

    input_shapes: Mapping[str, Sequence[int]]


class InputShapeSettings(Settings):
    """Settings of commands that run a file."""

    input_shapes: Annotated[InputShapes, Flag("input-shape", metavar="NAME=1,16000")] = Field(
        default_factory=dict,
        description="Shape, batch included, for an input with open sizes; repeat it for each such input. Without it "
        "the batch is 1 and other sizes are searched for one that runs.",
    )


class SharedValuesOptions(TypedDict, total=False):
    """Keywords of :class:`SharedValuesSettings`."""

    shared_values: int | Literal["auto"] | None


class SharedValuesSettings(Settings):
    """Settings of weights that share values."""

    shared_values: Annotated[ValuesOrAuto | None, Flag(metavar="N|auto")] = Field(
        None,
        description="Let the kept int8 weights of each pruned tensor share N values, chosen after training. Zeros "
        "stay. auto: the fewest of 8, 16 and 32 that keep `max_accuracy_drop` on training samples.",
    )
