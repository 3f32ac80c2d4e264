"""List the options of each kernel: a sparsity and a block, or no change; with bytes and predicted rise of the loss."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.fitting.costs import Costs
from tflite_sparse.pruning import allocation, masks, structure
from tflite_sparse.pruning.allocation import Curve
from tflite_sparse.pruning.channel_masks import Remaining
from tflite_sparse.pruning.structure import UNSTRUCTURED, Structure
from tflite_sparse.results.scan import Scan
from tflite_sparse.sources.source_model import Kernel

SPARSITIES = tuple(round(1 - 0.7 * 0.9**step, 4) for step in range(41))
"""Sparsities that are priced, 0.3 to 0.9897; each keeps 0.9 of the weights of the one before."""

_REFINEMENT = 10  # parts of a step between two of them


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kernel.

    Attributes:
        sparsity: share of zeros after pruning, of what remains without masked channels; None: no change.
        block: the weights that become zero together.
        nbytes: of its constant in the file, with everything that its form adds.
        rise: predicted rise of the loss.
        values: that the kept weights share; None: they keep theirs.
    """

    sparsity: float | None
    block: Structure
    nbytes: int
    rise: float
    values: int | None = None

    def is_within_reach_of(self, other: Option) -> bool:
        """Return whether a kernel pruned to ``other`` can still reach this option: zeros stay, and blocks of them.

        Values are shared after the training, so any number of them can be reached.
        """
        if other.sparsity is None:
            return True
        return self.sparsity is not None and self.block == other.block and self.sparsity >= other.sparsity


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A kernel and its options.

    Attributes:
        kernel: of the model.
        options: to choose from.
        curves: predicted rise of the loss, for each block.
        counts: predicted rise of the loss for each number of values that the kept weights may share, once there are
            zeros enough; None: they keep theirs.
        remaining: what is left of it without the channels that are masked.
    """

    kernel: Kernel
    options: tuple[Option, ...]
    curves: Mapping[Structure, Curve] = field(default_factory=dict)
    counts: Mapping[int | None, float] = field(default_factory=lambda: {None: 0.0})
    remaining: Remaining = field(default_factory=lambda: Remaining({}))

    @property
    def lightest(self) -> Option:
        """The option of fewest bytes."""
        return min(self.options, key=lambda option: (option.nbytes, option.rise))

    def mask(self, option: Option) -> np.ndarray:
        """Return the mask (bool, of the kernel's shape) of ``option`` for the present weights."""
        if option.sparsity is None:
            return masks.current_masks([self.kernel])[0]
        return self._mask(self.kernel.read(), option.sparsity, option.block)

    def from_here(self, now: Option) -> Candidate:
        """Return the candidate with the options that are left after ``now``."""
        return replace(self, options=tuple(each for each in self.options if each.is_within_reach_of(now)))

    def refined(self, option: Option, costs: Costs) -> Candidate:
        """Return it with options between ``option`` and the next denser one of its block, to use up the bytes."""
        alike = [
            each
            for each in self.options
            if (each.block, each.values) == (option.block, option.values) and each.sparsity is not None
        ]
        denser = [each.sparsity for each in alike if each.nbytes > option.nbytes and each.sparsity is not None]
        if option.sparsity is None or not denser:
            return self
        shares = [float(share) for share in np.linspace(option.sparsity, max(denser), _REFINEMENT + 1)[1:-1]]
        found = self._priced(option.block, shares, costs, {option.values})
        return replace(self, options=self.options + tuple(each for each in found if each.values == option.values))

    def priced(self, costs: Costs) -> Candidate:
        """Return the candidate with all of :data:`SPARSITIES` in each block, and the unchanged kernel, the first."""
        mask = masks.current_masks([self.kernel])[0]
        held = float(np.mean(self.remaining.cut(self.kernel.name, self.kernel.read()) == 0))
        plain = [
            Option(None, UNSTRUCTURED, nbytes, self.counts.get(count, 0.0), count)
            for count, nbytes in costs.pricer(self.kernel.name)(mask, self.counts).items()
        ]
        shares = [share for share in SPARSITIES if share > held]
        found = [self._priced(block, shares, costs, self.counts) for block in self.curves]
        return replace(self, options=(*plain, *itertools.chain(*found)))

    def _priced(
        self, block: Structure, shares: Sequence[float], costs: Costs, counts: Collection[int | None]
    ) -> tuple[Option, ...]:
        price, values = costs.pricer(self.kernel.name), self.kernel.read()
        found = []
        for share in shares:
            rise = float(self.curves[block].at(share))
            for count, nbytes in price(self._mask(values, share, block), counts).items():
                found.append(Option(round(share, 6), block, nbytes, rise + self.counts.get(count, 0.0), count))
        return tuple(found)

    def _mask(self, values: np.ndarray, share: float, block: Structure) -> np.ndarray:
        """Return the mask of the kernel's shape in which a share of what remains is zero."""
        left = self.remaining.cut(self.kernel.name, values)
        mask = masks.magnitude_mask(left, share, block, self.kernel.axes)
        return self.remaining.spread(self.kernel.name, mask, values.shape)


Choice = Mapping[str, Option]
"""The option of each kernel, by name."""


def has_room(kernel: Kernel, block: Structure) -> bool:
    """Return whether at least one whole block fits into the kernel."""
    outputs, inputs = (kernel.shape[axis] for axis in kernel.axes)
    return structure.fits(block, outputs, inputs)


def candidates(
    kernels: Sequence[Kernel],
    scans: Mapping[Structure, Scan],
    costs: Costs,
    counts: Mapping[str, Mapping[int | None, float]] | None = None,
    remaining: Remaining | None = None,
    *,
    on_step: Step = ignore_steps,
) -> list[Candidate]:
    """Price every option of every kernel.

    The rise of the loss comes from the curve through the points of a scan
    (:func:`tflite_sparse.pruning.allocation.curve_of`), the bytes from the planner.

    Args:
        kernels: to prune, each found in the file of ``costs``.
        scans: one for each block, of the kernels that have room for it.
        costs: of the target, in the file without masked channels.
        counts: of kernels whose kept weights may share values, by name; see :class:`Candidate`.
        remaining: what is left without masked channels; None: nothing is masked.
        on_step: receives (kernels priced, all kernels).
    """
    found, left = [], Remaining({}) if remaining is None else remaining
    for number, kernel in enumerate(kernels, start=1):
        curves = {
            block: allocation.curve_of(measured, scan.baseline_loss)
            for block, scan in scans.items()
            for measured in scan.kernels
            if measured.name == kernel.name
        }
        of_kernel = (counts or {}).get(kernel.name, {None: 0.0})
        found.append(Candidate(kernel, (), curves, of_kernel, left).priced(costs))
        on_step(number, len(kernels))
    return found
