"""What a target adds to a report."""

from __future__ import annotations

from typing_extensions import TypedDict

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


class TargetFields(TypedDict, total=False):
    """The fields of reports that hold what a target adds."""

    micro: MicroReport
    ethos_u: EthosUReport
    target_part: TargetPart


def as_field(part: AnyTargetPart | None) -> TargetFields:
    """The field of a report that holds the part; nothing where there is no part."""
    if isinstance(part, MicroReport):
        return TargetFields(micro=part)
    if isinstance(part, EthosUReport):
        return TargetFields(ethos_u=part)
    return TargetFields() if part is None else TargetFields(target_part=part)
