"""The model that size and accuracy are compared with."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part

FEW_ZEROS = 0.05
"""Share of zeros below which a model is sparse by nobody's intent: rounding makes some (0.5 % of one int8 model)."""


class Baseline(Part):
    """The model that the dense float32 file holds.

    Attributes:
        model: its name.
        origin: ``model``: the exported model, before this run made zeros; ``option``: the one given as the baseline;
            ``prune``: the one that the report of ``prune`` beside the model names; ``trained``: trained by this run.
        sparsity: share of zeros over its prunable kernels.
        is_unpruned: whether it is a model before pruning. If not, the cost of its zeros is unknown.
        reason: why the model before pruning is unknown, where it is; else None.
    """

    model: str
    origin: Literal["model", "option", "prune", "trained"]
    sparsity: float
    is_unpruned: bool
    reason: str | None = None


class BaselineFile(Part):
    """The model before pruning, as the report of ``prune`` names it.

    Attributes:
        path: of the file or folder, relative to the folder of the report.
        sha256: of its content; of a folder: of the names and contents of all files.
        metric: of ``accuracy``.
        accuracy: on the test samples of ``data``.
        samples: number of these.
        data: their name.
    """

    path: str
    sha256: str
    metric: str
    accuracy: float
    samples: int
    data: str
