"""``verify``: whether one ``.tflite`` file computes what another does, in the runtime that it is for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tflite_sparse.backends import in_micro
from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import SettingsError
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.verification import engine
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.runtimes import Runtimes
from tflite_sparse.verification.samples import MadeUp

Target = Literal["litert", "micro"]


@dataclass(frozen=True, slots=True)
class _Verifiable:
    """A target whose runtime files are compared in.

    Attributes:
        runtimes: makes them, of the number of threads and the shapes of inputs.
        settings: which of those that not every target has it takes.
    """

    runtimes: Callable[[int, Shapes | None], Runtimes]
    settings: frozenset[str] = frozenset()


def verify(
    file: str | os.PathLike[str],
    against: str | os.PathLike[str],
    *,
    target: Target = "litert",
    samples: int = 16,
    seed: int = 0,
    threads: int = 1,
    tolerance: float = 0.0,
    input_shapes: Shapes | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Compare the weights of two files bit for bit, then their outputs in every form of a runtime.

    In LiteRT that is every signature in the default interpreter, its built-in and reference kernels and CompiledModel;
    in TensorFlow Lite Micro the first graph, with each memory for decoded weights. Where outputs differ, the first
    tensor that does is looked for. ``against`` is also compared with itself in one runtime beside another.

    Args:
        file: the file in question.
        against: the file that says how it must be; LiteRT's default interpreter, or TensorFlow Lite Micro, must run it.
        target: ``"litert"``, or ``"micro"`` for TensorFlow Lite Micro.
        samples: how many random inputs are run, after three at the boundaries (all smallest, all largest, all zero).
        seed: of the random inputs.
        threads: of LiteRT's interpreters; on several, float sums may differ in the last bit. Not for micro.
        tolerance: by how much outputs may differ, in units of their dtype (steps of an int8 output). Not for micro.
        input_shapes: whole shapes, batch included, of inputs with open sizes, by name; sizes that run are looked for
            where they are not given. Not for micro, which plans its memory from sizes that are known.
        progress: receives stages and notes.

    Returns:
        The report. ``report.passed`` says whether the files are the same in every runtime that runs ``against``.

    Raises:
        SettingsError: a number is out of range, a shape does not fit, or a setting does not apply to the target.
        FlatbufferError: a file cannot be read.
        ExecutionError: the runtime refuses ``against`` or is not installed, or an input takes no numbers; for micro
            also: the shapes that a file announces are not true, so that the runtime would compute garbage.
        InputShapeError: no size of an open input of ``against`` was found that runs.
    """
    if samples < 0 or threads < 1 or not tolerance >= 0:
        raise SettingsError("samples must be 0 or more, threads 1 or more and the tolerance 0 or more.")
    changed = {"threads": threads != 1, "tolerance": tolerance != 0, "input_shapes": bool(input_shapes)}
    found = _of(target, [name for name, is_changed in changed.items() if is_changed])
    return engine.verify(
        Path(file),
        Path(against),
        found.runtimes(threads, input_shapes),
        MadeUp(samples, seed),
        tolerance=Tolerance(steps=tolerance),
        progress=progress,
    )


def _of(target: str, settings: list[str]) -> _Verifiable:
    """The target of a name.

    Raises:
        SettingsError: there is none, or one of the settings does not apply to it.
    """
    if target not in _TARGETS:
        raise SettingsError(f"target must be one of {', '.join(_TARGETS)}, not {target!r}.")
    found = _TARGETS[target]
    wrong = [name for name in settings if name not in found.settings]
    if wrong:
        others = ", ".join(name for name, other in _TARGETS.items() if wrong[0] in other.settings)
        raise SettingsError(f"{wrong[0]} applies to the target {others}, not to {target}: leave it out.")
    return found


def _litert(threads: int, shapes: Shapes | None) -> Runtimes:
    return LiteRTRuntimes(threads=threads, input_shapes=shapes)


def _micro(threads: int, shapes: Shapes | None) -> Runtimes:
    del threads, shapes
    in_micro.check_available()
    return in_micro.MicroRuntimes()


_TARGETS = {
    "litert": _Verifiable(_litert, frozenset({"threads", "tolerance", "input_shapes"})),
    "micro": _Verifiable(_micro),
}
