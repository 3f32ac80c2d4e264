"""Groups of settings that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

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
        description="Form of recurrent layers. loop: as loops, LSTMs of Keras 2 as one fused operator. unroll: step by "
        "step, which takes space for each step and lets int8 weights be sparse. step: the file computes one time step, "
        "whose states the app feeds back, for sequences of any length. auto: what works.",
    )
    dense_scales: DenseScales = Field(
        "per-channel",
        description="Scales of the int8 kernels of Dense layers and other matrix products (recurrent ones too): one "
        "for each output, or one in all, which is coarser and saves up to 16 bytes for each output. Convolutions keep "
        "one for each channel.",
    )
    calibration_samples: Count = Field(200, description="Number of training samples that the quantiser sees.")


class ScoreOptions(TypedDict, total=False):
    """Keywords of :class:`ScoreSettings`."""

    metric: str


class ScoreSettings(Settings):
    """Settings of the score of outputs."""

    metric: Annotated[Metric, Flag(metavar="NAME")] = Field(
        "auto",
        description="Score of outputs. auto: by labels and outputs; top1, top5; mse, psnr (numbers); auc (yes or no); "
        "or FILE.py:FUNCTION of (outputs, labels), higher is better, one number or one for each sample. It is run.",
    )


class TrainingOptions(TypedDict, total=False):
    """Keywords of :class:`TrainingSettings`."""

    batch_size: int
    learning_rate: float


BatchSize = Annotated[Count, Field(description="Samples in one training step.")]
PeakLearningRate = Annotated[LearningRate, Field(description="Highest learning rate; it falls to zero along a cosine.")]


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

    custom_objects: Path | None = Field(None, description="Python file that defines `model`'s own layers. It is run.")
    builder: Annotated[str | None, BUILDER] = Field(
        None,
        description="Where `model` is an .h5 file with weights only: a function without arguments that returns the "
        "built Keras model (Keras 2 or 3). It is run.",
    )


class PixelOptions(TypedDict, total=False):
    """Keywords of :class:`PixelSettings`."""

    pixels: Pixels | None


PixelRange = Annotated[
    Pixels | None,
    Field(
        description="Range of pixels that `model` takes; images are scaled to it. Folders of images and uint8 arrays "
        "have 0..255."
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
        description="The model before it was pruned, a file or folder as `model`: size and accuracy are compared with "
        "it. Without it, the accuracy gate of a model that was pruned before is not judged.",
    )


class OutOptions(TypedDict, total=False):
    """Keywords of :class:`OutSettings`."""

    out: AnyPath


class OutSettings(Settings):
    """Settings of the output folder."""

    out: Path = Field(
        DEFAULT_OUT,
        description="Folder for the files. Only this command's own files are replaced in it.",
    )


class InputShapeOptions(TypedDict, total=False):
    """Keywords of :class:`InputShapeSettings`."""

    input_shapes: Mapping[str, Sequence[int]]


class InputShapeSettings(Settings):
    """Settings of commands that run a file."""

    input_shapes: Annotated[InputShapes, Flag("input-shape", metavar="NAME=1,16000")] = Field(
        default_factory=dict,
        description="Whole shape, batch included, that an input with open sizes is run with, by its name; for each "
        "such input once. Without it a batch is 1, and a size that runs is looked for.",
    )
