"""Assign the arrays of a data set to the inputs and outputs of a model by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tflite_sparse.errors import DataError
from tflite_sparse.sources.source_model import InputSpec, OutputSpec

_Value = TypeVar("_Value")

PARTS = ("x", "y", "x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model; names are those of its signature, ``input_1`` for Keras's ``input-1:0``."""

    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the model has at most one input and one output, so that arrays need no names."""
        return len(self.inputs) <= 1 and len(self.outputs) <= 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the model."""
        return tuple(spec.name for spec in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order of the model."""
        return tuple(spec.name for spec in self.outputs)

    def in_words(self) -> str:
        """Describe inputs (name, shape, dtype) and outputs (name, shape) for messages."""
        takes = ", ".join(f"{spec.name} {words(spec.shape)} {spec.dtype}" for spec in self.inputs)
        yields = ", ".join(f"{spec.name} {words(spec.shape)}" for spec in self.outputs)
        return f"the model takes {takes}" + (f" and yields {yields}" if len(self.outputs) > 1 else "")


def words(shape: tuple[int | None, ...]) -> str:
    """Return a shape as text for messages."""
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def sort(arrays: Mapping[str, object], signature: Signature, name: str) -> dict[str, object]:
    """Return the parts of a data set.

    Args:
        arrays: by ``x``, ``x_train``, ...; by the name of an input or output; or by both, ``x_train/image`` or
            ``x_train.image``. A mapping in the place of an array holds those of several inputs or outputs.
        signature: of the model.
        name: of the data set, for messages.

    Returns:
        For each of :data:`PARTS` that is present an array, or arrays by name.

    Raises:
        DataError: a key names no part, input or output of a model with several, or a part is given twice.
    """
    parts: dict[str, dict[str | None, object]] = {}
    for key, value in _flat(arrays).items():
        place = _place(key, signature)
        if place is None:
            if signature.is_plain:
                continue  # other arrays beside x and y are ignored
            raise DataError(f"{name} holds {key!r}, the name of no input or output: {signature.in_words()}.")
        part, column = place
        if column in parts.setdefault(part, {}):
            raise DataError(f"{name} holds {key!r} twice, by two names.")
        parts[part][column] = value
    for part, columns in parts.items():
        if None in columns and len(columns) > 1:
            raise DataError(f"{name} holds {part} both as one array and by name: {signature.in_words()}.")
    return {part: columns.get(None, columns) for part, columns in parts.items()}


def by_position(
    values: Sequence[object], specs: Sequence[InputSpec | OutputSpec], signature: Signature, name: str
) -> dict[str, object]:
    """Return arrays in the model's order by name.

    Raises:
        DataError: there are more or fewer than the model has.
    """
    if len(values) != len(specs):
        what = "inputs" if specs is signature.inputs else "outputs"
        expected = f": {signature.in_words()}" if signature.inputs else ""
        raise DataError(
            f"{name}: a sample gives {len(values)} {what} and the model has {len(specs) or 'one'}{expected}."
        )
    return {spec.name: value for spec, value in zip(specs, values, strict=True)}


def named(arrays: Mapping[str, _Value], specs: Sequence[InputSpec | OutputSpec]) -> dict[str, _Value]:
    """Return the arrays by the names in ``specs``, which match keys that Keras would turn into the same name."""
    known = {spec.name for spec in specs}
    return {_identifier(key) if _identifier(key) in known else key: value for key, value in arrays.items()}


def _flat(arrays: Mapping[str, object]) -> dict[str, object]:
    found = {}
    for key, value in arrays.items():
        if isinstance(value, Mapping):
            found.update({f"{key}/{column}": array for column, array in value.items()})
        elif value is not None:
            found[key] = value
    return found


def _place(key: str, signature: Signature) -> tuple[str, str | None] | None:
    inputs, outputs = set(signature.input_names), set(signature.output_names)
    bare = _identifier(key)
    if len(inputs) > 1 and bare in inputs:
        return "x", bare
    if key in PARTS:
        return key, None
    part, _, column = re.sub(r"[/.]", "/", key, count=1).partition("/")
    column = _identifier(column) if column else ""
    if part in PARTS and column in (inputs if part[0] == "x" else outputs):
        return part, column
    if bare in inputs:
        return "x", bare
    return ("y", bare) if bare in outputs else None


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name.partition(":")[0])
