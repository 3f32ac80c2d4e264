"""Present measurements as a table on the terminal, as a section of a Markdown file, and against the targets."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import rich.table

from contenders import DENSE_INT8, OURS, Exactness
from measurements import Latency, Loading, Measured
from models import SPARSITY, ModelRecipe

_PAGES = Path(__file__).with_name("results")

_NOTHING = "-"
_SCRIPT = "benchmarks/size_and_speed.py"
_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert")


def results_option(page: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--results``, which is the page of this name unless another file is given."""
    return click.option(
        "--results",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=_PAGES / f"{page}.md",
        show_default=f"results/{page}.md beside this script",
        help="Markdown file whose sections of this script are replaced.",
    )


@dataclass(frozen=True, slots=True)
class Effort:
    """The extent of the measurements."""

    rounds: int
    processes: int
    calibration_samples: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what is required, the result, and whether it passes."""

    target: str
    result: str
    passed: bool

    def in_words(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}: {self.target}: {self.result}"


@dataclass(frozen=True, slots=True)
class ModelResult:
    """The results of one model; ``remarks`` are sentences on what could not be measured."""

    recipe: ModelRecipe
    effort: Effort
    measured: tuple[Measured, ...]
    exactness: Exactness
    remarks: tuple[str, ...]

    @property
    def heading(self) -> str:
        return f"Size and speed, {self.recipe.title}"

    def of(self, label: str) -> Measured:
        return next(each for each in self.measured if each.contender.label == label)


_ROWS: tuple[tuple[str, Callable[[Measured], str]], ...] = (
    ("file (bytes)", lambda m: f"{m.sizes.file_bytes:,}"),
    ("gzip (bytes)", lambda m: f"{m.sizes.gzip_bytes:,}"),
    ("bytes per weight", lambda m: f"{m.sizes.bytes_per_weight:.4f}"),
    ("entropy bound of the weights (bytes)", lambda m: f"{m.sizes.entropy_bytes:,}"),
    ("default interpreter", lambda m: _acceptance(m)),
    ("load + first invoke (ms)", lambda m: _loaded(m, lambda loading: f"{loading.first_ms:.1f}")),
    ("resident memory (MB)", lambda m: _loaded(m, lambda loading: f"{loading.resident_megabytes:.1f}")),
    ("steady latency (ms)", lambda m: _timed(m, lambda latency: f"{latency.milliseconds:.3f}")),
    ("latency / dense int8", lambda m: _timed(m, lambda latency: f"{latency.ratio:.3f}")),
    ("conversion (s)", lambda m: f"{m.contender.conversion_seconds:.2f}"),
    ("encoding (s)", lambda m: _optional(m.contender.encoding_seconds, "{:.3f}")),
    ("verification of the weights (s)", lambda m: _optional(m.contender.verification_seconds, "{:.3f}")),
    ("encoding + verification / conversion", lambda m: _optional(m.added_share, "{:.1%}")),
    ("encoding + verification (million weights/s)", lambda m: _optional(m.million_weights_per_second, "{:.1f}")),
)


def as_rich(result: ModelResult) -> rich.table.Table:
    """Return the table for the terminal."""
    headings, rows = _cells(result)
    table = rich.table.Table(title=result.heading, title_justify="left")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="right" if position else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def verdicts(result: ModelResult) -> list[Verdict]:
    """Return the verdicts on the targets of this model."""
    ours, name = result.of(OURS), result.recipe.key
    found = []
    if name == "mobilenet":
        size = ours.sizes.file_bytes
        found.append(Verdict(f"{name}: file of at most 1,300,000 bytes", f"{size:,}", size <= 1_300_000))
    if name == "dense":
        density = ours.sizes.bytes_per_weight
        found.append(Verdict(f"{name}: at most 0.275 bytes per weight", f"{density:.4f}", density <= 0.275))
    share, speed = ours.added_share, ours.million_weights_per_second
    assert share is not None
    assert speed is not None
    ratio = ours.latency.ratio if ours.latency else None
    return [
        *found,
        Verdict(f"{name}: encoding + verification under 15 % of conversion", f"{share:.1%}", share < 0.15),
        Verdict(f"{name}: at least 20 million weights/s encoded and verified", f"{speed:.1f}", speed >= 20),
        Verdict(
            f"{name}: steady latency at most 5 % above dense int8",
            _optional(ratio, "ratio {:.3f}"),
            ratio is not None and ratio <= 1.05,
        ),
    ]


def exactness_in_words(result: ModelResult) -> str:
    """Describe whether our file computes the same as dense int8."""
    found = result.exactness
    if found.differences:
        return f"{OURS} is NOT exact: " + "; ".join(found.differences)
    words = (
        f"{OURS} holds the weights of {DENSE_INT8} and gives its outputs bit for bit on {found.probes} inputs "
        f"({'; '.join(found.compared)})."
    )
    return " ".join(
        [words, *(f"Not compared in {name}: it does not run {DENSE_INT8} either." for name in found.skipped)]
    )


def write(result: ModelResult, path: Path) -> None:
    """Write the section of this model into the Markdown file at ``path``, replacing an earlier one."""
    write_section(path, result.heading, _section(result))


def write_section(path: Path, heading: str, section: str) -> None:
    """Write ``section`` under ``## heading`` into the Markdown file at ``path``, which need not exist."""
    before = path.read_text("utf-8") if path.exists() else "# Benchmark results\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_with_section(before, heading, section), "utf-8")


