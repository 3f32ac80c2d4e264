"""Describe the costs of a file on microcontrollers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tflite_sparse.report.text import instructions as instruction_tables
from tflite_sparse.report.text.names import shortened, shown
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.micro import EthosUFile, EthosUReport, MicroKernelsReport, MicroReport

if TYPE_CHECKING:  # not imported by commands on files
    from tflite_sparse.results.export import Report
    from tflite_sparse.results.files import EncodingReport


def of(report: Report | EncodingReport) -> list[str]:
    """Return sentences for the target of the run; none for LiteRT."""
    lines = [] if report.micro is None else micro(report.micro)
    lines += [] if report.ethos_u is None else ethos_u(report.ethos_u)
    return lines + ([] if report.target_part is None else report.target_part.sentences)


def micro(report: MicroReport) -> list[str]:
    """Return sentences on flash, memory and instructions, the verdict first."""
    of_memory = _computed if report.kernels == "sparse" else _decoded
    lines = [_verdict(report), *of_memory(report)]
    if report.on_cpu is not None:
        lines += _on_cpu(report.on_cpu)
    return lines


def instructions(report: Report | EncodingReport) -> Table | None:
    """Return a row for each operator: its instructions; None: no figures.

    Of TensorFlow Lite Micro, operators that sparse kernels could compute, and what they take dense. Instructions that
    DECODE takes have a row of their own, for it rebuilds the weights of several operators.
    """
    if report.target_part is not None and report.target_part.inference is not None:
        return instruction_tables.of_inference(report.target_part.inference)
    found = None if report.micro is None else report.micro.on_cpu
    if found is None or not found.operators:
        return None
    layers = {each.name: name for name, each in zip(shown(report.tensors), report.tensors, strict=True)}
    rows = [
        _instructions_row(
            (layers.get(each.name) or shortened(each.name), each.operator, each.kernel or "dense"),
            each.instructions,
            each.dense_instructions,
        )
        for each in found.operators
    ]
    decoding = found.instructions - sum(each.instructions for each in found.operators)
    if decoding > 0:
        rows.append(_instructions_row(("all compressed weights", "DECODE", ""), decoding, 0))
    rows.append(_instructions_row(("in all", "", ""), found.instructions, found.dense_instructions))
    headings = ("weight", "operator", "kernel", "instructions", "dense instructions", "fewer")
    text = frozenset({"weight", "operator", "kernel"})
    return Table(headings, tuple(rows), text, text, ("operator", "kernel"))


def _instructions_row(words: tuple[str, str, str], now: int, dense: int) -> tuple[str, ...]:
    return (*words, f"{now:,}", f"{dense:,}", f"{dense / now:.2f}x" if now and dense else "")


def instructions_about(report: Report | EncodingReport) -> str:
    """Return what the figures of :func:`instructions` are."""
    if report.target_part is not None and report.target_part.inference is not None:
        inference = report.target_part.inference
        return f"Instructions of an inference on {inference.cpu}. {instruction_tables.about(inference)}"
    found = None if report.micro is None else report.micro.on_cpu
    assert found is not None  # the table has figures
    return (
        f"Instructions of an inference on {found.cpu}, by a model fitted to an emulator that is off by up to "
        f"{found.model_error:.0%}; dense: CMSIS-NN. Other operators are not counted."
    )


def _computed(report: MicroReport) -> list[str]:
    code = "" if report.on_cpu is None else f"; the sparse kernels take {report.on_cpu.code_bytes:,}"
    lines = [f"Flash: {report.flash_saved_bytes:,} bytes less than the dense file{code}."]
    if report.arena_dense_bytes is not None:
        lines.append(
            f"Arena: {report.arena_dense_bytes:,} bytes dense, {report.arena_decoded_bytes:,} now (measured here, with "
            "64-bit pointers; dense with reference kernels)."
        )
    lines.append(report.statement)
    if report.on_cpu is not None:
        lines += _saves_nothing(report.flash_saved_bytes, report.on_cpu.code_bytes, "the code of the kernels takes")
    return lines


def _saves_nothing(saved: int, code_bytes: int, taker: str) -> list[str]:
    """Return a warning where the code that a file needs takes more flash than the file saves."""
    if not 0 < saved < code_bytes:
        return []
    return [f"This file alone saves no flash: {taker} more than the file saves."]


def _decoded(report: MicroReport) -> list[str]:
    lines = [
        f"Flash: {report.flash_saved_bytes:,} bytes less than the dense file; the decoder takes about "
        f"{report.decoder_flash_bytes:,}.",
    ]
    if report.arena_dense_bytes is not None:
        lines.append(
            f"Arena: {report.arena_dense_bytes:,} bytes dense, {report.arena_decoded_bytes:,} decoded, "
            f"{report.arena_with_alternate_bytes:,} and {report.alternate_memory_bytes:,} of decompression memory "
            "(measured here, with 64-bit pointers and reference kernels)."
        )
    lines.append(
        f"Decoded: {report.decoded_bytes_per_invoke:,} bytes at every invoke, the largest weight "
        f"{report.largest_decoded_bytes:,}. {report.statement}"
    )
    return [*lines, *_saves_nothing(report.flash_saved_bytes, report.decoder_flash_bytes, "the decoder takes")]


def _on_cpu(report: MicroKernelsReport) -> list[str]:
    """Sentences on instructions, and on the other form of the same weights."""
    lines = [
        f"Instructions of FULLY_CONNECTED and CONV_2D an inference, {report.cpu}: {report.instructions:,}; dense "
        f"{report.dense_instructions:,} (CMSIS-NN). A model fitted to an emulator, off by up to "
        f"{report.model_error:.0%}; nothing ran on a chip.",
        f"Beside dense: {report.verdict}",
    ]
    other = report.other
    if other is not None:
        arena = "" if other.arena_bytes is None else f", an arena of {other.arena_bytes:,}"
        lines.append(
            f"With --micro-kernels {other.kernels}: a file of {other.file_bytes:,} bytes{arena}, "
            f"{other.instructions:,} instructions."
        )
    return lines


def _verdict(report: MicroReport) -> str:
    """Flash and RAM, dense against this file, in one line."""
    if report.flash_bytes is None or report.flash_dense_bytes is None:
        return "Verdict: not in this report; make it again."
    flash = f"flash {report.flash_dense_bytes:,} B dense, {_against(report.flash_bytes, report.flash_dense_bytes)}"
    if report.ram_bytes is None or report.arena_dense_bytes is None:
        return f"Verdict: {flash}; RAM not measured (pip install 'tflite-sparse[micro]')."
    ram = f"RAM {report.arena_dense_bytes:,} B dense, {_against(report.ram_bytes, report.arena_dense_bytes)}"
    return f"Verdict: {flash}; {ram}."


def _against(now: int, dense: int) -> str:
    if now == dense:
        return f"{now:,} B with this file (the same)"
    return f"{now:,} B with this file ({abs(now - dense):,} {'less' if now < dense else 'more'})"


def ethos_u(report: EthosUReport) -> list[str]:
    """Return sentences on Vela's estimate for the file, with the baseline."""
    lines = [f"{report.accelerator}, as Vela estimates: {_in_words(report.file)}."]
    if report.baseline is not None:
        ratio = report.baseline.encoded_weight_bytes / max(report.file.encoded_weight_bytes, 1)
        lines.append(f"The dense baseline: {_in_words(report.baseline)} ({ratio:.2f}x the weights).")
    lines += [f"Warning: {warning}" for warning in report.warnings]
    return [*lines, *(f"Left to the CPU: {each}" for each in report.file.left_to_cpu), f"Compiled: {report.compiled}."]


def _in_words(file: EthosUFile) -> str:
    speed = "" if file.inferences_per_second is None else f", {file.inferences_per_second:,.0f} inferences/s"
    return (
        f"{file.encoded_weight_bytes:,} bytes of encoded weights, flash {file.flash_bytes:,}, "
        f"DRAM {file.dram_bytes:,}, SRAM {file.sram_bytes:,}, {file.estimated_cycles:,} cycles{speed}"
    )
