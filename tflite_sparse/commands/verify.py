"""``verify``: whether one ``.tflite`` file computes what another does, in the runtime that it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typing_extensions import Unpack

from tflite_sparse.backends.channel_comparison import MOST_ATTEMPTS, Comparison, concerned, joined
from tflite_sparse.backends.registry import backend
from tflite_sparse.base import scratch
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import decoder
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.rewrites.dead_channels.cut import Cut, Staying
from tflite_sparse.settings import AnyPath, VerifyOptions, VerifySettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.verification import engine
from tflite_sparse.verification.engine import EXACT, IN_ANOTHER_ORDER
from tflite_sparse.verification.samples import MadeUp

_MOST_BY_SHAPES = 16  # cuts of one file: the largest take a second each


@takes(VerifySettings, VerifyOptions)
def verify(
    file: AnyPath, against: AnyPath, *, progress: Progress | None = None, **settings: Unpack[VerifyOptions]
) -> VerificationReport:
    """Compare the weights of two files bit for bit, then their outputs in every form of a runtime.

    In LiteRT that is every signature in the default interpreter, its built-in and reference kernels and CompiledModel;
    in TensorFlow Lite Micro the first graph, with each memory for decoded weights. Where outputs differ, the first
    tensor that does is looked for. ``against`` is also compared with itself in one runtime beside another.

    A ``file`` without the dead channels of ``against`` holds parts of its weights. These are compared at their places,
    and what ``against`` computes in the channels that are gone must be the constants that they were taken for. float32
    kernels sum in another order without them: outputs may differ by 1e-5 of their range.

    Args:
        file: the file in question.
        against: the file that says how it must be; LiteRT's default interpreter, or TensorFlow Lite Micro, must run it.
        progress: receives stages and notes.
        **settings: see below.

    Returns:
        The report. ``report.passed`` says whether the files are the same in every runtime that runs ``against``.

    Raises:
        SettingsError: a setting is unknown or out of range, does not apply to the target, or a shape does not fit.
        FlatbufferError: a file cannot be read.
        ExecutionError: the runtime refuses ``against`` or is not installed, or an input takes no numbers; for micro
            also: the shapes that a file announces are not true, so that the runtime would compute garbage.
        InputShapeError: no size of an open input of ``against`` was found that runs.
    """
    checked = VerifySettings(**settings)
    progress = chosen(progress)
    samples = MadeUp(checked.samples, checked.seed)
    with scratch.folder() as folder:
        comparison = Comparison(checked.target, samples, checked.input_shapes, folder, progress)
        cut = _cut(Path(file), Path(against), comparison)
    return engine.verify(
        Path(file),
        Path(against),
        backend(checked.target).runtimes(checked.threads, checked.input_shapes),
        samples,
        tolerance=replace(EXACT if cut is None or cut.is_exact else IN_ANOTHER_ORDER, steps=checked.tolerance),
        cut=cut,
        progress=progress,
    )


def _cut(file: Path, against: Path, comparison: Comparison) -> Cut | None:
    """What ``file`` does not have of ``against``, if it has the shapes of that file without its dead channels.

    Channels that ``encode`` or ``export`` left in because a comparison failed are found by the same comparison or, as
    an export compares on its own data, by the shapes of ``file``.
    """
    try:
        smaller, whole = serde.read(file), serde.read(against)
    except FlatbufferError:
        return None  # the comparison reads them again and says what is wrong
    decoder.decode_model(smaller)
    decoder.decode_model(whole)
    dense, trimmed = comparison.folder / "with.tflite", comparison.folder / "without.tflite"
    serde.write(whole, dense)
    found = _by_comparison(smaller, whole, comparison, dense, trimmed)
    return _by_shapes(smaller, whole, dense) if found is None else found


def _by_comparison(smaller: Model, whole: Model, comparison: Comparison, dense: Path, trimmed: Path) -> Cut | None:
    """Compare as ``encode`` does; ``trimmed`` is where a file without channels may lie."""
    staying: Staying = {}
    for _ in range(MOST_ATTEMPTS):
        model = serde.read(dense)
        cut = removal.remove(model, staying)
        if removal.is_without(smaller, cut):
            return cut
        if not removal.may_be_without_some(smaller, whole, cut):
            return None
        serde.write(model, trimmed)
        try:
            more = concerned(comparison.run(dense, trimmed, cut), whole, cut)
        except ExecutionError:
            return None  # the comparison says what is wrong
        if not more:
            return None
        staying = joined(staying, more)
    return None


def _by_shapes(smaller: Model, whole: Model, dense: Path) -> Cut | None:
    """Leave in what has more channels in the smaller model; the comparison of weights says whether that holds."""
    staying: Staying = {}
    for _ in range(_MOST_BY_SHAPES):
        cut = removal.remove(serde.read(dense), staying)
        if removal.is_without(smaller, cut):
            return cut
        more = removal.left_in(smaller, whole, cut, staying)
        if not more or not removal.may_be_without_some(smaller, whole, cut):
            return None
        staying = joined(staying, more)
    return None
