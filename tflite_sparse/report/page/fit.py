"""Make the sections of ``report.html`` about a ``fit``: aim, plan and rounds."""

from __future__ import annotations

from dataclasses import dataclass

from tflite_sparse.report.page.bars import Bar, bars
from tflite_sparse.report.text import fit as fit_tables
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.fit import FitReport


@dataclass(frozen=True, slots=True)
class Fitted:
    """The sections, for the template."""

    aim: str
    outcome: tuple[str, ...]
    sizes: list[Bar]
    kernels: Table
    rounds: Table
    fixed: Table | None
    channels: Table | None
    limits: Table | None


def of(report: FitReport) -> Fitted:
    """Return the sections for a report."""
    return Fitted(
        aim=_aim(report),
        outcome=fit_tables.outcome(report),
        sizes=_sizes(report),
        kernels=fit_tables.kernels(report),
        rounds=fit_tables.rounds(report),
        fixed=fit_tables.fixed(report) if report.fixed else None,
        channels=fit_tables.channels(report) if report.channels else None,
        limits=fit_tables.limits(report) if report.limits else None,
    )


def _aim(report: FitReport) -> str:
    limits = [f"at most {fit_tables.amount(each.resource, each.limit)}" for each in report.limits]
    if report.mode == "gate":
        return " and ".join(["The smallest file within the accuracy gate", *limits])
    if report.budget_bytes is not None:
        limits = [f"at most {report.budget_bytes:,} bytes", *limits]
    return f"The most accurate file of {' and '.join(limits)}"


def _sizes(report: FitReport) -> list[Bar]:
    rows = [("fitted file", report.file_bytes, False)]
    if report.budget_bytes is not None:
        rows.append(("budget", report.budget_bytes, True))
    rows += [
        ("predicted by the plan", report.predicted_bytes, True),
        ("nothing pruned", report.untouched_bytes, True),
        ("all pruned as far as it goes", report.floor_bytes, True),
    ]
    return bars(rows)
