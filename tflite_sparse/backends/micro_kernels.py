"""What the sparse kernels add to a target's file: their sources, and a report of flash, memory and instructions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tflite_sparse.backends import micro_cpp
from tflite_sparse.base import scratch
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.codecs.streams.names import SPARSE, TFLM, MicroCpu, MicroKernels
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.planning.planner import Target
from tflite_sparse.results.micro import (
    DECODER_FLASH_BYTES,
    DECODING_INSTRUCTIONS,
    MicroForm,
    MicroKernelsReport,
    MicroOperator,
)
from tflite_sparse.runtime import cortex_m, micro, micro_operators
from tflite_sparse.target_registry import MICRO_FOLDER, MICRO_MADE, MICRO_SOURCES
from tflite_sparse.targets import micro_costs, operator_costs
from tflite_sparse.targets.micro_costs import Costs
from tflite_sparse.targets.operator_costs import FileCosts, OperatorCost

ARRAY_STEM = Path(MICRO_MADE[0]).stem
"""Of the model as an array, beside the kernels."""


def is_source(name: str) -> bool:
    """Return whether an extra file is one of :func:`sources`."""
    return name.startswith(f"{MICRO_FOLDER}/")


def sources(content: bytes, app: str) -> dict[str, bytes | Path]:
    """Return the files that an app adds, by the names that the registry gives them.

    Args:
        content: the ``.tflite`` file.
        app: its code; empty: the runtime has no C++ type for an input or output, and the code is left out.
    """
    header, array = micro_cpp.c_array(content, ARRAY_STEM)
    made = dict(zip(MICRO_MADE, (header, array, app), strict=True))
    files = {name: (cortex_m.SOURCES / name).read_bytes() for name in MICRO_SOURCES}
    files |= {name: text.encode() for name, text in made.items() if text}
    return {f"{MICRO_FOLDER}/{name}": found for name, found in files.items()}


def report(encoded: Path, dense: Path, cpu: MicroCpu, kernels: MicroKernels, others: Target) -> MicroKernelsReport:
    """What a file takes on a CPU, beside what it would take in the other form.

    Args:
        encoded: the file.
        dense: the dense file that it stands for.
        cpu: whose costs count.
        kernels: of the file.
        others: the target that makes the other form.
    """
    costs = micro_costs.of(cpu)
    found = operator_costs.of(serde.read(encoded), costs)
    instructions = _instructions(found)
    used = sorted({each.kernel for each in found.operators if each.kernel is not None})
    code_bytes, measured = _code_bytes(used, cpu, costs)
    has_other = kernels == SPARSE or bool(found.operators)  # no kernel computes another operator than these
    other = _other(dense, others, TFLM if kernels == SPARSE else SPARSE, costs) if has_other else None
    dense_instructions = sum(each.dense_instructions for each in found.operators)
    flash = encoded.stat().st_size + code_bytes + (DECODER_FLASH_BYTES if found.decoded_values else 0)
    return MicroKernelsReport(
        cpu=cpu,
        model_error=costs.error,
        code_bytes=code_bytes,
        code_measured=measured,
        instructions=instructions,
        dense_instructions=dense_instructions,
        operators=[_operator(each) for each in found.operators],
        other=other,
        verdict=_verdict(flash, dense.stat().st_size, instructions, dense_instructions),
    )


def _other(dense: Path, target: Target, kernels: MicroKernels, costs: Costs) -> MicroForm:
    with scratch.folder() as folder:
        path = folder / "other.tflite"
        encode_file(dense, path, target)
        runs = micro.is_available() and (kernels == TFLM or micro_operators.is_available())
        return MicroForm(
            kernels=kernels,
            file_bytes=path.stat().st_size,
            arena_bytes=_arena(path, costs.pixels_at_once) if runs else None,
            instructions=_instructions(operator_costs.of(serde.read(path), costs)),
        )


def _arena(path: Path, pixels_at_once: int) -> int | None:
    """Return the arena of the other form; None if it cannot be run here, which says nothing about the file."""
    try:
        return micro.arena(path, pixels_at_once=pixels_at_once)
    except ExecutionError:
        return None


def _instructions(found: FileCosts) -> int:
    return sum(each.instructions for each in found.operators) + DECODING_INSTRUCTIONS * found.decoded_values


def _code_bytes(used: Sequence[Kernel], cpu: MicroCpu, costs: Costs) -> tuple[int, bool]:
    if not used:
        return 0, True
    if cortex_m.has_compiler():
        try:
            return cortex_m.code_bytes(micro_costs.code_cpu(cpu), sum(1 << kernel for kernel in used)), True
        except ExecutionError:  # a compiler that does not know the CPU: the table below has the sizes
            pass
    return costs.common_code_bytes + sum(costs.code_bytes[kernel] for kernel in used), False


def _operator(cost: OperatorCost) -> MicroOperator:
    return MicroOperator(
        name=cost.name,
        operator=cost.operator,
        kernel=None if cost.kernel is None else cost.kernel.words,
        stored_bytes=cost.stored_bytes,
        dense_bytes=cost.dense_bytes,
        instructions=cost.instructions,
        dense_instructions=cost.dense_instructions,
    )


def _verdict(flash: int, dense_flash: int, instructions: int, dense_instructions: int) -> str:
    size = f"{flash / dense_flash:.0%} of the dense file's flash, code included"
    if not dense_instructions:  # no int8 operator of a kind that is counted
        return f"{size}."
    if instructions <= dense_instructions:
        return f"{size}, and {dense_instructions / max(instructions, 1):.1f} times fewer instructions than dense."
    return f"{size}, for {instructions / max(dense_instructions, 1):.1f} times the instructions of dense."
