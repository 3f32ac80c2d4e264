"""What a target answers when asked how a constant may be stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tflite_sparse.encoding import search
from tflite_sparse.encoding.csr import Encoded
from tflite_sparse.encoding.layout import Layout
from tflite_sparse.encoding.search import Cost


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a target takes a constant sparse.

    Attributes:
        words: what happens to the graph, for people; empty for the plain way.
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


@dataclass(frozen=True, slots=True)
class Answer:
    """The forms that a target takes; where there is none, ``refusal`` says why."""

    forms: tuple[Form, ...]
    refusal: str | None = None
