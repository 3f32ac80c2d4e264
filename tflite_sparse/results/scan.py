"""The result of a sensitivity scan: typed, versioned. Shares are in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class Point(Part):
    """The model with one kernel masked.

    Attributes:
        asked: share of zeros that the mask was made for.
        sparsity: share of zeros reached; blocks and N:M cannot reach every share.
        metric: on the held-out samples; 1 is perfect.
        loss: on the same.
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
        shape: in the model.
        weights: number of its weights.
        block: the weights that become zero together.
        held: share of zeros before the scan.
        points: by ascending sparsity.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    weights: int
    block: str
    held: float
    points: tuple[Point, ...]


class Scan(Part):
    """The scan; ``baseline_metric`` and ``baseline_loss`` are of the unmasked model."""

    version: Literal[1] = 1
    model: str
    baseline_metric: float
    baseline_loss: float
    kernels: tuple[KernelScan, ...]

    @property
    def weights(self) -> int:
        """Number of weights of all scanned kernels."""
        return sum(kernel.weights for kernel in self.kernels)


class SharingScan(Part):
    """The rise of the loss where the weights of one kernel share values, by its name and their number."""

    version: Literal[1] = 1
    rises: dict[str, dict[int, float]]
