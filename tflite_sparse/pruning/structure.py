"""Define which weights become zero together: each alone, in blocks, or N of every M."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tflite_sparse.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a mask, in the axes of a weight in the file: ``(..., outputs, inputs)``.

    Attributes:
        block: number of outputs and of inputs that become zero together; (1, 1): each weight alone.
        kept_of: ``(N, M)``: of every M neighbours along the inputs at most N are kept; None: any number.
    """

    block: tuple[int, int] = (1, 1)
    kept_of: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if min(self.block) < 1:
            raise SettingsError(f"block {self.block[0]}x{self.block[1]}: both sides must be 1 or more.")
        if self.kept_of is None:
            return
        kept, group = self.kept_of
        if self.block != (1, 1) or not 0 < kept < group:
            raise SettingsError(f"{kept}:{group}: as many as are kept must be at least 1 and fewer than the group.")

    @property
    def sparsity(self) -> float | None:
        """The share of zeros that N:M implies; None if any is possible."""
        return None if self.kept_of is None else 1 - self.kept_of[0] / self.kept_of[1]

    def __str__(self) -> str:
        if self.kept_of is not None:
            return f"{self.kept_of[0]}:{self.kept_of[1]}"
        return f"{self.block[0]}x{self.block[1]}"


UNSTRUCTURED = Structure()

CHANNEL = "channel"
"""The word for masks of whole channels, which are no structure of one kernel: see ``channel_groups``."""

_FORM = re.compile(r"(\d{1,4})([x:])(\d{1,4})")


def parse(words: str) -> Structure:
    """Parse a structure: ``"1x16"`` (outputs x inputs) or ``"2:4"`` (kept of every four).

    Raises:
        SettingsError: it is neither.
    """
    found = _FORM.fullmatch(words)
    if found is None:
        raise SettingsError(f"block = {words!r}: expected outputs x inputs, as 1x16, or N:M, as 2:4.")
    first, second = int(found[1]), int(found[3])
    return Structure((first, second)) if found[2] == "x" else Structure(kept_of=(first, second))


def fits(structure: Structure, outputs: int, inputs: int) -> bool:
    """Return whether at least one whole block or group fits into a weight of so many outputs and inputs."""
    if structure.kept_of is not None:
        return inputs >= structure.kept_of[1]
    return structure.block[0] <= outputs and structure.block[1] <= inputs


def blocks_along(size: int, block: int) -> int:
    """Return the number of blocks that cover ``size``; the last may be cut."""
    return math.ceil(size / block)
