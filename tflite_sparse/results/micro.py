"""What a file costs on a microcontroller: typed. Sizes are bytes."""

from __future__ import annotations

from tflite_sparse.results.part import Part

DECODER_FLASH_BYTES = 8300
"""About what ``AddDecode()`` adds to an app: measured for a Cortex-M3 at -Os with tflite-micro of October 2026."""

TRADE = "DECODE saves flash and never time: every invoke decodes every compressed weight again."


class MicroReport(Part):
    """Flash, memory and code for TensorFlow Lite Micro.

    Attributes:
        flash_saved_bytes: of the file, against the dense one.
        decoder_flash_bytes: what the decoder itself takes, about; 0 if nothing is decoded.
        arena_dense_bytes: the smallest arena of the dense file; None where the runtime is not installed.
        arena_decoded_bytes: of this file, with decoded weights in the arena.
        arena_with_alternate_bytes: of this file, with decoded weights in a memory of their own.
        alternate_memory_bytes: of that memory.
        largest_decoded_bytes: the largest weight that is decoded.
        decoded_bytes_per_invoke: all of them.
        statement: what this trades.
        cpp: the C++ lines that an app needs.
    """

    flash_saved_bytes: int
    decoder_flash_bytes: int
    arena_dense_bytes: int | None
    arena_decoded_bytes: int | None
    arena_with_alternate_bytes: int | None
    alternate_memory_bytes: int
    largest_decoded_bytes: int
    decoded_bytes_per_invoke: int
    statement: str
    cpp: str


class EthosUFile(Part):
    """One file as Arm's compiler Vela sees it. ``left_to_cpu`` names what the NPU does not take."""

    flash_bytes: int
    sram_bytes: int
    dram_bytes: int
    encoded_weight_bytes: int
    estimated_cycles: int
    inferences_per_second: float | None
    left_to_cpu: list[str]


class EthosUReport(Part):
    """The file compiled for an Ethos-U NPU, beside a baseline if there is one.

    Attributes:
        accelerator: the configuration that it was compiled for.
        compiled: the compiled file that was written.
        file: what it takes.
        baseline: what the dense baseline takes; None where none was given.
        warnings: what Vela cannot take well.
    """

    accelerator: str
    compiled: str
    file: EthosUFile
    baseline: EthosUFile | None
    warnings: list[str]
