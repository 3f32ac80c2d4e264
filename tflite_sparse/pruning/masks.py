"""Magnitude masks: which weights of a kernel become zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.sources.source_model import Kernel, SourceModel

LEAST_PRUNABLE_SIZE = 2048
"""Kernels with fewer weights are left alone: they are few bytes and, often first or last layers, matter most."""

_OWNERS_LEFT_ALONE = ("Depthwise", "Normalization", "PReLU", "unread")
_WEIGHTS_LEFT_ALONE = ("bias", "depthwise_kernel")  # of attention and GRU layers, a bias may have two axes


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Zeros and weights of a set of kernels."""

    zeros: int
    weights: int

    @property
    def share(self) -> float:
        """Share of zeros; 0 where there are no weights."""
        return self.zeros / self.weights if self.weights else 0.0


def prunable(model: SourceModel) -> list[Kernel]:
    """The kernels that ``--sparsity`` speaks of.

    These are all of rank 2 and more but those of fewer than :data:`LEAST_PRUNABLE_SIZE` weights, biases, slopes and
    scales of activation and normalisation layers, and depthwise kernels: Zhu and Gupta (2017) leave those dense too,
    for they are small and every weight counts.
    """
    return [kernel for kernel in model.kernels() if _is_prunable(kernel)]


def magnitude_mask(values: np.ndarray, sparsity: float) -> np.ndarray:
    """Boolean mask of the shape of ``values``: False for the ``round(sparsity * size)`` smallest absolute values.

    The method of Zhu and Gupta (2017), section 3: order the weights of a layer by absolute value, mask the smallest
    until the sparsity is reached. Zeros are the smallest there are, so a mask never revives what was zero while fewer
    weights than asked for were.
    """
    zeros = round(sparsity * values.size)
    mask = np.ones(values.size, bool)
    if zeros:
        mask[np.argpartition(np.abs(values.reshape(-1)), zeros - 1)[:zeros]] = False
    return mask.reshape(values.shape)


def apply_mask(kernel: Kernel, mask: np.ndarray) -> None:
    """Set what ``mask`` leaves out to +0.0; a product with the mask could leave -0.0, which has a bit set."""
    values = kernel.read()
    kernel.write(np.where(mask, values, np.zeros((), values.dtype)))


def apply_masks(kernels: Sequence[Kernel], found: Sequence[np.ndarray]) -> None:
    """Apply to each kernel the mask in its place."""
    for kernel, mask in zip(kernels, found, strict=True):
        apply_mask(kernel, mask)


def mask_to(kernels: Sequence[Kernel], sparsity: float) -> None:
    """Mask every kernel that holds less than ``sparsity``, each on its own; those that hold more are kept."""
    for kernel in kernels:
        if sparsity_of([kernel]).share < sparsity:
            apply_mask(kernel, magnitude_mask(kernel.read(), sparsity))


def current_masks(kernels: Sequence[Kernel]) -> list[np.ndarray]:
    """For each kernel, the mask of what is not zero now."""
    return [kernel.read() != 0 for kernel in kernels]


def sparsity_of(kernels: Sequence[Kernel]) -> Sparsity:
    """Zeros over all weights of ``kernels``."""
    zeros = sum(int(kernel.size - np.count_nonzero(kernel.read())) for kernel in kernels)
    return Sparsity(zeros, sum(kernel.size for kernel in kernels))


def _is_prunable(kernel: Kernel) -> bool:
    leaf = kernel.name.rpartition("/")[2].split(" ")[0]
    if kernel.size < LEAST_PRUNABLE_SIZE or leaf in _WEIGHTS_LEFT_ALONE:
        return False
    return not any(word in kernel.owner for word in _OWNERS_LEFT_ALONE)
