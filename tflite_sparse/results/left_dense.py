"""The kernels that pruning leaves dense, and why. Shares are in [0, 1]."""

from __future__ import annotations

from tflite_sparse.results.part import Part

LOUD_FROM = 0.05
"""The share of the weights from which on it is a warning that they are left dense."""


class DenseKernel(Part):
    """One kernel, how many weights it has, and why they are left dense."""

    name: str
    weights: int
    reason: str


class LeftDense(Part):
    """The kernels that are left dense, the largest first, and their share of the weights of all kernels."""

    share: float = 0.0
    kernels: tuple[DenseKernel, ...] = ()

    @property
    def is_loud(self) -> bool:
        """Whether so many weights are left dense that it must not be overlooked."""
        return self.share > LOUD_FROM
