"""Make ``report.html`` of an export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tflite_sparse.measurement.file_contents import FileContents
from tflite_sparse.report.page import fit as fit_page
from tflite_sparse.report.page import html, inside
from tflite_sparse.report.page.bars import Bar, bars
from tflite_sparse.report.page.curves import Line, lines_of
from tflite_sparse.report.text import accuracy as accuracy_words
from tflite_sparse.report.text import baseline as baseline_words
from tflite_sparse.report.text import command
from tflite_sparse.report.text import contract as contract_words
from tflite_sparse.report.text import dead_channels as channel_words
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import latency as latency_tables
from tflite_sparse.report.text import targets as target_tables
from tflite_sparse.report.text.names import shown
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.contract import Contract
from tflite_sparse.results.export import Accuracy, Confusion, Gates, ModelFile, OutputAccuracy, Paired, Report
from tflite_sparse.results.fit import FitReport
from tflite_sparse.settings import ExportSettings, FitSettings

_LONGEST_LYING = 4  # longest class name, in letters, that is written horizontally
_MOST_SHADE = 55  # per cent of the accent colour; the number on it stays readable


_NOTHING = FileContents()


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its label."""

    label: str
    text: str
    small: str = ""


def render(report: Report, found: FileContents = _NOTHING, fitted: FitReport | None = None) -> str:
    """Return the page as text.

    Args:
        report: the report to show.
        found: in the sparse file, see :func:`tflite_sparse.measurement.file_contents.of_file`.
        fitted: report of a ``fit``; its gates are then shown instead of the export's.
    """
    compared = baseline_words.in_sentence("dense_float32", report.baseline)
    in_the_box = (*tables.gates(report.gates), *tables.warnings(report))
    layers = {each.name: name for name, each in zip(shown(report.tensors), report.tensors, strict=True)}
    return html.render(
        "export.html.j2",
        title=report.model,
        tool=report.tool,
        report=report,
        gates=report.gates if fitted is None else fitted.gates,
        state=_state(report.gates if fitted is None else fitted.gates),
        verdict=_verdict(report, fitted),
        fitted=None if fitted is None else fit_page.of(fitted),
        warnings=list(dict.fromkeys([*_warnings(report), *([] if fitted is None else fitted.warnings)])),
        figures=_figures(report),
        verdicts=[line for line in tables.verdicts(report) if line not in in_the_box],
        sizes=_sizes(report),
        scores=_scores(report),
        more_scores=_more_scores(report.accuracy, report.baseline),
        confusion=[]
        if report.accuracy is None
        else [_matrix(each, report.accuracy) for each in report.accuracy.confusion],
        layers=_layers(report),
        channels=None
        if report.channels is None or not report.channels.dead.layers
        else channel_words.table(report.channels.dead),
        channels_stay=report.channels is not None and not report.channels.removed,
        layer_errors=tables.layers(report.layers) if report.layers else None,
        layers_compared=tables.layers_compared(report),
        wrong=[] if report.accuracy is None else inside.wrong(report.accuracy.wrong, compared),
        compared=compared,
        operators=inside.operators(found, layers),
        masks=[inside.mask(picture, layers) for picture in found.masks],
        histograms=[inside.histogram(each, layers) for each in found.histograms],
        bench=latency_tables.files(report.measured) if report.measured else None,
        latencies=_latencies(report),
        curves=_curves(report),
        runtimes=_runtimes(report),
        instructions=_instructions(report),
        ports=None if report.contract is None else contract_words.ports(report.contract),
        snippets=[] if report.contract is None else _snippets(report.contract),
        settings=html.pairs("setting", report.settings if fitted is None else fitted.settings),
        command=_command(report, fitted),
        versions=None if report.provenance is None else html.pairs("package", report.provenance.versions),
        hashes=None if report.provenance is None else inside.hashes(report.provenance),
        seconds=html.pairs("stage", {name: f"{value:.1f}" for name, value in report.seconds.items()}),
    )


