"""Generated C, compiled with the C compiler of this machine and run in a child process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tflite_sparse.errors import ExecutionError

NAME = "C on this machine"
COMPILERS = ("cc", "gcc", "clang")
MISSING = f"no C compiler ({', '.join(COMPILERS)}) is installed here: apt-get install gcc"

_RUNNER = Path(__file__).resolve().parent.parent / "micro_kernels" / "host" / "run_model.c"
_FLAGS = ("-std=c99", "-O2")
_COMPILE_SECONDS = 300
_OTHER_STATUSES = {2: "was called wrongly", 3: "got a sample that ends early", 4: "refused its arena"}


@dataclass(frozen=True, slots=True)
class PortBytes:
    """An input or output in a program's standard streams."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Of one sample."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


Ports: TypeAlias = tuple[tuple[PortBytes, ...], tuple[PortBytes, ...]]
"""Inputs and outputs."""


@dataclass(frozen=True, slots=True)
class HostProgram:
    """A compiled model.

    Attributes:
        path: of the program.
        inputs: in order.
        outputs: in order.
    """

    path: Path
    inputs: tuple[PortBytes, ...]
    outputs: tuple[PortBytes, ...]

    def run(
        self, samples: Sequence[Sequence[np.ndarray]], seconds_per_sample: int = 60
    ) -> list[tuple[np.ndarray, ...]]:
        """The outputs of each sample.

        Args:
            samples: each has one array per input, of its shape and dtype.
            seconds_per_sample: time limit.

        Raises:
            ExecutionError: the samples do not fit, or the program failed or took too long.
        """
        content = b"".join(
            self._checked(array, port) for sample in samples for array, port in zip(sample, self.inputs, strict=True)
        )
        arguments = [str(part) for ports in (self.inputs, self.outputs) for part in (len(ports), *_sizes(ports))]
        found = _call(
            [str(self.path), *arguments], self.path.parent, seconds_per_sample * max(len(samples), 1), content
        )
        wanted = sum(_sizes(self.outputs)) * len(samples)
        if len(found) != wanted:
            raise ExecutionError(f"{NAME}: the program wrote {len(found):,} bytes instead of {wanted:,}.")
        return [self._outputs(found, number) for number in range(len(samples))]

    def _checked(self, array: np.ndarray, port: PortBytes) -> bytes:
        if array.shape != port.shape or array.dtype != port.dtype:
            raise ExecutionError(f"{NAME}: an input takes {port.dtype} {port.shape}, not {array.dtype} {array.shape}.")
        return np.ascontiguousarray(array).tobytes()

    def _outputs(self, content: bytes, number: int) -> tuple[np.ndarray, ...]:
        at = number * sum(_sizes(self.outputs))
        arrays = []
        for port in self.outputs:
            arrays.append(np.frombuffer(content[at : at + port.nbytes], port.dtype).reshape(port.shape))
            at += port.nbytes
        return tuple(arrays)


def compiler() -> str | None:
    """The C compiler of this machine; None: there is none."""
    return next((found for found in map(shutil.which, COMPILERS) if found), None)


def compiled(
    folder: Path,
    c_files: Sequence[str],
    prefix: str,
    ports: Ports,
    flags: Sequence[str] = (),
) -> HostProgram:
    """Compile the C files of a model in a folder.

    Args:
        folder: that has them; the program is written there.
        c_files: their names.
        prefix: of the model's functions and header.
        ports: of the model.
        flags: further flags of the compiler.

    Raises:
        ExecutionError: there is no compiler, or it failed.
    """
    found = compiler()
    if found is None:
        raise ExecutionError(f"{MISSING}.")
    names = [f'-DMODEL_HEADER="{prefix}.h"', f"-DMODEL_PREFIX={prefix}"]
    _call([found, *_FLAGS, *flags, *names, "-I.", *c_files, str(_RUNNER), "-o", "model"], folder, _COMPILE_SECONDS)
    return HostProgram(folder / "model", *ports)


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files of these names into a folder."""
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _sizes(ports: Sequence[PortBytes]) -> list[int]:
    return [port.nbytes for port in ports]


def _call(command: Sequence[str], folder: Path, seconds: int, content: bytes = b"") -> bytes:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, cwd=folder, input=content, capture_output=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ExecutionError(f"{NAME}: {name} took more than {seconds} s and was stopped.") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        how = _OTHER_STATUSES.get(done.returncode, f"ended with status {done.returncode}")
        raise ExecutionError(f"{NAME}: {name} {how}. {said}".rstrip())
    return done.stdout
