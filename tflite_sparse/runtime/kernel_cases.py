"""Operators with sparse weights as files that the C programs around the kernels run; see ``emulator/run_cases.h``."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.errors import ExecutionError

_CASE = struct.Struct("<8I8i")
_RESULT = struct.Struct("<4I")
_ALIGNMENT = 16
_RANK = 4
_STATUSES = ("ok", "options", "kernel", "shape", "parameters", "stream")


@dataclass(frozen=True, eq=False, slots=True)
class KernelCase:
    """One operator and its input.

    Attributes:
        options: uint8, its custom options.
        stream: uint8, its weights.
        parameters: uint8.
        input: int8, (batch, height, width, channels), or of any rank up to 4 for FULLY_CONNECTED.
        output_shape: of its output.
    """

    options: np.ndarray
    stream: np.ndarray
    parameters: np.ndarray
    input: np.ndarray
    output_shape: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class KernelResult:
    """What came out.

    Attributes:
        status: ``"ok"``, or the part of the operator that was refused.
        instructions: executed by the kernel; 0 where they are not counted.
        scratch_bytes: memory that the kernel used.
        output: int8 of the output's shape; None where the operator was refused.
    """

    status: str
    instructions: int
    scratch_bytes: int
    output: np.ndarray | None


def to_bytes(cases: Sequence[KernelCase]) -> bytes:
    """The file of these cases."""
    return b"".join(map(_one_to_bytes, cases))


def results(content: bytes, cases: Sequence[KernelCase]) -> list[KernelResult]:
    """Read the file of results of these cases.

    Raises:
        ExecutionError: it ends early.
    """
    found: list[KernelResult] = []
    at = 0
    for case in cases:
        if at + _RESULT.size > len(content):
            raise ExecutionError(f"the program ended after {len(found)} of {len(cases)} cases.")
        status, instructions, scratch_bytes, nbytes = _RESULT.unpack_from(content, at)
        at += _RESULT.size
        output = np.frombuffer(content[at : at + nbytes], np.int8).reshape(case.output_shape) if status == 0 else None
        at += nbytes
        found.append(KernelResult(_STATUSES[status], instructions, scratch_bytes, output))
    return found


def _one_to_bytes(case: KernelCase) -> bytes:
    sections = [case.options, case.stream, case.parameters, case.input.view(np.uint8)]
    body = b"".join(_padded(section.tobytes()) for section in sections)
    header_bytes = -(-_CASE.size // _ALIGNMENT) * _ALIGNMENT
    header = _CASE.pack(
        header_bytes + len(body),
        *(section.size for section in sections),
        int(np.prod(case.output_shape, dtype=np.int64)),
        *(case.input.ndim, len(case.output_shape)),
        *_four(case.input.shape),
        *_four(case.output_shape),
    )
    return _padded(header) + body


def _four(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, *(0,) * (_RANK - len(shape)))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)
