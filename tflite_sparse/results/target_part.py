"""What a target adds to a report."""

from __future__ import annotations

from typing import Any

from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.results.part import Part


class TargetPart(Part):
    """What a target reports that has no part of its own in reports.

    Attributes:
        numbers: bytes and counts, by name with the unit at its end.
        sentences: what tables and pages show.
    """

    numbers: dict[str, int | float] = {}
    sentences: list[str] = []


AnyTargetPart = MicroReport | EthosUReport | TargetPart

_FIELDS = {MicroReport: "micro", EthosUReport: "ethos_u", TargetPart: "target_part"}


def as_field(part: AnyTargetPart | None) -> dict[str, Any]:
    """The field of a report that holds the part, with its name; nothing where there is no part."""
    return {} if part is None else {_FIELDS[type(part)]: part}
