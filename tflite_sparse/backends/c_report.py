"""What generated C takes on a microcontroller: flash, RAM, instructions, beside TensorFlow Lite Micro."""

from __future__ import annotations

from pathlib import Path

from tflite_sparse.backends import c_instructions
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.target_part import TargetPart
from tflite_sparse.runtime import cortex_m, cortex_m_model, micro
from tflite_sparse.runtime.cortex_m_model import Footprint
from tflite_sparse.standalone_c.files import Sources
from tflite_sparse.targets import micro_costs, operator_costs
from tflite_sparse.targets.micro_costs import Dense

_LIBRARIES: tuple[Dense, Dense] = ("standalone", "cmsis-nn")


def part(sources: Sources, file: Path, dense: Path, cpu: MicroCpu) -> TargetPart:
    """The part of a report.

    Args:
        sources: the model in C.
        file: the ``.tflite`` file that they were made of.
        dense: the dense file that it stands for.
        cpu: that they are for.

    Raises:
        ExecutionError: as :func:`tflite_sparse.backends.c_instructions.inference`.
    """
    numbers: dict[str, int | float] = {
        "constant_bytes": sources.program.constant_bytes,
        "arena_bytes": sources.arena.nbytes,
        "dense_file_bytes": dense.stat().st_size,
    }
    sentences = [
        f"C99: {sources.program.constant_bytes:,} bytes of constants, {sources.arena.nbytes:,} bytes of arena in "
        f"{sources.naming.prefix}.c."
    ]
    code_cpu = micro_costs.code_cpu(cpu)
    found = footprint(sources, code_cpu)
    if isinstance(found, str):
        sentences.append(f"Code and stack were not measured: {found}.")
    else:
        numbers |= {"code_bytes": found.code_bytes, "flash_bytes": found.flash_bytes, "stack_bytes": found.stack_bytes}
        sentences.append(
            f"On {code_cpu}, linked: {found.flash_bytes:,} bytes of flash, {found.code_bytes:,} of them code; "
            f"{sources.arena.nbytes + found.stack_bytes:,} bytes of RAM, {found.stack_bytes:,} of them stack."
        )
    own, other = (operator_costs.of(serde.read(file), micro_costs.of(cpu, library)).operators for library in _LIBRARIES)
    if own:
        sparse = sum(each.instructions for each in own)
        whole, of_cmsis_nn = (sum(each.dense_instructions for each in operators) for operators in (own, other))
        numbers |= {"instructions": sparse, "own_dense_instructions": whole, "dense_instructions": of_cmsis_nn}
        sentences.append(
            f"FULLY_CONNECTED and CONV_2D on {cpu}, by the model of costs: {sparse:,} instructions, {whole:,} if all "
            f"were dense, {of_cmsis_nn:,} by CMSIS-NN."
        )
    inference = c_instructions.inference(sources, cpu)
    how = "counted in an emulator" if inference.counted else "estimated"
    sentences.append(f"One inference on {cpu}: {inference.instructions:,} instructions, {how}.")
    arena = _micro_arena(dense)
    if arena is not None:
        numbers["micro_arena_bytes"] = arena
    beside = "" if arena is None else f", an arena of {arena:,} bytes"
    sentences.append(f"{micro.NAME}, dense: a file of {dense.stat().st_size:,} bytes{beside}, and its own code.")
    return TargetPart(numbers=numbers, sentences=sentences, inference=inference)


def footprint(sources: Sources, cpu: str) -> Footprint | str:
    """What the files take on a CPU, linked; where that cannot be measured, the reason."""
    if not cortex_m.has_compiler():
        return f"{cortex_m.COMPILER} is not installed"
    try:
        return cortex_m_model.footprint(cpu, sources.files, sources.naming.prefix, sources.program.constant_bytes)
    except ExecutionError as error:  # such as a compiler that does not know the CPU
        return str(error).splitlines()[0].rstrip(".")


def _micro_arena(dense: Path) -> int | None:
    if not micro.is_available():
        return None
    try:
        return micro.arena(dense)
    except ExecutionError:  # it was compared where it runs; the arena alone is not worth a refusal
        return None
