"""The report of ``prune``: typed, versioned. Shares are in [0, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pydantic

from tflite_sparse.results.left_dense import LeftDense
from tflite_sparse.results.part import Part


class PrunedKernel(Part):
    """One kernel: what was asked for (None: nothing, its zeros were kept) and what it holds."""

    name: str
    type: str
    shape: tuple[int, ...]
    block: str
    asked: float | None
    sparsity: float


class Curve(Part):
    """Sparsity over all pruned kernels, as asked for, and learning rate over training steps."""

    steps: list[int]
    sparsity: list[float]
    learning_rate: list[float]


class OutputScores(Part):
    """Scores of one of several outputs on the test samples."""

    name: str
    metric: str
    before: float
    after: float


class PruneReport(Part):
    """What ``prune`` did.

    Attributes:
        model: what was pruned.
        data: what it was trained on.
        output: the file that was written.
        settings: of the run.
        masks_applied: how many masks of pruning wrappers were applied first.
        kernels: the pruned ones.
        sparsity_before: share of zeros over them when training began.
        sparsity: the same at the end.
        metric: of ``before`` and ``after``, on the test samples.
        samples: how many these are.
        before: of the model as it came.
        after: of the model as it was written.
        outputs: of several outputs, of which these are the mean, the scores of each; else empty.
        left_dense: the kernels that were not pruned, and why.
        warnings: what spoke against the settings.
        curve: the schedule.
        seconds: time of each stage.
    """

    version: Literal[1] = 1
    tool: str
    model: str
    data: str
    output: str
    settings: dict[str, object]
    masks_applied: int
    kernels: list[PrunedKernel]
    sparsity_before: float
    sparsity: float
    metric: str
    samples: int
    before: float
    after: float
    outputs: list[OutputScores] = []
    left_dense: LeftDense | None = None
    warnings: list[str]
    curve: Curve
    seconds: dict[str, float]


def report_path(model: Path) -> Path:
    """Where the report of a model that ``prune`` wrote lies."""
    return model.with_suffix(".prune.json")


def report_beside(model: Path) -> PruneReport | None:
    """The report of ``prune`` on a model file, where it lies beside it and speaks of it."""
    try:
        found = PruneReport.model_validate_json(report_path(model).read_bytes())
    except (OSError, pydantic.ValidationError):  # none, or something else of that name
        return None
    return found if Path(found.output).name == model.name else None
