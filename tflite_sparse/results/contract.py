"""What an app must know to call a file: its inputs, its outputs, the names of the classes, and code that does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import pydantic

from tflite_sparse.results.part import Part

Language = Literal["python", "kotlin", "c++", "c"]


class Range(Part):
    """Real numbers from ``low`` to ``high``, both included."""

    low: float
    high: float


class Port(Part):
    """One input or output of the first graph.

    Attributes:
        index: its place in the graph, by which the interpreter numbers it.
        place: its place in the signature, by which CompiledModel numbers it.
        name: in the signature, else that of the tensor.
        shape: with -1 for a size that is open.
        run_shape: the same with the size that the file holds for an open one: 1 for a batch.
        dtype: in NumPy's words, such as ``int8``.
        scale: one real number is ``scale * (stored - zero_point)``; None: it is not quantised.
        zero_point: see ``scale``.
        representable: the real numbers that the type can hold, if it is quantised; others are clipped.
        data: smallest and largest value of the data that the file was made with; None: not known. Outputs have none.
        meaning: of the values, in words: ``pixels, 0..255``, ``probabilities of classes, 0..1``.
    """

    index: int
    place: int
    name: str
    shape: tuple[int, ...]
    run_shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    representable: Range | None = None
    data: Range | None = None
    meaning: str


class Contract(Part):
    """The inputs and outputs of a file.

    Attributes:
        signature: the key of the signature that names them; None: the file has none.
        inputs: by index.
        outputs: by index.
        labels: names of the classes of the only output, in its order; empty if they are not known.
        snippets: code that runs the file, by language; only those that the runtime of the file has.
    """

    signature: str | None
    inputs: list[Port]
    outputs: list[Port]
    labels: list[str] = []
    snippets: Annotated[Mapping[Language, str], pydantic.PlainSerializer(dict, dict[str, str])] = {}


class PixelScore(Part):
    """The score of the float model on images of one range of pixels, such as ``0..255``."""

    pixels: str
    score: float


class PixelCheck(Part):
    """The float model on the same images in several ranges of pixels.

    Attributes:
        fed: the range that the run took.
        metric: of the scores, higher is better.
        samples: number of images.
        scores: one for each range.
        alike: other ranges in which the model is as good, within chance: accuracy does not tell which one is right.
        told: whether the user told the range.
    """

    fed: str
    metric: str
    samples: int
    scores: list[PixelScore]
    alike: list[str] = []
    told: bool = False
