"""The kernels that pruning leaves dense, and why. Shares are in [0, 1]."""

from __future__ import annotations

from tflite_sparse.results.part import Part

LOUD_FROM = 0.05
"""Share of the weights left dense from which on there is a warning."""


class DenseKernel(Part):
    """One kernel, its number of weights, and why it is left dense."""

    name: str
    weights: int
    reason: str


class LeftDense(Part):
    """The kernels that are left dense, the largest first, and their share of the weights of all kernels."""

    share: float = 0.0
    kernels: tuple[DenseKernel, ...] = ()

    @property
    def is_loud(self) -> bool:
        """Whether enough weights are left dense for a warning."""
        return self.share > LOUD_FROM
