"""Make the tables and sentences of an export's report as text."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.report.text import accuracy as accuracy_words
from tflite_sparse.report.text import (
    alternatives,
    channels,
    io_order,
    left_dense,
    next_steps,
    ratio,
    shared_values,
    time_step,
)
from tflite_sparse.report.text import baseline as baseline_words
from tflite_sparse.report.text import contract as contract_words
from tflite_sparse.report.text import dead_channels as channel_words
from tflite_sparse.report.text import layers as layer_errors
from tflite_sparse.report.text import targets as target_tables
from tflite_sparse.report.text.names import shown
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.export import NOT_INSTALLED, Gates, ModelFile, Report, Verification
from tflite_sparse.results.layers import LayerError
from tflite_sparse.verification import sentences


def files(report: Report) -> Table:
    """Return a row for each file: size, size against the dense float32 one, gzip, accuracy with interval, sparsity."""
    base = report.models.dense_float32.file_bytes
    metric = report.accuracy.metric if report.accuracy else "accuracy"
    rows = []
    for key, entry in report.models:
        if isinstance(entry, ModelFile):
            rows.append(
                (
                    baseline_words.file_name(key, report.models, report.baseline),
                    entry.path,
                    f"{entry.file_bytes:,}",
                    ratio.cell(base / entry.file_bytes),
                    f"{entry.gzip_bytes:,}",
                    accuracy_words.score_of(entry, report.accuracy),
                    f"{entry.sparsity:.3f}",
                )
            )
    headings = ("model", "file", "bytes", "smaller", "gzip bytes", metric, "zeros")
    names = frozenset({"model", "file"})
    return Table(headings, tuple(rows), names, names, ("gzip bytes", "model", "zeros"))


def layers(entries: Sequence[LayerError]) -> Table:
    """Return a row for each tensor inside the int8 file: its distance from the float32 file's."""
    rows = tuple(
        (
            name,
            layer.operator,
            "none" if layer.snr_db is None else f"{layer.snr_db:.1f}",
            f"{layer.lost_db:.1f}",
            f"{layer.cosine:.5f}",
            f"{layer.largest_difference:.3g}",
            f"{layer.share_of_range:.3f}",
        )
        for name, layer in zip(shown(entries), entries, strict=True)
    )
    headings = ("tensor", "operator", "SNR dB", "lost dB", "cosine", "largest", "of range")
    text = frozenset({"tensor", "operator"})
    return Table(headings, rows, text, text, ("largest", "operator"))


def layers_compared(report: Report) -> str:
    """Return how many tensors the table of :func:`layers` covers."""
    return f"{len(report.layers)} of {report.layer_tensors} tensors compared with float32"


def verdicts(report: Report) -> list[str]:
    """Return sentences on pruning, its cost, the checks, and whether all gates passed."""
    first = next_steps.nothing_smaller(report)
    lines = [] if first is None else [first]
    lines.append(f"Pruning: {report.pruning.words}; {_kernels(report)}.")
    lines += [channels.sentence(report.pruning.channels)] if report.pruning.channels else []
    lines += left_dense.lines(report.pruning.left_dense)
    lines += shared_values.lines(report.shared_values, report.settings.get("target"))
    if report.float_layers:
        lines.append(f"Float32 by the recipe: {', '.join(report.float_layers)}.")
    lines += baseline_words.lines(report.baseline)
    if report.ratios is not None:
        compared = baseline_words.in_sentence("dense_float32", report.baseline)
        line = f"Size: {ratio.beside(compared, report.ratios.vs_dense_float32)}"
        if report.ratios.vs_dense_int8 is not None:
            line += f", {ratio.beside('dense int8', report.ratios.vs_dense_int8)}"
        lines.append(line + ".")
    if report.accuracy is not None:
        lines += accuracy_words.sentences(report.models, report.accuracy, report.baseline)
        shares = alternatives.shares(report.accuracy, report.baseline)
        lines += [f"Of the change, {shares}."] if shares else []
    else:
        lines.append("Accuracy: not measured; there were no data.")
    lines += channel_words.lines(report.channels)
    if report.verification is not None:
        lines.append(verification(report.verification, without=_without(report)))
    lines += time_step.lines(report.time_step)
    lines += io_order.lines(report.io_order)
    if report.pixels is not None:
        lines.append(contract_words.pixels(report.pixels))
    if report.contract is not None:
        lines += contract_words.lines(report.contract)
    if report.layers:
        lines.append(f"Layers: {layers_compared(report)}; int8 loses most at {layer_errors.blame(report.layers)}.")
    lines += target_tables.of(report)
    lines += [alternatives.line(each) for each in report.alternatives]
    lines += warnings(report)
    lines += gates(report.gates)
    return lines


def warnings(report: Report) -> list[str]:
    """Return a line for each warning."""
    return [f"Warning: {sentence}" for sentence in report.warnings]


def gates(found: Gates) -> list[str]:
    """Return a line for each gate that failed or could not be judged."""
    failed = [f"FAILED {failure}" for failure in found.failures]
    return [*failed, *(f"NOT JUDGED {sentence}" for sentence in found.unjudged)]


def state(found: Gates) -> str:
    """Return the state of all gates: ``all gates passed``, ``not judged``, ``FAILED``."""
    if found.failures:
        return "FAILED"
    return "not judged" if found.unjudged else "all gates passed"


def _kernels(report: Report) -> str:
    pruning = report.pruning
    share = f"{pruning.after:.4f} of them zeros"
    return f"{pruning.prunable_kernels} prunable kernels hold {pruning.prunable_weights:,} weights, {share}"


def _without(report: Report) -> str:
    """Return what the dense file lacks that outputs are compared with, if the whole one has other last bits."""
    is_apart = report.channels is not None and report.channels.sums_in_another_order
    return " with those of the dense file without its dead channels" if is_apart else ""


def verification(found: Verification, *, without: str = "") -> str:
    """Describe the checks of the written file in a sentence.

    Args:
        found: the checks.
        without: what outputs are equal with, if that is not the dense file itself.
    """
    weights = "equal" if found.weights_bit_exact else "NOT equal"
    good = [runtime.name for runtime in found.runtimes if runtime.outputs_bit_exact]
    bad = [runtime.name for runtime in found.runtimes if runtime.outputs_bit_exact is False]
    absent = [
        runtime.name for runtime in found.runtimes if runtime.unavailable and runtime.unavailable != NOT_INSTALLED
    ]
    missing = [runtime.name for runtime in found.runtimes if runtime.unavailable == NOT_INSTALLED]
    line = f"Verification: decoded weights {weights} to the dense ones bit for bit"
    if good:
        line += f"; outputs equal{without} bit for bit on {found.samples} samples in {', '.join(good)}"
    if bad:
        line += f"; outputs NOT equal in {', '.join(bad)}"
    if absent:
        line += f"; not compared in {', '.join(absent)}, where the dense file does not run either"
    if missing:
        line += f"; outputs not compared in {', '.join(missing)}: {NOT_INSTALLED} here"
    line += "".join(f"; {sentences.of_across(each, sentences.REFERENCE)}" for each in found.across)
    return line + "."
