"""The report of ``sweep``: typed, versioned. Sizes are bytes, shares and accuracies are in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.export import Interval
from tflite_sparse.results.part import Part

Axis = Literal["file_bytes", "gzip_bytes", "nonzeros"]
"""What two models have equally much of when they are compared."""


class Measured(Part):
    """What one point came to.

    Attributes:
        file_bytes: of the file for the target, the smaller of encoded and dense.
        gzip_bytes: of the same by ``gzip -9``.
        dense_bytes: of the dense int8 file with the same weights.
        nonzeros: weights of rank 2 and more in the file that are not zero.
        weights: all of these.
        accuracy: of the file in its runtime, on the test samples.
        interval: of ``accuracy``, for these samples; what another seed makes of it is told by the seeds.
        float32_accuracy: of the same model before it was quantised.
        metric: what the accuracies are.
        samples: how many test samples.
        sha256: of the file: a point that is run again gives the same.
    """

    file_bytes: int
    gzip_bytes: int
    dense_bytes: int
    nonzeros: int
    weights: int
    accuracy: float
    float32_accuracy: float
    metric: str
    samples: int
    sha256: str
    interval: Interval | None = None


class Point(Part):
    """One training. ``measured`` is None where it failed, ``error`` says why.

    Attributes:
        name: of its files.
        width: what the builder was called with.
        sparsity: share of zeros asked for; 0: dense.
        block: which weights became zero together.
        seed: of the start, the order and dropout.
        measured: what came out.
        error: what went wrong.
        seconds: how long it took.
    """

    name: str
    width: float
    sparsity: float
    block: str
    seed: int
    measured: Measured | None = None
    error: str | None = None
    seconds: float


class PointFile(Part):
    """What lies on the disk for one point: it, and the settings that a sweep which goes on must share."""

    version: Literal[1] = 1
    settings: dict[str, object]
    point: Point


class Margin(Part):
    """Large sparse against small dense at one budget, both interpolated.

    Attributes:
        budget: of the axis: bytes, or weights that are not zero.
        sparse: accuracy of the large sparse model, mean over the seeds.
        dense: that of the small dense one.
        points: percentage points that the sparse one is ahead, mean over the seeds.
        interval: half the width of the 95 % interval of ``points``, by seed (Student's t); None of a single seed.
        seeds: how many.
    """

    budget: float
    sparse: float
    dense: float
    points: float
    interval: float | None
    seeds: int


class Comparison(Part):
    """The two families along one axis.

    Attributes:
        axis: what both have equally much of.
        block: of the sparse models.
        width: of the sparse models, the largest.
        lowest: the smallest budget that both families reach; None where they have none in common.
        highest: the largest.
        margins: at budgets from the one to the other.
        sentences: what came out.
    """

    axis: Axis
    block: str
    width: float
    lowest: float | None
    highest: float | None
    margins: list[Margin]
    sentences: list[str]


class SweepReport(Part):
    """The report of one sweep.

    Attributes:
        model: the builder, or ``built-in``.
        data: what the points were trained and measured on.
        settings: of the run.
        points: in the order of the grid.
        comparisons: for each block and axis.
        front: names of the points that no other is both smaller and more accurate than.
        failures: what failed, in sentences.
        seconds: of the stages.
    """

    version: Literal[1] = 1
    tool: str
    model: str
    data: str
    settings: dict[str, object]
    points: list[Point]
    comparisons: list[Comparison]
    front: list[str]
    failures: list[str]
    seconds: dict[str, float]

    @property
    def measured(self) -> list[tuple[Point, Measured]]:
        """The points that were measured."""
        return [(point, point.measured) for point in self.points if point.measured is not None]
