"""Make magnitude masks, which choose the weights of a kernel that become zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.errors import ModelError
from tflite_sparse.pruning.structure import UNSTRUCTURED, Structure, blocks_along
from tflite_sparse.sources.source_model import Kernel, SourceModel

LEAST_PRUNABLE_SIZE = 2048
"""Smaller kernels stay dense: they take few bytes, and first and last layers, often small, matter most."""

_OWNERS_LEFT_ALONE = {
    "Depthwise": "a depthwise kernel",
    "Normalization": "of a normalisation",
    "PReLU": "slopes of an activation",
    "unread": "no operator reads it",
}
_WEIGHTS_LEFT_ALONE = {
    "bias": "a bias",  # of attention and GRU layers, it may have two axes
    "depthwise_kernel": "a depthwise kernel",
}


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Number of zeros and of weights of a set of kernels."""

    zeros: int
    weights: int

    @property
    def share(self) -> float:
        """Share of zeros; 0 if there are no weights."""
        return self.zeros / self.weights if self.weights else 0.0


def prunable(model: SourceModel) -> list[Kernel]:
    """Return the kernels that ``--sparsity`` applies to.

    These have rank 2 or more and at least :data:`LEAST_PRUNABLE_SIZE` weights, and are no biases, no slopes or scales
    of activation and normalisation layers, and no depthwise kernels. Zhu and Gupta (2017) leave those dense too: they
    are small, and every weight counts.
    """
    return prunable_of(model.kernels())


