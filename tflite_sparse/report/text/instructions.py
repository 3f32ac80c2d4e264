"""Make the tables of instructions by operator: of ``bench``, and of the report of one file."""

from __future__ import annotations

from tflite_sparse.report.text.table import Table
from tflite_sparse.results.instructions import Inference, InstructionReport

_TEXT = ("operator", "layer", "form")


def operators(report: InstructionReport) -> Table:
    """Return a row for each operator of each file, and one for their sum."""
    rows: list[tuple[str, ...]] = []
    for file in report.files:
        rows += [
            (file.path, each.operator, each.layer, each.form, f"{each.instructions:,}", "") for each in file.operators
        ]
        rows.append((file.path, "all", "", "", f"{file.instructions:,}", f"{file.ratio:.2f}x"))
    headings = ("file", *_TEXT, "instructions", "ratio")
    return Table(headings, tuple(rows), frozenset(("file", *_TEXT)), frozenset({"file"}), ("form", "layer"))


def of_inference(inference: Inference) -> Table:
    """Return a row for each operator, with its share of all instructions, and one for their sum."""
    whole = max(inference.instructions, 1)
    rows = [
        (each.operator, each.layer, each.form, f"{each.instructions:,}", f"{each.instructions / whole:.1%}")
        for each in inference.operators
    ]
    rows.append(("in all", "", "", f"{inference.instructions:,}", ""))
    return Table((*_TEXT, "instructions", "share"), tuple(rows), frozenset(_TEXT), frozenset({"layer"}), ("form",))


def title(report: InstructionReport) -> str:
    """Name the CPU."""
    return f"Instructions of one inference on {report.cpu}"


def lines(report: InstructionReport) -> list[str]:
    """Say how they were found, once where it is the same for all files."""
    return list(dict.fromkeys(about(file) for file in report.files))


def about(inference: Inference) -> str:
    """Say whether the instructions of an inference were counted or estimated, and why."""
    if inference.counted:
        return "Counted in qemu-system-arm on random inputs. Instructions are not cycles."
    error = "" if inference.error is None else f", off by up to {inference.error:.0%} for an operator"
    return f"Estimated by a model fitted to an emulator{error}: {inference.reason}. Instructions are not cycles."
