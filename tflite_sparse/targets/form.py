"""What a target answers when asked how a constant may be stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a target takes a constant sparse.

    Attributes:
        words: what happens to the graph, for people; empty for the plain way.
        shape: the shape in which the constant is stored (same number of values, same order).
        overhead_bytes: what the graph edit adds to the file beside the edit that every form needs.
        prepare: the edit that gives the consumers and the constant that shape; runs before the constant is encoded.
    """

    words: str
    shape: tuple[int, ...]
    overhead_bytes: int
    prepare: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """The forms that a target takes; where there is none, ``refusal`` says why."""

    forms: tuple[Form, ...]
    refusal: str | None = None
