"""In which order a file has its inputs and outputs: typed, and in words."""

from __future__ import annotations

from collections.abc import Sequence

import pydantic


class IoOrder(pydantic.BaseModel):
    """Names by their index, in the file and in the model that it was made of."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    file_inputs: tuple[str, ...]
    model_inputs: tuple[str, ...]
    file_outputs: tuple[str, ...]
    model_outputs: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether there is one input and one output, so that there is no order."""
        return len(self.file_inputs) <= 1 and len(self.file_outputs) <= 1


def lines(order: IoOrder | None) -> list[str]:
    """A sentence each for several inputs and for several outputs."""
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
