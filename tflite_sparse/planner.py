"""Choose, for every constant of a model, the cheapest form that the target accepts; dense is always a candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_sparse.encoding import csr
from tflite_sparse.encoding.entropy import entropy_bytes
from tflite_sparse.encoding.layout import Layout, nonzero_mask
from tflite_sparse.flatbuffer.graph import (
    Graph,
    Use,
    drop_unread_buffers,
    drop_unread_operator_codes,
    graphs,
    text,
)
from tflite_sparse.progress import Step, ignore_steps
from tflite_sparse.targets.form import Answer, Form

Target = Callable[[Graph, int, Sequence[Use]], Answer]
"""A target: given a graph, a constant's index and its readers, the forms that it takes."""

# Smaller constants are shapes, biases and scalars: the tables of a sparse one alone take more.
_LEAST_BYTES_TO_LOOK_AT = 128


@dataclass(frozen=True)
class Choice:
    """What was decided for one constant.

    Attributes:
        graph: the subgraph that holds it.
        tensor_index: its index there.
        operators: names of the operators that read it.
        shape: its shape before any edit.
        sparsity: its share of zeros.
        layout: how it will be stored; the dense layout if sparse would not be smaller or is not taken.
        form: the graph edit that goes with a sparse layout, else None.
        dense_bytes: its size stored dense.
        encoded_bytes: its size in ``layout``, with all that the edit adds to the graph.
        entropy_bytes: the zeroth-order bound on its size.
        reason: why this layout, in words.
    """

    graph: Graph
    tensor_index: int
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    sparsity: float
    layout: Layout
    form: Form | None
    dense_bytes: int
    encoded_bytes: int
    entropy_bytes: int
    reason: str

    @property
    def name(self) -> str:
        """The tensor's name in the file."""
        return text(self.graph.tensor(self.tensor_index).name)


def plan(model: Any, target: Target, *, on_step: Step = ignore_steps) -> list[Choice]:
    """Decide for every constant of ``model`` that holds weights (rank 2 or more), in file order. Changes nothing.

    Args:
        model: a parsed model.
        target: what its runtime accepts.
        on_step: told (bytes of weights decided, bytes of weights in all).
    """
    weights = list(_weights(model))
    total, done, choices = sum(values.nbytes for *_, values in weights), 0, []
    for graph, index, uses, values in weights:
        choices.append(_choose(graph, index, uses, values, target))
        done += values.nbytes
        on_step(done, total)
    return choices


def apply(model: Any, choices: Sequence[Choice], *, on_step: Step = ignore_steps) -> None:
    """Edit the model that ``choices`` were made for.

    Args:
        model: the model that was given to :func:`plan`.
        choices: the result of :func:`plan`; each may be applied once.
        on_step: told (bytes of weights done, bytes of weights in all).
    """
    total, done = sum(choice.dense_bytes for choice in choices), 0
    for choice in choices:
        graph, index = choice.graph, choice.tensor_index
        if choice.form is not None:
            values = _constant(graph, index)
            choice.form.apply(csr.encode(values.reshape(choice.layout.shape), choice.layout))
        done += choice.dense_bytes
        on_step(done, total)
    drop_unread_buffers(model)
    drop_unread_operator_codes(model)


def _weights(model: Any) -> Iterator[tuple[Graph, int, Sequence[Use], np.ndarray]]:
    for graph in graphs(model):
        for index, uses in sorted(graph.uses().items()):
            values = graph.constant(index)
            if values is not None and values.ndim >= 2:
                yield graph, index, uses, values


def _choose(graph: Graph, index: int, uses: Sequence[Use], values: np.ndarray, target: Target) -> Choice:
    kept = int(np.count_nonzero(nonzero_mask(values)))
    negative_zeros = _about_negative_zeros(values, kept)
    operators = tuple(graph.operator_name(use.operator) for use in uses)

    def choice(layout: Layout, form: Form | None, encoded_bytes: int, reason: str) -> Choice:
        return Choice(
            graph=graph,
            tensor_index=index,
            operators=operators,
            shape=values.shape,
            sparsity=1 - kept / values.size,
            layout=layout,
            form=form,
            dense_bytes=values.nbytes,
            encoded_bytes=encoded_bytes,
            entropy_bytes=entropy_bytes(values),
            reason=reason + negative_zeros,
        )

    dense = Layout(values.shape)
    if values.nbytes < _LEAST_BYTES_TO_LOOK_AT or kept == values.size:
        why = "it holds no zeros" if kept == values.size else f"it has only {values.nbytes} bytes"
        return choice(dense, None, values.nbytes, why)
    answer = target(graph, index, uses)
    if not answer.forms:
        return choice(dense, None, values.nbytes, answer.refusal or "the target does not take it sparse")
    offers = []
    for form in answer.forms:
        cost = form.layout(values.reshape(form.shape))
        if cost is not None:
            extra = form.overhead_bytes(cost.layout)
            offers.append((cost.nbytes + extra, extra, cost.layout, form))
    if not offers:
        return choice(dense, None, values.nbytes, "no layout fits its shape")
    total, _, layout, form = min(offers, key=lambda offer: offer[:2])
    if total >= values.nbytes:
        return choice(dense, None, values.nbytes, f"sparse it would take {total:,} bytes")
    words = "; ".join(filter(None, (layout.in_words(), form.words)))
    return choice(layout, form, total, words)


def _about_negative_zeros(values: np.ndarray, kept: int) -> str:
    """Products with a mask leave -0.0 where the weight was negative: a bit is set, so it is stored."""
    count = kept - int(np.count_nonzero(values)) if values.dtype.kind == "f" else 0
    return f"; {count:,} of its values are -0.0, which is stored to keep every bit" if count else ""


def _constant(graph: Graph, index: int) -> np.ndarray:
    values = graph.constant(index)
    if values is None:
        raise AssertionError(f"tensor {index} was planned as a constant and has none: a plan applies once")
    return values