def _instructions(report: Report) -> dict[str, object] | None:
    found = target_tables.instructions(report)
    return None if found is None else {"table": found, "caption": target_tables.instructions_about(report)}


def _snippets(contract: Contract) -> list[tuple[str, str]]:
    """The name of each language, and the code in it."""
    return [(contract_words.LANGUAGES[language], code) for language, code in contract.snippets.items()]


def _command(report: Report, fitted: FitReport | None) -> str:
    if fitted is None:
        return command.line("export", command.model_of(report), report.data, report.settings, ExportSettings)
    return command.line("fit", command.model_of(report), report.data, fitted.settings, FitSettings)


def _state(gates: Gates) -> str:
    """Return the class of the box with the verdict."""
    return "failed" if gates.failures else "unjudged" if gates.unjudged else "passed"


def _verdict(report: Report, fitted: FitReport | None) -> str:
    """Return the sentence on all gates."""
    gates = report.gates if fitted is None else fitted.gates
    if gates.failures:
        return "A gate failed."
    if gates.unjudged:
        return "Not judged."
    judged = (
        report.accuracy is not None and report.accuracy.max_drop < 1 if fitted is None else fitted.has_accuracy_gate
    )
    return "All gates passed." if judged else "All gates passed; none was set for accuracy."


def _warnings(report: Report) -> list[str]:
    found = []
    if report.models.sparse is None:
        found.append("The sparse file could not be verified and was not delivered.")
    accuracy = report.accuracy
    if accuracy is None:
        found.append("Accuracy was not measured.")
    else:
        found += [
            accuracy_words.paired(each, accuracy, report.baseline)
            for each in accuracy.paired
            if _is_loss(each, accuracy)
        ]
    if report.verification is not None:
        found += [
            f"Not compared in {each.name}: {each.unavailable}"
            for each in report.verification.runtimes
            if each.unavailable
        ]
    if report.ethos_u is not None:
        found += report.ethos_u.warnings
    return [*found, *report.warnings]


def _is_loss(paired: Paired, accuracy: Accuracy) -> bool:
    return accuracy_words.is_beyond_chance(paired) and (paired.difference > 0) == accuracy.lower_is_better


def _figures(report: Report) -> list[Figure]:
    sparse, ratios = report.models.sparse, report.ratios
    if sparse is None or ratios is None:
        return []
    found = [
        Figure("sparse file", f"{sparse.file_bytes:,} B", f"{sparse.gzip_bytes:,} B as gzip"),
        Figure(*_beside("float32", ratios.vs_dense_float32)),
    ]
    if ratios.vs_dense_int8 is not None:
        found.append(Figure(*_beside("int8", ratios.vs_dense_int8)))
    if report.accuracy is not None and sparse.accuracy is not None:
        interval = accuracy_words.interval(sparse.interval, report.accuracy) if sparse.interval else ""
        found.append(Figure(report.accuracy.metric, accuracy_words.score(sparse.accuracy, report.accuracy), interval))
    return [*found, Figure("zeros", f"{100 * sparse.sparsity:.1f} %", "of all weights")]


def _beside(name: str, found: float) -> tuple[str, str]:
    return (f"smaller than {name}", f"{found:.2f}x") if found >= 1 else (f"larger than {name}", f"{1 / found:.2f}x")


def _sizes(report: Report) -> list[Bar]:
    rows = []
    for key, entry in report.models:
        if isinstance(entry, ModelFile):
            name = baseline_words.file_name(key, report.models, report.baseline)
            rows += [(name, entry.file_bytes, False), (f"{name}, gzip", entry.gzip_bytes, True)]
    if report.tensors:
        rows.append(("bound of the weights", sum(tensor.entropy_bytes for tensor in report.tensors), True))
    return bars(rows)


