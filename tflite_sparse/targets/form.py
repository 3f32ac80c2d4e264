"""Types of a target's answer: the forms in which a constant may be stored."""

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
    """The storage of one constant in a form, with its cost.

    Attributes:
        stored: the storage, in words.
        nbytes: bytes in the file, with everything that the graph edit adds.
        overhead_bytes: the part of them that the graph edit adds.
        apply: encodes the constant and edits the graph; to be called once.
        layout: of the constant, if it is stored in the sparse format.
        finish: the part of the edit that constants share; to be called once, after ``apply`` of all of them.
    """

    stored: str
    nbytes: int
    overhead_bytes: int
    apply: Callable[[], None]
    layout: Layout | None = None
    finish: Callable[[], None] | None = None


class Form(Protocol):
    """One form in which a target takes a constant.

    ``words`` describes the graph edit for people (empty for the plain form); ``exact`` is whether outputs stay equal to
    the bit.
    """

    @property
    def words(self) -> str: ...  # noqa: D102 - see the class

    @property
    def exact(self) -> bool: ...  # noqa: D102 - see the class

    def offer(self, values: np.ndarray) -> Offer | None:
        """Return the cheapest storage of the dense values in this form; None if it cannot store them."""


@dataclass(frozen=True, slots=True)
class SparseForm:
    """A form of LiteRT's sparse format; see :class:`Form`.

    Attributes:
        words: description of the graph edit.
        shape: of the stored constant (same number of values, same order).
        overhead_bytes: bytes that the graph edit adds for a layout, without values, segments and indices.
        apply: edits the graph, given the constant encoded in ``shape``.
        layout: finds the best layout of the dense values in this form, None if there is none.
        exact: whether outputs stay equal to the bit.
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
    """The forms that a target takes; if there is none, ``refusal`` is the reason."""

    forms: tuple[Form, ...]
    refusal: str | None = None