def _with_section(document: str, heading: str, section: str) -> str:
    """Return ``document`` with the part under ``## heading`` replaced by ``section``, or with it added at the end."""
    parts = re.split(r"(?m)^(?=## )", document)
    kept = [section if part.splitlines()[:1] == [f"## {heading}"] else part for part in parts]
    if section not in kept:
        kept.append(section)
    return "\n\n".join(part.strip() for part in kept if part.strip()) + "\n"


def _section(result: ModelResult) -> str:
    headings, rows = _cells(result)
    lines = [headings, ("---", *["---:"] * (len(headings) - 1)), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    parts = [f"## {result.heading}", _circumstances(result), table, exactness_in_words(result), *result.remarks]
    parts.append("\n".join(f"- {verdict.in_words()}" for verdict in verdicts(result)))
    return "\n\n".join(parts)


def _circumstances(result: ModelResult) -> str:
    effort = result.effort
    command = (
        f"python {_SCRIPT} --models {result.recipe.key} --rounds {effort.rounds} --processes {effort.processes} "
        f"--calibration-samples {effort.calibration_samples}"
    )
    return (
        f"{datetime.date.today().isoformat()}; {machine()}; {versions(_PACKAGES)}.\n"
        f"Random weights, {SPARSITY:.1%} zeros by magnitude in {result.recipe.pruned}.\n"
        f"Reproduce: `{command}`\n\n"
        f"Load + first invoke and resident memory: medians of {effort.processes} fresh processes, the file in the page "
        f"cache. Latency: one thread, all files interleaved in one process, median of {effort.rounds} rounds. "
        f"Conversion calibrates on {effort.calibration_samples} samples (an export on 200, unless told otherwise)."
    )


def versions(packages: Sequence[str]) -> str:
    """Return name and version of each package as text."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def machine() -> str:
    """Return cores and processor as text."""
    info = Path("/proc/cpuinfo")
    text = info.read_text("utf-8") if info.exists() else ""
    found = re.search(r"(?m)^model name\s*:\s*(.+)$", text)
    return f"{os.cpu_count()} cores, {found.group(1).strip() if found else 'CPU model unknown'}"


def _cells(result: ModelResult) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    headings = ("", *(each.contender.label for each in result.measured))
    return headings, [(name, *(cell(each) for each in result.measured)) for name, cell in _ROWS]


def _acceptance(measured: Measured) -> str:
    loading = measured.loading
    if loading is None:
        return "refused, also by built-in kernels"
    return "loads" if loading.refusal is None else f"refuses: {loading.refusal}"


def _loaded(measured: Measured, cell: Callable[[Loading], str]) -> str:
    return _NOTHING if measured.loading is None else cell(measured.loading) + _kernels(measured.loading)


def _timed(measured: Measured, cell: Callable[[Latency], str]) -> str:
    if measured.loading is None or measured.latency is None:
        return _NOTHING
    return cell(measured.latency) + _kernels(measured.loading)


def _kernels(loading: Loading) -> str:
    return "" if loading.kernels == "default" else " (built-in kernels)"


def _optional(value: float | None, form: str) -> str:
    return _NOTHING if value is None else form.format(value)
