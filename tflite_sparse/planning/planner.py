"""Choose, for every constant of a model, the cheapest form that the target accepts; dense is always a candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.codecs.layout import Layout, kept_mask, nonzero_mask
from tflite_sparse.codecs.layout_words import in_plain_words
from tflite_sparse.flatbuffer.graph import (
    Graph,
    Use,
    drop_unread_buffers,
    drop_unread_operator_codes,
    graphs,
    text,
    zero_points_of,
)
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.targets.form import Answer, Form, SparseForm

Target = Callable[[Graph, int, Sequence[Use]], Answer]
"""A target: given a graph, a constant's index and its readers, the forms that it takes."""

# Smaller constants are shapes, biases and scalars: the tables of a sparse constant alone take more.
_LEAST_BYTES_TO_LOOK_AT = 128


@dataclass(frozen=True)
class Choice:
    """The choice for one constant.

    Attributes:
        graph: the subgraph that holds it.
        tensor_index: its index there.
        operators: names of the operators that read it.
        shape: its shape before any edit.
        sparsity: its share of zeros; of a quantised constant, of values at their zero point.
        layout: of the stored constant; dense if no other form is smaller or accepted, None if the target does not use
            the sparse format.
        stored: the storage in words.
        form: the chosen form, None if it stays dense.
        dense_bytes: its size stored dense.
        encoded_bytes: its size in the chosen form, with everything that the edit adds to the graph.
        entropy_bytes: the zeroth-order bound on its size.
        reason: of the choice, in words.
        edit: stores it in the form; to be called once.
        finish: the part of the edit that constants share; to be called once, after ``edit`` of all of them.
    """

    graph: Graph
    tensor_index: int
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    sparsity: float
    layout: Layout | None
    stored: str
    form: Form | None
    dense_bytes: int
    encoded_bytes: int
    entropy_bytes: int
    reason: str
    edit: Callable[[], None] | None = field(repr=False, default=None)
    finish: Callable[[], None] | None = field(repr=False, default=None)

    @property
    def name(self) -> str:
        """The tensor's name in the file."""
        return text(self.graph.tensor(self.tensor_index).name)


def plan(model: Model, target: Target, *, on_step: Step = ignore_steps) -> list[Choice]:
    """Choose for every constant of ``model`` that holds weights (rank 2 or more), in file order, without edits.

    Args:
        model: a parsed model.
        target: the target.
        on_step: receives (bytes of weights decided, bytes of all weights).
    """
    weights = list(_weights(model))
    total, done, choices = sum(values.nbytes for *_, values in weights), 0, []
    for graph, index, uses, values in weights:
        choices.append(choose(graph, index, uses, values, target))
        done += values.nbytes
        on_step(done, total)
    return choices


def choose(graph: Graph, index: int, uses: Sequence[Use], values: np.ndarray, target: Target) -> Choice:
    """Choose for one constant, as :func:`plan` does for all, without edits.

    Args:
        graph: the subgraph that holds it.
        index: of its tensor.
        uses: the operators that read it.
        values: the dense constant that the graph holds.
        target: the target.
    """
    kept = int(np.count_nonzero(nonzero_mask(values)))
    zeros = zero_points_of(graph.tensor(index))
    dense = Choice(
        graph=graph,
        tensor_index=index,
        operators=tuple(graph.operator_name(use.operator) for use in uses),
        shape=values.shape,
        sparsity=1 - np.count_nonzero(kept_mask(values, zeros)) / values.size,
        layout=Layout(values.shape),
        stored="dense",
        form=None,
        dense_bytes=values.nbytes,
        encoded_bytes=values.nbytes,
        entropy_bytes=entropy_bytes(values, zeros),
        reason="",
    )
    negative_zeros = _note_on_negative_zeros(values, kept)

    def stays_dense(why: str) -> Choice:
        return replace(dense, reason=why + negative_zeros)

    if values.nbytes < _LEAST_BYTES_TO_LOOK_AT:
        return stays_dense(f"it has only {values.nbytes} bytes")
    answer = target(graph, index, uses)
    if not answer.forms:  # the first reason: with a zero point other than 0, pruned weights are not stored as 0
        return stays_dense(answer.refusal or "the target does not take it sparse")
    if kept == values.size and all(isinstance(form, SparseForm) for form in answer.forms):
        return stays_dense("it holds no zeros")
    offers = [(offer, form) for form in answer.forms if (offer := form.offer(values)) is not None]
    if not offers:
        return stays_dense("no layout fits its shape")
    best, form = min(offers, key=lambda each: (each[0].nbytes, each[0].overhead_bytes))
    if best.nbytes >= values.nbytes:
        return stays_dense(f"sparse it would take {best.nbytes:,} bytes")
    words = best.stored if best.layout is None else in_plain_words(best.layout, dense.operators)
    return replace(
        dense,
        layout=best.layout,
        stored=best.stored,
        form=form,
        encoded_bytes=best.nbytes,
        reason="; ".join(filter(None, (words, form.words))) + negative_zeros,
        edit=best.apply,
        finish=best.finish,
    )


def apply(model: Model, choices: Sequence[Choice], *, on_step: Step = ignore_steps) -> None:
    """Apply ``choices`` to their model.

    Args:
        model: the model that :func:`plan` received.
        choices: the result of :func:`plan`; each may be applied once.
        on_step: receives (bytes of weights done, bytes of all weights).
    """
    total, done = sum(choice.dense_bytes for choice in choices), 0
    for choice in choices:
        if choice.edit is not None:
            if choice.graph.constant(choice.tensor_index) is None:
                raise AssertionError(f"{choice.name} was planned as a constant and has none: a plan applies once")
            choice.edit()
        done += choice.dense_bytes
        on_step(done, total)
    for finish in dict.fromkeys(choice.finish for choice in choices if choice.finish is not None):
        finish()
    drop_unread_buffers(model)
    drop_unread_operator_codes(model)


def _weights(model: Model) -> Iterator[tuple[Graph, int, Sequence[Use], np.ndarray]]:
    for graph in graphs(model):
        for index, uses in sorted(graph.uses().items()):
            values = graph.constant(index)
            if values is not None and values.ndim >= 2:
                yield graph, index, uses, values


def _note_on_negative_zeros(values: np.ndarray, kept: int) -> str:
    """Return a note on stored -0.0, which a product with a mask leaves for negative weights; empty without any."""
    count = kept - int(np.count_nonzero(values)) if values.dtype.kind == "f" else 0
    return f"; {count:,} of its values are -0.0, which is stored to keep every bit" if count else ""
