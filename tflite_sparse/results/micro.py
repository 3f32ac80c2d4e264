"""The costs of a file on a microcontroller: typed. Sizes are bytes."""

from __future__ import annotations

from tflite_sparse.results.part import Part

DECODER_FLASH_BYTES = 8300
"""Approximate size of ``AddDecode()``, for a Cortex-M3 at -Os with tflite-micro of October 2026."""

TRADE = "DECODE saves flash and never time: every invoke decodes every compressed weight again."


class MicroReport(Part):
    """Flash, memory and code for TensorFlow Lite Micro.

    Attributes:
        flash_saved_bytes: of the file, against the dense one.
        decoder_flash_bytes: approximate size of the decoder; 0 if nothing is decoded.
        flash_dense_bytes: size of the dense file; None, like the next one, in reports of older versions.
        flash_bytes: size of this file and of the decoder.
        ram_bytes: of the layout that takes less: an arena, or an arena and a memory for decoded weights; None if the
            runtime is not installed.
        arena_dense_bytes: the smallest arena of the dense file; None if the runtime is not installed.
        arena_decoded_bytes: of this file, with decoded weights in the arena.
        arena_with_alternate_bytes: of this file, with decoded weights in a memory of their own.
        alternate_memory_bytes: size of that memory.
        largest_decoded_bytes: size of the largest decoded weight.
        decoded_bytes_per_invoke: size of all decoded weights.
        statement: the trade-off, in words.
        cpp: the C++ of an app, in that layout; empty where the runtime has no C++ type for an input or output.
    """

    flash_saved_bytes: int
    decoder_flash_bytes: int
    flash_dense_bytes: int | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    arena_dense_bytes: int | None
    arena_decoded_bytes: int | None
    arena_with_alternate_bytes: int | None
    alternate_memory_bytes: int
    largest_decoded_bytes: int
    decoded_bytes_per_invoke: int
    statement: str
    cpp: str


class EthosUFile(Part):
    """One file as seen by Arm's compiler Vela. ``left_to_cpu`` lists what the NPU does not run."""

    flash_bytes: int
    sram_bytes: int
    dram_bytes: int
    encoded_weight_bytes: int
    estimated_cycles: int
    inferences_per_second: float | None
    left_to_cpu: list[str]


class EthosUReport(Part):
    """The file compiled for an Ethos-U NPU, with a baseline if there is one.

    Attributes:
        accelerator: the configuration that it was compiled for.
        compiled: the compiled file that was written.
        file: costs of the file.
        baseline: costs of the dense baseline; None if none was given.
        warnings: what Vela does not support well.
    """

    accelerator: str
    compiled: str
    file: EthosUFile
    baseline: EthosUFile | None
    warnings: list[str]
