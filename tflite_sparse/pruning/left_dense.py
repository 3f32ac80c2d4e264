"""List the kernels that pruning leaves dense, and why. Shares are in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tflite_sparse.pruning import masks
from tflite_sparse.results.left_dense import DenseKernel, LeftDense
from tflite_sparse.sources.source_model import Kernel

_DENSE_BELOW = 0.01  # share of zeros; training alone makes hardly any


def while_training(kernels: Sequence[Kernel], pruned: Sequence[Kernel], *, by_rules: bool) -> LeftDense:
    """Return what stays dense when a training prunes ``pruned`` among ``kernels``, by a recipe or without."""
    first = masks.first_convolution(kernels)
    others = "left out by the recipe" if by_rules else "not chosen"
    return _all_but(kernels, pruned, lambda kernel: "the first convolution" if kernel is first else others)


def of_masked(kernels: Sequence[Kernel], prunable: Sequence[Kernel], *, by_rules: bool) -> LeftDense:
    """Return what is dense in a model whose ``prunable`` kernels, chosen by a recipe or without one, may hold zeros."""
    names = {kernel.name for kernel in prunable}
    others = "left out by the recipe" if by_rules else "not chosen"
    pruned = [kernel for kernel in prunable if masks.sparsity_of([kernel]).share >= _DENSE_BELOW]
    return _all_but(kernels, pruned, lambda kernel: "it holds no zeros" if kernel.name in names else others)


def _all_but(kernels: Sequence[Kernel], pruned: Sequence[Kernel], why: Callable[[Kernel], str]) -> LeftDense:
    names = {kernel.name for kernel in pruned}
    found = [
        DenseKernel(name=kernel.name, weights=kernel.size, reason=masks.why_left_dense(kernel) or why(kernel))
        for kernel in kernels
        if kernel.name not in names
    ]
    total = sum(kernel.size for kernel in kernels)
    share = sum(each.weights for each in found) / total if total else 0.0
    return LeftDense(share=share, kernels=tuple(sorted(found, key=lambda each: -each.weights)))
