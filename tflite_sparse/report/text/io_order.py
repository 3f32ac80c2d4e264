"""Describe the order of the inputs and outputs of a file."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.results.io_order import IoOrder


def lines(order: IoOrder | None) -> list[str]:
    """Return a sentence each for several inputs and for several outputs."""
    if order is None:
        return []
    pairs = (
        ("Inputs", order.file_inputs, order.model_inputs),
        ("Outputs", order.file_outputs, order.model_outputs),
    )
    return [_sentence(what, file, model) for what, file, model in pairs if len(file) > 1]


def _sentence(what: str, file: Sequence[str], model: Sequence[str]) -> str:
    by_index = ", ".join(f"{index} {name}" for index, name in enumerate(file))
    if file == model:
        return f"{what} by index, in the model's order: {by_index}."
    return f"WARNING: {what.lower()} by index: {by_index}; the model has them in the order {', '.join(model)}."
