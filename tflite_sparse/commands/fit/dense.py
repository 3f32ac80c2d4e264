"""The model that ``fit`` starts from, and what is known of it and of its dense file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tflite_sparse.fitting.candidates import Candidate, Choice
from tflite_sparse.fitting.channel_choice import Counts
from tflite_sparse.fitting.costs import Costs, Sizes
from tflite_sparse.fitting.plan_file import ChannelRules
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.results.scan import Scan
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.stages.baseline import Found

MULTIPLE: int = PruningSettings.model_fields["channel_multiple"].default
"""Numbers of channels that are kept are rounded up to a multiple of this one."""


@dataclass(frozen=True)
class Dense:
    """The model as it came, and what is known of it.

    Attributes:
        source: the model.
        path: where it lies.
        unpruned: what is known of the model before any pruning, which accuracy is compared with.
        samples: fitted to it.
        costs: of its kernels in the file, without the channels that are masked.
        candidates: the kernels that are pruned.
        kernels: the same, before their options are priced.
        scans: of these kernels, for each block.
        shared: predicted rise of the loss for each number of values that the kept weights of a kernel may share.
        groups: of channels that may be masked.
        counts: how many channels of these groups are kept.
    """

    source: KerasSource
    path: Path
    unpruned: Found
    samples: Dataset
    costs: Costs
    candidates: list[Candidate]
    kernels: Sequence[Kernel] = ()
    scans: Mapping[Structure, Scan] = field(default_factory=dict)
    shared: Mapping[str, Mapping[int | None, float]] = field(default_factory=dict)
    groups: tuple[ChannelGroup, ...] = ()
    counts: Counts = field(default_factory=dict)

    @property
    def untouched(self) -> Choice:
        """Every kernel stays as it is."""
        return {each.kernel.name: each.options[0] for each in self.candidates}

    @property
    def channels(self) -> ChannelRules:
        """The channels that are masked, as a recipe says it."""
        return ChannelRules.of(self.groups, self.counts, MULTIPLE)

    def sizes(self, choice: Choice) -> Sizes:
        """The file that is predicted for a plan."""
        return self.costs.sizes(
            {each.kernel.name: each.mask(choice[each.kernel.name]) for each in self.candidates},
            {name: option.values for name, option in choice.items()},
        )

    def beside_candidates(self, sizes: Sizes) -> int:
        """The bytes of a file that no plan changes."""
        return sizes.file_bytes - sum(sizes.kernels[each.kernel.name] for each in self.candidates)
