"""The report of ``sweep``: typed, versioned. Sizes are bytes, shares and accuracies are in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.export import Interval
from tflite_sparse.results.part import Part

Axis = Literal["file_bytes", "gzip_bytes", "nonzeros", "multiply_adds"]
"""The cost at which two models are compared."""


class Measured(Part):
    """The measurements of one point.

    Attributes:
        file_bytes: of the file for the target, the smaller of encoded and dense.
        gzip_bytes: of the same in a gzip.
        dense_bytes: of the dense int8 file with the same weights.
        nonzeros: number of non-zero weights of rank 2 or more in the file.
        weights: number of weights of rank 2 or more.
        accuracy: of the file in its runtime, on the test samples.
        interval: of ``accuracy``, over test samples; it does not include the variance over seeds.
        multiply_adds: of one run, zeros counted; None in points of earlier versions.
        float32_accuracy: of the same model before quantisation.
        metric: of the accuracies.
        samples: number of test samples.
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
    multiply_adds: int | None = None


class Point(Part):
    """One training. If it failed, ``measured`` is None and ``error`` tells why.

    Attributes:
        name: of its files.
        width: argument of the builder.
        sparsity: demanded share of zeros; 0: dense.
        block: the weights that became zero together.
        seed: of the initial weights, the order of samples and dropout.
        measured: the measurements.
        error: what went wrong.
        seconds: wall time.
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
    """The file of one point on disk: the point, and the settings that a resumed sweep must share."""

    version: Literal[1] = 1
    settings: dict[str, object]
    point: Point


class Margin(Part):
    """Large sparse against small dense models at one budget, both interpolated.

    Attributes:
        budget: of the axis: bytes, non-zero weights or multiply-adds.
        sparse: accuracy of the large sparse model, mean over the seeds.
        dense: that of the small dense one.
        points: percentage points by which the sparse one is ahead, mean over the seeds.
        interval: half the width of the 95 % interval of ``points``, by seed (Student's t); None for a single seed.
        seeds: number of seeds.
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
        axis: the cost that both have in common.
        block: of the sparse models.
        width: of the sparse models, the largest.
        lowest: the smallest budget that both families reach; None if they have none in common.
        highest: the largest.
        margins: at budgets from ``lowest`` to ``highest``.
        sentences: the conclusion, in words.
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
        data: the training and test data.
        settings: of the run.
        points: in the order of the grid.
        comparisons: for each block and axis; along multiply-adds for whole channels alone, which other zeros leave.
        front: names of the points on the Pareto front: no other is both smaller and more accurate.
        failures: in sentences.
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
        """Return the points that were measured."""
        return [(point, point.measured) for point in self.points if point.measured is not None]
