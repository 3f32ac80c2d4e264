"""Write the report as Markdown."""

from __future__ import annotations

from tflite_sparse.report.text import contract as contract_words
from tflite_sparse.report.text import dead_channels as channel_words
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import latency as latency_tables
from tflite_sparse.report.text import targets as target_tables
from tflite_sparse.report.text import weights
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.contract import Contract
from tflite_sparse.results.dead_channels import Channels
from tflite_sparse.results.export import Report


def render(report: Report) -> str:
    """Return ``report.md`` as text."""
    data = f" on {report.data}" if report.data else ""
    parts = [
        f"# {report.model}{data}: {tables.state(report.gates)}",
        "\n".join(f"- {line}" for line in tables.verdicts(report)),
        "## Files",
        table(tables.files(report)),
        "`dense int8` holds the same pruned weights as the sparse file, stored dense. `gzip bytes` is what a download "
        "takes; the runtime reads the uncompressed file."
        if report.models.dense_int8
        else "`gzip bytes` is what a download takes; the runtime reads the uncompressed file.",
        "## Weights",
        table(weights.table(report)),
        "`bound B` is the zeroth-order bound in bytes: entropy of the mask plus entropy of the kept values.",
        *_instructions(report),
        *_channels(report.channels),
        *_layers(report),
        *([] if report.contract is None else _contract(report.contract)),
        *_measured(report),
        f"Made by {report.tool}.",
    ]
    return "\n\n".join(parts) + "\n"


def _instructions(report: Report) -> list[str]:
    found = target_tables.instructions(report)
    return [] if found is None else ["## Instructions", table(found), target_tables.instructions_about(report)]


def _channels(found: Channels | None) -> list[str]:
    if found is None or not found.dead.layers:
        return []
    title = "## Dead channels" if found.removed else "## Dead channels, which stay"
    return [title, table(channel_words.table(found.dead))]


def _layers(report: Report) -> list[str]:
    if not report.layers:
        return []
    return [
        "## Layers",
        table(tables.layers(report.layers)),
        f"In execution order; {tables.layers_compared(report)}. `SNR dB` includes the error of all operators up to "
        "this one; `lost dB` is the loss by this one.",
    ]


def _contract(contract: Contract) -> list[str]:
    """Inputs and outputs, and code that calls the file, as code blocks."""
    parts = ["## Inputs and outputs", table(contract_words.ports(contract))]
    for language, code in contract.snippets.items():
        name = contract_words.LANGUAGES[language]
        parts += [f"### {name}", f"```{name.lower().replace('c++', 'cpp')}\n{code.rstrip()}\n```"]
    return parts


def _measured(report: Report) -> list[str]:
    if report.measured is None:
        return []
    about = f"Measured on the machine that made this report: {latency_tables.title(report.measured)}."
    return ["## Latency and memory", table(latency_tables.files(report.measured)), about]


def table(cells: Table) -> str:
    """Return a table as Markdown."""
    lines = [_row(cells.headings)]
    lines.append(_row(tuple("---" if heading in cells.left else "---:" for heading in cells.headings)))
    lines += [_row(row) for row in cells.rows]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
