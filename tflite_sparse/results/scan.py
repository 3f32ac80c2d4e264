"""How much each kernel matters: what a scan measured, typed and versioned. Shares are in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class Point(Part):
    """The model with one kernel masked.

    Attributes:
        asked: share of zeros that the mask was made for.
        sparsity: share of zeros that the kernel then held; blocks and N:M cannot reach every share.
        metric: of the held-out samples; 1 is perfect.
        loss: of the same.
    """

    asked: float
    sparsity: float
    metric: float
    loss: float


class KernelScan(Part):
    """One kernel.

    Attributes:
        name: its path in the model.
        type: the class of its layer.
        shape: as the model has it.
        weights: how many it has.
        block: what became zero together.
        held: share of zeros that it came with.
        points: by rising sparsity.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    weights: int
    block: str
    held: float
    points: tuple[Point, ...]


class Scan(Part):
    """All of it; ``baseline_metric`` and ``baseline_loss`` are of the model as it came."""

    version: Literal[1] = 1
    model: str
    baseline_metric: float
    baseline_loss: float
    kernels: tuple[KernelScan, ...]

    @property
    def weights(self) -> int:
        """How many the scanned kernels have together."""
        return sum(kernel.weights for kernel in self.kernels)
