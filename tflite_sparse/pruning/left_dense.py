"""List the kernels that pruning leaves dense, and why. Shares are in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tflite_sparse.pruning import masks
from tflite_sparse.results.left_dense import DenseKernel, LeftDense
from tflite_sparse.sources.source_model import Kernel

_DENSE_BELOW = 0.01  # share of zeros; training alone makes hardly any


_NO_REASONS: Mapping[str, str] = MappingProxyType({})


def while_training(
    kernels: Sequence[Kernel], pruned: Sequence[Kernel], *, by_rules: bool, reasons: Mapping[str, str] = _NO_REASONS
) -> LeftDense:
    """Return what stays dense when a training prunes ``pruned`` among ``kernels``, by a recipe or without.

    ``reasons`` are those that the plan gives, by kernel name.
    """
    first = masks.first_convolution(kernels)
    others = "left out by the recipe" if by_rules else "not chosen"
    return _all_but(kernels, pruned, lambda kernel: "the first convolution" if kernel is first else others, reasons)


def of_masked(
    kernels: Sequence[Kernel], prunable: Sequence[Kernel], *, by_rules: bool, reasons: Mapping[str, str] = _NO_REASONS
) -> LeftDense:
    """Return what is dense in a model whose ``prunable`` kernels, chosen by a recipe or without one, may hold zeros.

    ``reasons`` are those that the plan gives, by kernel name.
    """
    names = {kernel.name for kernel in prunable}
    others = "left out by the recipe" if by_rules else "not chosen"
    pruned = [kernel for kernel in prunable if masks.sparsity_of([kernel]).share >= _DENSE_BELOW]
    return _all_but(kernels, pruned, lambda kernel: "it holds no zeros" if kernel.name in names else others, reasons)


def _all_but(
    kernels: Sequence[Kernel], pruned: Sequence[Kernel], why: Callable[[Kernel], str], reasons: Mapping[str, str]
) -> LeftDense:
    def reason(kernel: Kernel) -> str:
        return reasons.get(kernel.name) or masks.why_left_dense(kernel) or why(kernel)

    names = {kernel.name for kernel in pruned}
    found = [
        DenseKernel(name=kernel.name, weights=kernel.size, reason=reason(kernel))
        for kernel in kernels
        if kernel.name not in names
    ]
    total = sum(kernel.size for kernel in kernels)
    share = sum(each.weights for each in found) / total if total else 0.0
    return LeftDense(share=share, kernels=tuple(sorted(found, key=lambda each: -each.weights)))
