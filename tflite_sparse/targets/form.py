"""What a target answers when asked how a constant may be stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tflite_sparse.codecs import csr, search
from tflite_sparse.codecs.csr import Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.search import Cost


@dataclass(frozen=True, slots=True)
class Offer:
    """How a form would store one constant.

    Attributes:
        stored: how, in words.
        nbytes: what it takes in the file, with all that the graph edit adds.
        overhead_bytes: that part of it which is not the constant's own.
        apply: encodes the constant and edits the graph; once.
        layout: its layout, where it is one of the sparse format.
        finish: the part of the edit that is done once for all constants that share it, after all of them.
    """

    stored: str
    nbytes: int
    overhead_bytes: int
    apply: Callable[[], None]
    layout: Layout | None = None
    finish: Callable[[], None] | None = None


class Form(Protocol):
    """One way in which a target takes a constant.

    ``words`` says what happens to the graph, for people (empty for the plain way); ``exact`` whether outputs stay what
    they were to the bit.
    """

    @property
    def words(self) -> str: ...  # noqa: D102 - see the class

    @property
    def exact(self) -> bool: ...  # noqa: D102 - see the class

    def offer(self, values: np.ndarray) -> Offer | None:
        """Return the best that this form can do for the dense values; None where it cannot store them."""


@dataclass(frozen=True, slots=True)
class SparseForm:
    """A form of LiteRT's sparse format; see :class:`Form`.

    Attributes:
        words: what happens to the graph.
        shape: the shape in which the constant is stored (same number of values, same order).
        overhead_bytes: what the graph edit adds to the file with a layout, beside values, segments and indices.
        apply: the graph edit, given the constant encoded in ``shape``.
        layout: finds the best layout that this form may have for the dense values, None if there is none.
        exact: whether outputs stay what they were to the bit.
    """

    words: str
    shape: tuple[int, ...]
    overhead_bytes: Callable[[Layout], int]
    apply: Callable[[Encoded], None]
    layout: Callable[[np.ndarray], Cost | None] = search.cheapest
    exact: bool = True

    def offer(self, values: np.ndarray) -> Offer | None:
        """See :class:`Form`."""
        cost = self.layout(values.reshape(self.shape))
        if cost is None:
            return None
        layout, extra = cost.layout, self.overhead_bytes(cost.layout)

        def apply() -> None:
            self.apply(csr.encode(values.reshape(self.shape), layout))

        return Offer(layout.in_words(), cost.nbytes + extra, extra, apply, layout)


@dataclass(frozen=True, slots=True)
class Answer:
    """The forms that a target takes; where there is none, ``refusal`` says why."""

    forms: tuple[Form, ...]
    refusal: str | None = None
