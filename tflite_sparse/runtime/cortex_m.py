"""Cortex-M CPUs in ``qemu-system-arm``: the sparse kernels compiled, run, and their instructions counted.

Needs the Debian packages ``gcc-arm-none-eabi`` and ``qemu-system-arm``. Instructions are not cycles: loads, branches
and multiplications take more than one on most of these CPUs.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.base import scratch
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import kernel_cases
from tflite_sparse.runtime.kernel_cases import KernelCase, KernelResult

SOURCES = Path(__file__).resolve().parent.parent / "micro_kernels"
"""Where the C files lie."""

KERNELS = SOURCES / "tflite_sparse_kernels.c"
"""The file of the kernels."""

COMPILER = "arm-none-eabi-gcc"
_CXX_COMPILER, _EMULATOR = "arm-none-eabi-g++", "qemu-system-arm"
_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_CURE = "apt-get install gcc-arm-none-eabi qemu-system-arm"
MISSING = f"compiler and emulator are not installed ({_CURE})"
"""Where :func:`is_available` does not hold."""

SECONDS = 120
"""That a call of compiler or emulator may take."""

_CASE_BYTES, _OUTPUT_BYTES, _SCRATCH_BYTES = 2 * 2**20, 2**20, 2**19


@dataclass(frozen=True, slots=True)
class Cpu:
    """A CPU in the emulator.

    Attributes:
        name: as ``-mcpu`` takes it.
        machine: the board that runs its code.
        script: of the linker.
        ticks: (numerator, denominator): instructions for a tick of SysTick, with 64 ns an instruction.
        flags: further flags of the compiler.
    """

    name: str
    machine: str
    script: str
    ticks: tuple[int, int]
    flags: tuple[str, ...] = ()

    @property
    def tick_flags(self) -> tuple[str, str]:
        """The flags of the compiler from which ``board.h`` knows the ticks."""
        return f"-DTICKS_NUMERATOR={self.ticks[0]}u", f"-DTICKS_DENOMINATOR={self.ticks[1]}u"


_MPS2, _MPS3 = (5, 8), (125, 256)
CPUS = {
    cpu.name: cpu
    for cpu in (
        Cpu("cortex-m0", "mps2-an385", "mps2.ld", _MPS2),  # its code runs on a Cortex-M3
        Cpu("cortex-m3", "mps2-an385", "mps2.ld", _MPS2),
        Cpu("cortex-m4", "mps2-an386", "mps2.ld", _MPS2),
        Cpu("cortex-m7", "mps2-an500", "mps2.ld", _MPS2),
        Cpu("cortex-m33", "mps3-an547", "mps3.ld", _MPS3),  # on a Cortex-M55
        Cpu("cortex-m55", "mps3-an547", "mps3.ld", _MPS3, ("-mfloat-abi=hard",)),
    )
}


def is_available() -> bool:
    """Whether compiler and emulator are installed."""
    return shutil.which(COMPILER) is not None and shutil.which(_EMULATOR) is not None


def has_compiler() -> bool:
    """Whether the compiler is installed."""
    return shutil.which(COMPILER) is not None


def run(cpu: str, cases: Sequence[KernelCase], kernels: Path = KERNELS) -> list[KernelResult]:
    """Run operators on an emulated CPU.

    Args:
        cpu: a name of :data:`CPUS`.
        cases: the operators.
        kernels: the C file that defines the functions of ``tflite_sparse_kernels.h``.

    Raises:
        ExecutionError: compiler or emulator are not installed, or failed.
    """
    with scratch.folder() as folder:
        content = kernel_cases.to_bytes(cases)
        if len(content) > _CASE_BYTES:
            raise ExecutionError(f"the cases take {len(content):,} bytes; the emulated board holds {_CASE_BYTES:,}.")
        (folder / "cases.bin").write_bytes(content)
        (folder / "program.elf").write_bytes(_program(cpu, kernels))
        call([*emulator(CPUS[cpu]), "-kernel", "program.elf"], folder)
        return kernel_cases.results((folder / "results.bin").read_bytes(), cases)


def code_bytes(cpu: str, kernels: int) -> int:
    """Bytes of flash that kernels and the operator around them take, compiled with ``-O2``.

    Args:
        cpu: a name of :data:`CPUS`.
        kernels: which of them: a bit for each number of :class:`tflite_sparse.codecs.streams.kernels.Kernel`.

    Raises:
        ExecutionError: the compilers are not installed, or failed.
    """
    with scratch.folder() as folder:
        target = CPUS[cpu]
        shared_flags = [*_WARNINGS, *_cpu_flags(target), "-O2", "-c"]
        kernel_flags = ["-std=c99", f"-DTFLITE_SPARSE_KERNELS={kernels:#x}"]
        call([COMPILER, *kernel_flags, *shared_flags, str(KERNELS), "-o", "kernels.o"], folder)
        adapter_flags = ["-std=c++11", "-fno-exceptions", "-fno-rtti", f"-I{SOURCES}", f"-I{SOURCES / 'wheel'}"]
        adapter = str(SOURCES / "tflite_sparse_ops.cc")
        call([_CXX_COMPILER, *adapter_flags, *shared_flags, adapter, "-o", "operator.o"], folder)
        lines = call(["arm-none-eabi-size", "kernels.o", "operator.o"], folder).splitlines()[1:]
        return sum(int(size) for line in lines for size in line.split()[:2])


@functools.cache
def _program(cpu: str, kernels: Path) -> bytes:
    target = CPUS[cpu]
    with scratch.folder() as work:
        call(
            [
                *(COMPILER, *flags(target), "-O2", "-ffreestanding", "-nostartfiles"),
                *target.tick_flags,
                f"-DCASE_BYTES={_CASE_BYTES}u",
                f"-DOUTPUT_BYTES={_OUTPUT_BYTES}u",
                f"-DSCRATCH_BYTES={_SCRATCH_BYTES}u",
                f"-I{SOURCES}",
                str(kernels),
                str(SOURCES / "emulator" / "bare_metal.c"),
                *("-T", str(SOURCES / "emulator" / target.script), "-o", "program.elf"),
            ],
            work,
        )
        return (work / "program.elf").read_bytes()


def flags(cpu: Cpu) -> list[str]:
    """What the C compiler is told of a CPU, and of what C may be."""
    return ["-std=c99", *_WARNINGS, *_cpu_flags(cpu)]


def _cpu_flags(cpu: Cpu) -> list[str]:
    return ["-mthumb", f"-mcpu={cpu.name}", *cpu.flags]


def emulator(cpu: Cpu) -> list[str]:
    """The command of the emulator of a CPU, without the program."""
    return [
        *(_EMULATOR, "-M", cpu.machine, "-nographic", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native", "-icount", "shift=6"),
    ]


def call(command: Sequence[str], folder: Path) -> str:
    """What a tool prints.

    Raises:
        ExecutionError: it is not installed, failed, or took too long.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise ExecutionError(f"{command[0]} is not installed: {_CURE}.") from error
    except subprocess.TimeoutExpired as error:
        raise ExecutionError(f"{command[0]} did not end within {SECONDS} s.") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:300] or "it printed nothing"
        raise ExecutionError(f"{command[0]} failed with status {done.returncode}: {said}.")
    return done.stdout
