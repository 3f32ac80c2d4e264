"""Make the tables and sentences of ``inspect``, ``encode`` and ``decode``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import get_args

from tflite_sparse.report.text import dead_channels as channel_words
from tflite_sparse.report.text import ratio, shared_values
from tflite_sparse.report.text import targets as target_tables
from tflite_sparse.report.text import verification as verification_tables
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.baseline import FEW_ZEROS
from tflite_sparse.results.files import DecodingReport, EncodingReport
from tflite_sparse.results.inspection import DENSE, Inspection, RuntimeAnswer
from tflite_sparse.settings import RunnableTarget
from tflite_sparse.target_registry import TARGETS


def constants(inspection: Inspection) -> Table:
    """Return a row for each constant, the largest first."""
    rows = tuple(
        (
            shortened(constant.name),
            constant.operator,
            "x".join(map(str, constant.shape)) or "scalar",
            constant.dtype,
            "" if constant.sparsity is None else f"{constant.sparsity:.3f}",
            f"{constant.dense_bytes:,}",
            f"{constant.stored_bytes:,}",
            "" if constant.entropy_bytes is None else f"{constant.entropy_bytes:,}",
            f"{constant.share:.1%}",
            constant.stored_as or constant.layout,
        )
        for constant in inspection.constants
    )
    headings = ("constant", "operator", "shape", "type", "zeros", "dense B", "stored B", "bound B", "file", "how")
    left = frozenset({"constant", "operator", "shape", "type", "how"})
    text = frozenset({"constant", "operator", "how"})
    return Table(headings, rows, left, text, ("bound B", "type", "dense B", "operator"))


def summary(inspection: Inspection) -> list[str]:
    """Return sentences: totals, operators, runtimes that load the file, sizes in other forms."""
    totals = inspection.totals
    zeros = "" if totals.sparsity is None else f"; {totals.sparsity:.3f} of the weights are zeros"
    lines = [
        f"{inspection.path}: {inspection.file_bytes:,} bytes, of which {totals.constants} constants take "
        f"{totals.stored_bytes:,} (dense {totals.dense_bytes:,}, bound {totals.entropy_bytes:,}){zeros}.",
        *_archive(inspection.archive_bytes),
        "Operators: " + ", ".join(f"{count} {name}" for name, count in inspection.operators.items()) + ".",
    ]
    for order in inspection.orders:
        listed, numbered = (", ".join(map(shortened, names)) for names in (order.by_signature, order.by_index))
        lines.append(
            f"{order.of.capitalize()} of signature {order.signature!r} are {listed}; by index they are {numbered}. "
            "Take them by name."
        )
    lines += _answers(inspection.runtimes)
    lines += channel_words.of_inspected(inspection.dead_channels)
    for estimate in inspection.estimates:
        name = "Decoded" if estimate.target == DENSE else f"Encoded for {estimate.target}"
        lines.append(f"{name}: {estimate.file_bytes:,} bytes{_change(inspection.file_bytes, estimate.file_bytes)}.")
    return lines


def without_proof(inspection: Inspection) -> list[str]:
    """Return sentences on the runtimes of the code's target that do not load the file, or were not tried."""
    return _answers([each for each in inspection.runtimes if each.target == inspection.target and not each.loads])


def loading_targets(inspection: Inspection) -> list[str]:
    """Return the targets that load the file, beside the one whose code the inspection has."""
    others = [name for name in get_args(RunnableTarget) if name != inspection.target]
    return [name for name in others if inspection.is_for(name)]


def other_targets(inspection: Inspection) -> list[str]:
    """Return those of :func:`loading_targets` whose code calls this file.

    A target that writes a folder writes the code that calls its files with them.
    """
    traits = {name: TARGETS[name] for name in loading_targets(inspection)}
    return [name for name, each in traits.items() if each.languages and not each.writes_folder]


def _answers(runtimes: Sequence[RuntimeAnswer]) -> list[str]:
    """Return a sentence for each runtime, one for all that were not tried for the same reason."""
    lines = []
    for (loads, why), answers in itertools.groupby(runtimes, lambda each: (each.loads, each.reason)):
        names = [answer.name for answer in answers]
        verdict = {True: "loads it", False: "does not load it", None: "not tried"}[loads]
        reason = f": {why.rstrip('.')}" if why else ""
        together = [", ".join(names)] if loads is None else names
        lines += [f"{name}: {verdict}{reason}." for name in together]
    return lines


def encoding(report: EncodingReport) -> list[str]:
    """Return sentences: sizes and checks."""
    change = _change(report.source_bytes, report.file_bytes)
    return [
        f"Size: {report.source_bytes:,} to {report.file_bytes:,} bytes{change}.",
        *_archive(report.archive_bytes),
        *shared_values.lines(report.shared_values, report.settings.get("target")),
        *channel_words.lines(report.channels),
        *_without_zeros(report),
        *verification_tables.verdicts(report.verification, brief=True),
        *target_tables.of(report),
    ]


def decoding(report: DecodingReport) -> list[str]:
    """Return sentences: sizes and checks."""
    sparse = f"{report.constants} sparse constant{'' if report.constants == 1 else 's'}"
    if report.constants == 0:
        sparse = "nothing sparse"
    return [
        f"Size: {report.source_bytes:,} to {report.file_bytes:,} bytes; the source held {sparse}.",
        *_archive(report.archive_bytes),
        *verification_tables.verdicts(report.verification, brief=True),
    ]


def _without_zeros(report: EncodingReport) -> list[str]:
    """Return advice on a file in which nothing was encoded for lack of zeros."""
    leaves_dense = TARGETS[str(report.settings["target"])].leaves_weights_dense
    if leaves_dense or any(each.encoded_bytes < each.dense_bytes for each in report.tensors):
        return []
    sizes = [math.prod(tensor.shape) for tensor in report.tensors]
    zeros = sum(tensor.sparsity * size for tensor, size in zip(report.tensors, sizes, strict=True))
    if not sum(sizes):
        return ["It holds no weights that could become sparse."]
    share = zeros / sum(sizes)
    cure = "Prune the model before it is converted (tflite-sparse prune)."
    return [f"No weights became sparse: {share:.1%} of them are zeros. {cure}"] if share < FEW_ZEROS else []


def _archive(archive_bytes: int) -> list[str]:
    if archive_bytes == 0:
        return []
    return [f"{archive_bytes:,} of these bytes are an archive of associated files after the model, which is unchanged."]


def _change(now: int, then: int) -> str:
    if now == then:
        return ", as it is"
    return f", {ratio.change(now / then)}"
