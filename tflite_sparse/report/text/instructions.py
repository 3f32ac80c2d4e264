"""Make the tables of ``bench`` for targets whose instructions are counted."""

from __future__ import annotations

from tflite_sparse.report.text.table import Table
from tflite_sparse.results.instructions import InstructionReport

_ESTIMATED = (
    "Estimated by the model of costs, FULLY_CONNECTED and CONV_2D alone: compiler and emulator are not installed "
    "(apt-get install gcc-arm-none-eabi qemu-system-arm)."
)
_COUNTED = "Counted in qemu-system-arm on random inputs. Instructions are not cycles."


def operators(report: InstructionReport) -> Table:
    """Return a row for each operator of each file, and one for their sum."""
    rows: list[tuple[str, ...]] = []
    for file in report.files:
        rows += [
            (file.path, each.operator, each.layer, each.form, f"{each.instructions:,}", "") for each in file.operators
        ]
        rows.append((file.path, "all", "", "", f"{file.instructions:,}", f"{file.ratio:.2f}x"))
    headings = ("file", "operator", "layer", "form", "instructions", "ratio")
    return Table(headings, tuple(rows), frozenset(headings[:4]), frozenset({"file"}), ("form", "layer"))


def title(report: InstructionReport) -> str:
    """Name the CPU."""
    return f"Instructions of one inference on {report.cpu}"


def lines(report: InstructionReport) -> list[str]:
    """Say how they were found."""
    return [_COUNTED if all(file.counted for file in report.files) else _ESTIMATED]
