"""``verify``: whether one ``.tflite`` file computes what another does, in the runtime that it is for."""

from __future__ import annotations

import os
from pathlib import Path

from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import SettingsError
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.target_registry import DEFAULT_TARGET, RunnableTarget, homes_of, listed, names_where
from tflite_sparse.verification import engine
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.samples import MadeUp


def verify(
    file: str | os.PathLike[str],
    against: str | os.PathLike[str],
    *,
    target: RunnableTarget = DEFAULT_TARGET,
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
    _check(target, [name for name, is_changed in changed.items() if is_changed])
    return engine.verify(
        Path(file),
        Path(against),
        backend(target).runtimes(threads, input_shapes),
        MadeUp(samples, seed),
        tolerance=Tolerance(steps=tolerance),
        progress=progress,
    )


def _check(target: str, changed: list[str]) -> None:
    """Refuse what the target does not have.

    Raises:
        SettingsError: no runtime of the target is known, or one of the settings does not apply to it.
    """
    known = names_where(lambda traits: traits.runs_here)
    if target not in known:
        raise SettingsError(f"target: {target!r} is none that verify knows: {', '.join(known)}.")
    wrong = [name for name in changed if target not in homes_of(name)]
    if wrong:
        homes = names_where(lambda traits: traits.options.issuperset(wrong))
        raise SettingsError(
            f"{', '.join(wrong)}: settings that apply to the target {listed(homes)}, not to {target}. Leave them out."
        )
