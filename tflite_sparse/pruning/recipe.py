"""Rules of a recipe: how single kernels are pruned and which layers stay float32, and what each applies to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tflite_sparse.settings import PruningSettings
from tflite_sparse.settings.kinds import SharedCountOrAll
from tflite_sparse.sources.source_model import Kernel, Layer

FIELDS = frozenset(PruningSettings.model_fields)
"""The settings that a recipe may set."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        place: its name in messages: ``"recipe.toml, rule 2"``.
        layers: matches the names of the kernels it applies to; None: any name.
        types: classes of their layers; empty: any.
        changes: fields of :class:`tflite_sparse.settings.PruningSettings` that it sets.
        skip: True: do not prune them; False: prune them even if they are not by default; None: no change.
        precision: of the operators of the layers in an int8 file; None: no change.
        shared_values: how many values kept weights share in an int8 file, or ``"all"``: they keep theirs; None: no
            change.
        required: whether it must match and fit. Rules of a preset that do not are ignored.
    """

    place: str
    layers: re.Pattern[str] | None = None
    types: tuple[str, ...] = ()
    changes: Mapping[str, object] = field(default_factory=dict)
    skip: bool | None = None
    precision: Literal["int8", "float32"] | None = None
    shared_values: SharedCountOrAll | None = None
    required: bool = True

    @property
    def prunes(self) -> bool:
        """Whether it affects masks."""
        return bool(self.changes) or self.skip is not None

    def matches(self, item: Kernel | Layer) -> bool:
        """Return whether it applies to ``item``."""
        if self.types and not self.types_of(item).intersection(self.types):
            return False
        return self.layers is None or any(self.layers.fullmatch(name) for name in names_of(item))

    @staticmethod
    def types_of(item: Kernel | Layer) -> set[str]:
        """Return the classes of its layer; a cell also counts without ``Cell``: ``LSTMCell`` as ``LSTM``."""
        classes = item.owner.split("+")
        return {*classes, *(each.removesuffix("Cell") for each in classes)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe: fields for all kernels, then rules. Later rules take precedence."""

    name: str
    defaults: Mapping[str, object]
    rules: tuple[Rule, ...]

    @property
    def prunes(self) -> bool:
        """Whether it affects masks."""
        return bool(self.defaults) or any(rule.prunes for rule in self.rules)

    @property
    def chooses_precision(self) -> bool:
        """Whether a rule keeps layers in float32."""
        return any(rule.precision == "float32" for rule in self.rules)

    @property
    def shares_values(self) -> bool:
        """Whether a rule says how many values weights share."""
        return any(rule.shared_values is not None for rule in self.rules)


def names_of(item: Kernel | Layer) -> list[str]:
    """Return the names that ``layers`` may match in full: the path, and every part of it between slashes.

    ``encoder/dense/kernel`` matches ``encoder``, ``dense``, ``encoder/dense``, ``dense/kernel`` and so on.
    """
    parts = item.name.partition(" ")[0].split("/")  # a number follows a name that is not unique
    runs = ["/".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
    return list(dict.fromkeys([item.name, *runs]))


def given(settings: PruningSettings) -> dict[str, object]:
    """Return the fields of a recipe that were set."""
    return {name: getattr(settings, name) for name in settings.model_fields_set & FIELDS}