def _scores(report: Report) -> dict[str, object] | None:
    """Return scores and intervals on a common scale, in per cent of its width."""
    accuracy = report.accuracy
    files = [
        (key, entry) for key, entry in report.models if isinstance(entry, ModelFile) and entry.accuracy is not None
    ]
    if accuracy is None or not files:
        return None
    ends = [end for _, entry in files for end in _ends(entry)]
    low, high = min(ends), max(ends)
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    rows = [
        {
            "label": baseline_words.file_name(key, report.models, report.baseline),
            "text": accuracy_words.score_of(entry, accuracy),
            "low": None if entry.interval is None else place(entry.interval.low),
            "high": None if entry.interval is None else place(entry.interval.high),
            "middle": place(entry.accuracy or 0.0) - 0.5,  # the mark is 1 wide
        }
        for key, entry in files
    ]
    return {"low": f"{low:.4g}", "high": f"{high:.4g}", "rows": rows}


def _ends(entry: ModelFile) -> tuple[float, ...]:
    score = entry.accuracy or 0.0
    return (score,) if entry.interval is None else (entry.interval.low, score, entry.interval.high)


def _more_scores(accuracy: Accuracy | None, baseline: Baseline | None) -> list[dict[str, object]]:
    if accuracy is None:
        return []
    found = []
    if accuracy.outputs:
        found.append({"table": _of_outputs(accuracy.outputs, accuracy, baseline), "caption": "Each output."})
    if accuracy.also:
        found.append(
            {"table": _of_outputs(accuracy.also, None, baseline), "caption": "A second metric, without a gate."}
        )
    return found


def _of_outputs(entries: Sequence[OutputAccuracy], accuracy: Accuracy | None, baseline: Baseline | None) -> Table:
    rows = tuple(
        (
            each.name,
            each.metric,
            *(
                "" if value is None else accuracy_words.score(value, accuracy)
                for value in (each.dense_float32, each.dense_int8, each.sparse)
            ),
        )
        for each in entries
    )
    headings = ("output", "metric", baseline_words.in_sentence("dense_float32", baseline), "dense int8", "sparse")
    return Table(headings, rows, frozenset({"output", "metric"}))


def _matrix(confusion: Confusion, accuracy: Accuracy) -> dict[str, object]:
    rows = []
    for label, counts in zip(confusion.labels, confusion.counts, strict=True):
        total = max(sum(counts), 1)
        cells = [{"count": count, "percent": round(_MOST_SHADE * math.sqrt(count / total))} for count in counts]
        rows.append({"label": label, "cells": cells})
    output = confusion.output if len(accuracy.confusion) > 1 else ""
    is_upright = max(map(len, confusion.labels)) > _LONGEST_LYING
    return {"output": output, "labels": confusion.labels, "rows": rows, "is_upright": is_upright}


def _layers(report: Report) -> list[dict[str, object]]:
    named = zip(shown(report.tensors), report.tensors, strict=True)
    longest = max((max(tensor.dense_bytes, tensor.encoded_bytes) for tensor in report.tensors), default=1) or 1
    return [
        {
            **tensor.model_dump(),
            "name": name,
            "shape": "x".join(map(str, tensor.shape)),
            "how": ("dense: " if tensor.layout == "dense" else "") + tensor.reason,
            "dense_share": tensor.dense_bytes / longest,
            "stored_share": tensor.encoded_bytes / longest,
        }
        for name, tensor in sorted(named, key=lambda each: -each[1].dense_bytes)
    ]


def _latencies(report: Report) -> list[Bar]:
    if report.measured is None:
        return []
    return bars([(each.path, each.latency_ms_median, False) for each in report.measured.files], ".3f")


def _curves(report: Report) -> list[Line]:
    return [] if report.training is None else lines_of(report.training)


def _runtimes(report: Report) -> Table | None:
    if report.verification is None:
        return None
    answers = {True: "equal bit for bit", False: "NOT equal", None: "not compared"}
    rows = tuple(
        (
            each.name,
            answers[each.outputs_bit_exact],
            "" if each.largest_difference is None else f"{each.largest_difference:g}",
            each.unavailable or "",
        )
        for each in report.verification.runtimes
    )
    return Table(("runtime", "outputs", "largest difference", "why"), rows, frozenset({"runtime", "outputs", "why"}))
