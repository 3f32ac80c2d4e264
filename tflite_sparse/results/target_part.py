"""The part of a report that a target adds."""

from __future__ import annotations

from tflite_sparse.results.instructions import Inference
from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.results.part import Part


class TargetPart(Part):
    """The report of a target without a part of its own.

    Attributes:
        numbers: bytes and counts, by name with the unit at its end.
        sentences: shown beside tables and on pages.
        inference: instructions by operator; None: the target has none.
    """

    numbers: dict[str, int | float] = {}
    sentences: list[str] = []
    inference: Inference | None = None


AnyTargetPart = MicroReport | EthosUReport | TargetPart

_FIELDS = {MicroReport: "micro", EthosUReport: "ethos_u", TargetPart: "target_part"}


def as_field(part: AnyTargetPart | None) -> dict[str, AnyTargetPart]:
    """Return the report field of the part by name; empty if there is no part."""
    return {} if part is None else {_FIELDS[type(part)]: part}
