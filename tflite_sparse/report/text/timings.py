"""Make tables of the time of a command."""

from __future__ import annotations

from collections.abc import Mapping

from tflite_sparse.report.text.table import Table
from tflite_sparse.results.cpu import Cpu


def stages(seconds: Mapping[str, float]) -> Table:
    """Return the wall time of each stage."""
    rows = [*seconds.items(), ("all stages", sum(seconds.values()))]
    return Table(
        ("stage", "seconds"),
        tuple((name, f"{value:.2f}") for name, value in rows),
        frozenset({"stage"}),
        frozenset({"stage"}),
    )


def processes(cpu: Cpu) -> Table:
    """Return the CPU time of this process and of its children, by task."""
    rows = [("this process", "", f"{cpu.own_seconds:.2f}")]
    rows += [(each.task, str(each.runs), f"{each.seconds:.2f}") for each in cpu.children]
    total = cpu.own_seconds + sum(each.seconds for each in cpu.children)
    rows.append(("all processes", "", f"{total:.2f}"))
    return Table(("process", "runs", "CPU seconds"), tuple(rows), frozenset({"process"}), frozenset({"process"}))
