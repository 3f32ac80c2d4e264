"""Measure how much each kernel loses when its kept weights share values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.codecs import clustering
from tflite_sparse.errors import ModelError
from tflite_sparse.planning.sharing import COUNTS
from tflite_sparse.pruning import masks
from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.sources.source_model import Kernel

_SPARSITY = 0.5
_LEVELS = 127  # of int8


def scan(
    kernels: Sequence[Kernel], evaluate: Callable[[], Score], *, on_step: Step = ignore_steps
) -> dict[str, dict[int, float]]:
    """Let the weights of one kernel at a time share values, and evaluate the model.

    The kernel is masked to half zeros before. Plans prune more as a rule, and fewer weights are nearer to N values. All
    weights have their original bits when this returns or raises.

    Args:
        kernels: to scan.
        evaluate: as for :func:`tflite_sparse.pruning.sensitivity.scan`.
        on_step: receives (kernels done, all kernels).

    Returns:
        By name of the kernel and number of values, the rise of the loss against the masked kernel: at least 0, and no
        less with fewer values.

    Raises:
        ModelError: a loss is NaN or infinite.
    """
    found: dict[str, dict[int, float]] = {}
    for number, kernel in enumerate(kernels, start=1):
        before = kernel.read().copy()
        try:
            masks.apply_mask(kernel, masks.magnitude_mask(before, _SPARSITY, axes=kernel.axes))
            masked, unshared = kernel.read().copy(), _loss(evaluate, kernel)
            rise, rises = 0.0, {}
            counts = sorted(COUNTS, reverse=True)
            for count, values in zip(counts, shared_each(masked, counts, kernel.axes[0]), strict=True):
                kernel.write(values)
                rise = max(rise, _loss(evaluate, kernel) - unshared)
                rises[count] = rise
        finally:
            kernel.write(before)
        found[kernel.name] = rises
        on_step(number, len(kernels))
    return found


def shared_each(values: np.ndarray, counts: Sequence[int], outputs: int) -> Iterator[np.ndarray]:
    """Yield float weights as an int8 file holds them where they share values, one scale for each output channel.

    Args:
        values: of a kernel.
        counts: of the values other than 0, in steps of the scale, one after the other; what is 0 or rounds to it is 0.
        outputs: the axis of the output channels.

    Yields:
        For each count, weights of the shape and dtype of ``values``.
    """
    others = tuple(axis for axis in range(values.ndim) if axis != outputs % values.ndim)
    largest = np.abs(values).max(others, keepdims=True)
    scales = np.where(largest > 0, largest, 1) / _LEVELS
    steps = np.rint(values / scales).astype(np.int64)
    importance = np.broadcast_to(scales.astype(np.float64) ** 2, values.shape)
    for found in clustering.share_each(steps, importance, counts):
        yield (found * scales).astype(values.dtype)


def _loss(evaluate: Callable[[], Score], kernel: Kernel) -> float:
    loss = evaluate().loss
    if not np.isfinite(loss):
        raise ModelError(f"{kernel.name} with shared values has a loss of {loss} on held-out samples.")
    return loss
