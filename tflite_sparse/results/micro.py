"""The costs of a file on a microcontroller: typed. Sizes are bytes."""

from __future__ import annotations

from tflite_sparse.results.part import Part

DECODER_FLASH_BYTES = 8300
"""Approximate size of ``AddDecode()``, for a Cortex-M3 at -Os with tflite-micro of October 2026."""

DECODING_INSTRUCTIONS = 14
"""About what DECODE takes for each weight that it rebuilds: 12 to 16 on a Cortex-M3 at -Os."""

IN_PLACE = "Weights are computed on as they lie in flash: none is rebuilt in RAM."

TRADE = "DECODE saves flash and never time: every invoke decodes every compressed weight again."


class MicroOperator(Part):
    """One FULLY_CONNECTED or CONV_2D on a CPU.

    Attributes:
        name: of its weights.
        operator: FULLY_CONNECTED or CONV_2D.
        kernel: how its weights are stored and computed on; None: it is dense.
        stored_bytes: of its weights.
        dense_bytes: of the same, dense.
        instructions: of one inference, by the model of costs; without decoding.
        dense_instructions: of the same, dense, by CMSIS-NN.
    """

    name: str
    operator: str
    kernel: str | None
    stored_bytes: int
    dense_bytes: int
    instructions: int
    dense_instructions: int


class MicroForm(Part):
    """What a file of the same weights takes in another form.

    Attributes:
        kernels: ``"tflm"``: weights behind DECODE; ``"sparse"``: computed on in flash.
        file_bytes: of the file.
        arena_bytes: the smallest arena; None where it was not measured.
        instructions: of FULLY_CONNECTED and CONV_2D in one inference, decoding included, by the model of costs.
    """

    kernels: str
    file_bytes: int
    arena_bytes: int | None
    instructions: int


class MicroKernelsReport(Part):
    """FULLY_CONNECTED and CONV_2D of a file on a CPU.

    Attributes:
        cpu: whose costs these are.
        model_error: the share that the model of costs is off by at most, for 19 of 20 layers that it was fitted to.
        code_bytes: flash of the sparse kernels that the file uses and of the operator around them; 0 if it uses none.
        code_measured: whether that was measured with a compiler here, or is from a table.
        instructions: of these operators in one inference, decoding included.
        dense_instructions: of the same, dense, by CMSIS-NN.
        operators: each of them.
        other: the same weights in the other form.
        verdict: what this comes to, in one line.
    """

    cpu: str
    model_error: float
    code_bytes: int
    code_measured: bool
    instructions: int
    dense_instructions: int
    operators: list[MicroOperator]
    other: MicroForm | None
    verdict: str


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
        kernels: ``"tflm"`` or ``"sparse"``, as :class:`MicroForm` has it.
        on_cpu: instructions, flash of the kernels, and the other form; None in reports of older versions.
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
    kernels: str = "tflm"
    on_cpu: MicroKernelsReport | None = None


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
