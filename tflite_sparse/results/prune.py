"""The report of ``prune``: typed, versioned. Shares are in [0, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pydantic

from tflite_sparse.results.baseline import BaselineFile
from tflite_sparse.results.channels import MaskedChannels
from tflite_sparse.results.left_dense import LeftDense
from tflite_sparse.results.part import Part


class PrunedKernel(Part):
    """One kernel: demanded (None: its zeros were only kept) and reached sparsity.

    With the block ``channel`` the share of channels was demanded. Where channels and single weights are pruned, the
    demand is the share of zeros in what remains.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    block: str
    asked: float | None
    sparsity: float


class Curve(Part):
    """Demanded sparsity over all pruned kernels, and learning rate, over training steps."""

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
    """The report of ``prune``.

    Attributes:
        model: the source.
        data: the training data.
        output: the file that was written.
        settings: of the run.
        masks_applied: number of masks of pruning wrappers that were applied first.
        kernels: the pruned ones.
        channels: the groups of channels that were pruned, or were zero before.
        sparsity_before: share of zeros over them before training.
        sparsity: the same at the end.
        metric: of ``before`` and ``after``, on the test samples.
        samples: number of test samples.
        before: score of the source model.
        after: score of the written model.
        outputs: the scores of each of several outputs, whose means are ``before`` and ``after``; else empty.
        baseline: the model before pruning, which an export compares the written one with; None: unknown.
        left_dense: the kernels that were not pruned, and why.
        warnings: about the settings.
        curve: the schedule.
        seconds: wall time of each stage.
    """

    version: Literal[1] = 1
    tool: str
    model: str
    data: str
    output: str
    settings: dict[str, object]
    masks_applied: int
    kernels: list[PrunedKernel]
    channels: tuple[MaskedChannels, ...] = ()
    sparsity_before: float
    sparsity: float
    metric: str
    samples: int
    before: float
    after: float
    outputs: list[OutputScores] = []
    baseline: BaselineFile | None = None
    left_dense: LeftDense | None = None
    warnings: list[str]
    curve: Curve
    seconds: dict[str, float]


def report_path(model: Path) -> Path:
    """Return the path of the report of a model that ``prune`` wrote."""
    return model.with_suffix(".prune.json")


def report_beside(model: Path) -> PruneReport | None:
    """Return the report of ``prune`` beside a model file, if there is one about this file."""
    try:
        found = PruneReport.model_validate_json(report_path(model).read_bytes())
    except (OSError, pydantic.ValidationError):  # no such file, or no report
        return None
    return found if Path(found.output).name == model.name else None