def prunable_of(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return the prunable ones of ``kernels``; see :func:`prunable`."""
    return [kernel for kernel in kernels if why_left_dense(kernel) is None]


def prunable_while_training(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return the kernels that ``prune`` prunes by default: the prunable ones without the first convolution.

    Zhu and Gupta (2017) leave it dense: it is small, reads the input, and every weight counts.
    """
    first = first_convolution(kernels)
    return [kernel for kernel in prunable_of(kernels) if kernel is not first]


def first_convolution(kernels: Sequence[Kernel]) -> Kernel | None:
    """Return the first convolution in the data flow; ``kernels`` are in that order."""
    return next((kernel for kernel in kernels if _is_convolution(kernel)), None)


def why_left_dense(kernel: Kernel) -> str | None:
    """Return why a kernel is not prunable; None if it is."""
    small = f"fewer than {LEAST_PRUNABLE_SIZE:,} weights" if kernel.size < LEAST_PRUNABLE_SIZE else None
    return why_never_pruned(kernel) or small


def why_never_pruned(kernel: Kernel) -> str | None:
    """Return why kernels of this kind stay dense, whatever their size; None if they do not."""
    leaf = kernel.name.rpartition("/")[2].split(" ")[0]
    by_owner = next((reason for word, reason in _OWNERS_LEFT_ALONE.items() if word in kernel.owner), None)
    return _WEIGHTS_LEFT_ALONE.get(leaf) or by_owner


def magnitude_mask(
    values: np.ndarray,
    sparsity: float,
    structure: Structure = UNSTRUCTURED,
    axes: tuple[int, int] = (-1, -2),
) -> np.ndarray:
    """Return a boolean mask of the shape of ``values``, False where a weight becomes zero.

    Zhu and Gupta (2017), section 3: order the weights of a layer by absolute value, and mask the smallest until the
    sparsity is reached. Zeros are the smallest, so a mask revives none unless there are more of them than it masks.
    Blocks are ordered by the mean of their absolute values; a block that is cut at the end of an axis counts like a
    whole one. N:M allows only the M - N smallest weights of each group (of a cut group in proportion) to become zero,
    the smallest of these first.

    Args:
        values: the weights, finite; see :func:`finite`.
        sparsity: share of zeros, in [0, 1]: ``round(sparsity * size)`` weights; with blocks the nearest possible
            number, with N:M at most what it allows.
        structure: the weights that become zero together.
        axes: of outputs and inputs, as in ``Kernel.axes``.
    """
    scores = unit_scores(values, structure, axes)
    zeros = round(sparsity * values.size)
    return mask_of_units(scores, _smallest(scores, zeros), values.shape, structure, axes)


@dataclass(frozen=True, slots=True)
class Units:
    """The units (blocks) that become zero together: score (infinite: never) and number of weights of each, flat."""

    scores: np.ndarray
    sizes: np.ndarray


def unit_scores(values: np.ndarray, structure: Structure, axes: tuple[int, int]) -> Units:
    """Return the units of a kernel in the order expected by :func:`mask_of_units`."""
    # NumPy cannot partition every half-precision type, and two of these types have no common one.
    magnitudes = np.abs(values.astype(np.float64 if values.dtype == np.float64 else np.float32))
    if structure.kept_of is not None:
        magnitudes = np.where(_maskable_in_groups(magnitudes, structure.kept_of, axes[1]), magnitudes, np.inf)
    if structure.block == (1, 1):
        return Units(magnitudes.reshape(-1), np.ones(values.size, np.int64))
    ones = _in_blocks(np.ones(values.shape, np.int64), structure.block, axes)
    sums = _in_blocks(magnitudes.astype(np.float64), structure.block, axes)
    return Units((sums / ones).reshape(-1), ones.reshape(-1))


def mask_of_units(
    units: Units, chosen: np.ndarray, shape: tuple[int, ...], structure: Structure, axes: tuple[int, int]
) -> np.ndarray:
    """Return the mask of a kernel of ``shape`` in which the units with the flat indices ``chosen`` are zero."""
    kept = np.ones(units.scores.size, bool)
    kept[chosen] = False
    if structure.block == (1, 1):
        return kept.reshape(shape)
    moved = _moved_shape(shape, axes)
    rows, columns = (blocks_along(moved[-2 + i], structure.block[i]) for i in (0, 1))
    grid = kept.reshape(*moved[:-2], rows, columns)
    grid = grid.repeat(structure.block[0], -2)[..., : moved[-2], :]
    grid = grid.repeat(structure.block[1], -1)[..., : moved[-1]]
    return np.ascontiguousarray(np.moveaxis(grid, (-2, -1), axes))


def global_masks(kernels: Sequence[tuple[np.ndarray, Structure, tuple[int, int]]], sparsity: float) -> list[np.ndarray]:
    """Return masks under one total: the smallest units of all kernels become zero, but each kernel keeps at least one.

    Args:
        kernels: values, structure and axes of each.
        sparsity: share of zeros over all of them.
    """
    units = [unit_scores(*kernel) for kernel in kernels]
    for each in units:
        if np.isfinite(each.scores).all():  # N:M keeps some of each kernel
            each.scores[np.argmax(each.scores)] = np.inf
    together = Units(np.concatenate([u.scores for u in units]), np.concatenate([u.sizes for u in units]))
    chosen = _smallest(together, round(sparsity * sum(values.size for values, *_ in kernels)))
    bounds = np.cumsum([0, *(each.scores.size for each in units)])
    result = []
    for number, (each, (values, structure, axes)) in enumerate(zip(units, kernels, strict=True)):
        own = chosen[(chosen >= bounds[number]) & (chosen < bounds[number + 1])] - bounds[number]
        result.append(mask_of_units(each, own, values.shape, structure, axes))
    return result


def _smallest(units: Units, zeros: int) -> np.ndarray:
    """Return indices of the units of least score that hold ``zeros`` weights in total, as nearly as possible."""
    allowed = int(np.count_nonzero(np.isfinite(units.scores)))
    if zeros == 0 or allowed == 0:
        return np.zeros(0, np.int64)
    if units.sizes.min() == units.sizes.max():
        count = min(round(zeros / int(units.sizes[0])), allowed)
        return _least(units.scores, count)
    order = np.argsort(units.scores, kind="stable")[:allowed]
    reached = np.cumsum(units.sizes[order])
    count = int(np.searchsorted(reached, zeros))
    before = int(reached[count - 1]) if count else 0
    if count < allowed and int(reached[count]) - zeros <= zeros - before:
        count += 1
    return order[:count]


def _least(scores: np.ndarray, count: int) -> np.ndarray:
    """Return indices of the ``count`` least scores, none of them negative."""
    zeros = np.flatnonzero(scores == 0)
    if count <= zeros.size:
        return zeros[:count]
    rest = np.flatnonzero(scores)  # partitioning alike values, as those of pruned weights are, takes many times as long
    return np.concatenate([zeros, rest[np.argpartition(scores[rest], count - zeros.size - 1)[: count - zeros.size]]])


def _maskable_in_groups(magnitudes: np.ndarray, kept_of: tuple[int, int], axis: int) -> np.ndarray:
    """Return the weights that N:M allows to become zero: in each group along ``axis`` all but the N largest."""
    kept, group = kept_of
    moved = np.moveaxis(magnitudes, axis, -1)
    size = moved.shape[-1]
    padded = np.full((*moved.shape[:-1], blocks_along(size, group) * group), -1.0)  # padding smaller than any magnitude
    padded[..., :size] = moved
    groups = padded.reshape(*moved.shape[:-1], -1, group)
    rank = np.argsort(np.argsort(-groups, axis=-1, kind="stable"), axis=-1, kind="stable")
    limit = np.full(groups.shape[-2], kept)
    if size % group:
        limit[-1] = math.ceil(kept * (size % group) / group)
    may_go = (rank >= limit[:, None]).reshape(padded.shape)[..., :size]
    return np.moveaxis(may_go, -1, axis)


def _in_blocks(values: np.ndarray, block: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    """Return sums over blocks of outputs and inputs, with these axes moved to the end."""
    moved = np.moveaxis(values, axes, (-2, -1))
    rows, columns = (blocks_along(moved.shape[-2 + i], block[i]) for i in (0, 1))
    padded = np.zeros((*moved.shape[:-2], rows * block[0], columns * block[1]), values.dtype)
    padded[..., : moved.shape[-2], : moved.shape[-1]] = moved
    return np.asarray(padded.reshape(*moved.shape[:-2], rows, block[0], columns, block[1]).sum((-3, -1)))


def _moved_shape(shape: tuple[int, ...], axes: tuple[int, int]) -> tuple[int, ...]:
    return np.moveaxis(np.empty(shape, np.bool_), axes, (-2, -1)).shape


def apply_mask(kernel: Kernel, mask: np.ndarray) -> None:
    """Set masked weights to +0.0. A product with the mask could leave -0.0, which has a bit set."""
    values = kernel.read()
    kernel.write(np.where(mask, values, np.zeros((), values.dtype)))


def apply_masks(kernels: Sequence[Kernel], found: Sequence[np.ndarray]) -> None:
    """Apply to each kernel the mask at its index."""
    for kernel, mask in zip(kernels, found, strict=True):
        apply_mask(kernel, mask)


def finite(kernel: Kernel) -> np.ndarray:
    """Return the values of a kernel.

    Raises:
        ModelError: one is NaN or infinite, so that magnitudes have no order.
    """
    values = kernel.read()
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise ModelError(
            f"{kernel.name} holds {bad} NaN or infinite values: training diverged. Use a lower learning rate, or a "
            "checkpoint from before that."
        )
    return values


def mask_to(kernels: Sequence[Kernel], sparsity: float) -> None:
    """Mask every kernel with less than ``sparsity``, each on its own; kernels with more are unchanged."""
    for kernel in kernels:
        if sparsity_of([kernel]).share < sparsity:
            apply_mask(kernel, magnitude_mask(finite(kernel), sparsity))


def current_masks(kernels: Sequence[Kernel]) -> list[np.ndarray]:
    """Return for each kernel the mask of its present non-zero weights."""
    return [kernel.read() != 0 for kernel in kernels]


def trained_mask(values: np.ndarray) -> np.ndarray:
    """Return the mask of non-zero weights; all ones for a kernel of an initialiser: all zeros, or an identity.

    Zeros of an initialiser are not pruned. Such a kernel is recognised by its non-zero values, which are all equal.
    """
    mask = values != 0
    others = values[mask]
    return np.ones(values.shape, bool) if others.size == 0 or (others == others[0]).all() else mask


def sparsity_of(kernels: Sequence[Kernel]) -> Sparsity:
    """Count zeros and weights of ``kernels``."""
    zeros = sum(int(kernel.size - np.count_nonzero(kernel.read())) for kernel in kernels)
    return Sparsity(zeros, sum(kernel.size for kernel in kernels))


def _is_convolution(kernel: Kernel) -> bool:
    return len(kernel.shape) >= 3 and "Conv" in kernel.owner
