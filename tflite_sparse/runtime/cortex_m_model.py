"""A generated model on a Cortex-M: what it takes, linked; and run in the emulator, its operators counted one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import cortex_m, stack_usage
from tflite_sparse.runtime.cortex_m import COMPILER, CPUS, SOURCES
from tflite_sparse.runtime.host_c import PortBytes, Ports, write

_OPTIMISED, _SECTIONS = "-O2", ("-ffunction-sections", "-fdata-sections")
_COUNT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a linked model on a CPU: flash, how many of them are code, and the deepest stack."""

    flash_bytes: int
    code_bytes: int
    stack_bytes: int


@dataclass(frozen=True, eq=False, slots=True)
class Counted:
    """What an emulated model computed: for each sample its outputs; and the instructions of each of its steps."""

    rows: list[tuple[np.ndarray, ...]]
    instructions: list[int]


_APP = "tfl_app.c"  # no model has a name that begins so


def footprint(cpu: str, files: Mapping[str, bytes], prefix: str, constant_bytes: int) -> Footprint:
    """Link a model and measure it, compiled with ``-O2``; what nothing calls is left out.

    Args:
        cpu: a name of :data:`tflite_sparse.runtime.cortex_m.CPUS`.
        files: of the model.
        prefix: of its names.
        constant_bytes: of its arrays; what else lies in flash is code.

    Raises:
        ExecutionError: the compiler is not installed, or failed.
    """
    with scratch.folder() as folder:
        target = CPUS[cpu]
        write(files, folder)
        app = (
            f'#include "{prefix}.h"\nint app(void);\nint app(void) {{\n  volatile char x = *(char*){prefix}_input(0);\n'
        )
        app += f"  return x + {prefix}_run() + *(const char*){prefix}_output(0);\n}}\n"
        (folder / _APP).write_text(app, encoding="utf-8")
        c_files = [*(name for name in files if name.endswith(".c")), _APP]
        cortex_m.call(
            [COMPILER, *cortex_m.flags(target), _OPTIMISED, *_SECTIONS, stack_usage.FLAG, "-c", *c_files], folder
        )
        objects = [each.replace(".c", ".o") for each in c_files]
        linked = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,-e,app", "-o", "model.elf"]
        cortex_m.call([COMPILER, *cortex_m.flags(target), *objects, *linked], folder)
        text, data, _ = map(int, cortex_m.call(["arm-none-eabi-size", "model.elf"], folder).splitlines()[1].split()[:3])
        graphs = [path.read_text("utf-8") for path in sorted(folder.glob("*.ci"))]
        disassembly = cortex_m.call(["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", *objects], folder)
        stack = stack_usage.deepest(graphs, disassembly, f"{prefix}_run_in")
        return Footprint(text + data, text + data - constant_bytes, stack)


def run(
    cpu: str,
    files: Mapping[str, bytes],
    prefix: str,
    ports: Ports,
    steps: int,
    samples: Sequence[Sequence[np.ndarray]],
    optimised: str = _OPTIMISED,
) -> Counted:
    """Run a model in the emulator and count the instructions of its steps for the last sample.

    Args:
        cpu: a name of :data:`tflite_sparse.runtime.cortex_m.CPUS`.
        files: of the model.
        prefix: of its names.
        ports: its inputs and outputs.
        steps: their number.
        samples: each has one array per input, of its shape and dtype.
        optimised: the compiler's flag that says how.

    Raises:
        ExecutionError: compiler or emulator are not installed, or failed; or the model does not fit on the board.
    """
    inputs, outputs = ports
    with scratch.folder() as folder:
        target = CPUS[cpu]
        write(files, folder)
        content = b"".join(np.ascontiguousarray(array).tobytes() for sample in samples for array in sample)
        (folder / "input.bin").write_bytes(content)
        emulator = SOURCES / "emulator"
        macro = prefix.upper()
        cortex_m.call(
            [
                *(COMPILER, *cortex_m.flags(target), optimised, *_SECTIONS, "-nostartfiles", "-Wl,--gc-sections"),
                *target.tick_flags,
                *(f'-DMODEL_HEADER="{prefix}.h"', f"-DMODEL_PREFIX={prefix}", f"-DMODEL_MACRO={macro}"),
                *(f"-DINPUT_BYTES={_listed(inputs)}", f"-DOUTPUT_BYTES={_listed(outputs)}"),
                *("-include", str(emulator / "count_step.h"), f"-D{macro}_AFTER_STEP=count_step"),
                *("-I.", *(name for name in files if name.endswith(".c")), str(emulator / "run_model.c")),
                *("-T", str(emulator / target.script), "-o", "program.elf"),
            ],
            folder,
        )
        cortex_m.call([*cortex_m.emulator(target), "-kernel", "program.elf"], folder)
        return _counted((folder / "output.bin").read_bytes(), outputs, steps, len(samples))


def _listed(ports: Sequence[PortBytes]) -> str:
    return ",".join(str(port.nbytes) for port in ports)


def _counted(content: bytes, outputs: Sequence[PortBytes], steps: int, samples: int) -> Counted:
    row_bytes = sum(port.nbytes for port in outputs)
    if len(content) != row_bytes * samples + _COUNT_BYTES * steps:
        raise ExecutionError(f"the emulated program wrote {len(content):,} bytes, which is not what was asked for.")
    rows = []
    for number in range(samples):
        arrays, at = [], number * row_bytes
        for port in outputs:
            arrays.append(np.frombuffer(content[at : at + port.nbytes], port.dtype).reshape(port.shape))
            at += port.nbytes
        rows.append(tuple(arrays))
    return Counted(rows, np.frombuffer(content[row_bytes * samples :], "<u4").astype(int).tolist())
