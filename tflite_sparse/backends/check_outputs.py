"""Whether a file that ``encode`` or ``decode`` wrote computes what it was made from, before it gets its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.flatbuffer.graph import custom_operators, dtype_of, graphs, indices
from tflite_sparse.planning import decoder, fastest
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.sources import arrays
from tflite_sparse.verification import engine, probes
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.runtimes import Nowhere
from tflite_sparse.verification.samples import MadeUp, Real, Samples

if TYPE_CHECKING:  # not imported by every command on files
    from tflite_sparse.settings import ExportSettings, WrittenFileSettings


def of_encoded(
    encoded: Path, reference: Path, settings: WrittenFileSettings, share_of_range: float, timed: Timed
) -> VerificationReport:
    """Compare an encoded file in each of LiteRT's runtimes that runs the one that it was made from.

    Args:
        encoded: the new file.
        reference: what it was made from, dense if the default interpreter refuses that.
        settings: of the comparison.
        share_of_range: by how much outputs may differ.
        timed: receives stages and notes.

    Raises:
        ExecutionError: outputs cannot be compared, for a reason that is not the file's own operators or inputs, and
            ``settings`` do not ask for the file all the same.
    """
    try:
        return _in_litert(encoded, reference, settings, share_of_range, timed)
    except ExecutionError as error:
        return _weights_only(encoded, reference, settings, error, timed)


def of_decoded(
    dense: Path, source: Path, former: decoder.Former, settings: WrittenFileSettings, timed: Timed
) -> VerificationReport:
    """Compare a decoded file with its source, in each of the runtimes that run the latter.

    Native sparse kernels round in their own way: where ``source`` has some, outputs may differ by
    :data:`tflite_sparse.planning.fastest.ALLOWED_SHARE_OF_RANGE`.

    Args:
        dense: the new file.
        source: what it was made from.
        former: what was sparse in it.
        settings: of the comparison.
        timed: receives stages and notes.

    Raises:
        ExecutionError: as :func:`of_encoded`.
    """
    share_of_range = fastest.ALLOWED_SHARE_OF_RANGE if former.native else 0.0
    try:
        if former.is_for_micro:
            return _in_micro(dense, source, settings, timed)
        return _in_litert(dense, source, settings, share_of_range, timed)
    except ExecutionError as error:
        return _weights_only(dense, source, settings, error, timed)


def samples_for(dense: Path, x: arrays.Arrays | None, settings: ExportSettings) -> Samples:
    """Return what the files of an export are compared on: test samples, or random ones without any.

    Args:
        dense: one of the files.
        x: test samples of its inputs.
        settings: of the export.
    """
    count, seed = settings.verification_samples, settings.seed
    if x is None:
        return MadeUp(count - probes.BOUNDARIES, seed)
    return Real(arrays.ordered(x, signature.names_of(dense).inputs), count, seed)


def _in_litert(
    file: Path, reference: Path, settings: WrittenFileSettings, share_of_range: float, timed: Timed
) -> VerificationReport:
    """In each of LiteRT's runtimes that runs ``reference``; one must."""
    found = engine.verify(
        file,
        reference,
        LiteRTRuntimes(runtime.ALL_KERNELS, input_shapes=settings.input_shapes, default_must_run=False),
        MadeUp(settings.verification_samples, settings.seed),
        tolerance=Tolerance(share_of_range=share_of_range),
        progress=timed,
    )
    reasons = [check.unavailable for check in found.runtimes if check.unavailable is not None]
    if len(reasons) == len(found.runtimes):
        raise ExecutionError(reasons[0])
    return found


def _in_micro(dense: Path, source: Path, settings: WrittenFileSettings, timed: Timed) -> VerificationReport:
    """In TensorFlow Lite Micro, the runtime of ``source``; which of the two is compared with which does not matter."""
    from tflite_sparse.backends.in_micro import MicroRuntimes

    samples = MadeUp(settings.verification_samples, settings.seed)
    found = engine.verify(source, dense, MicroRuntimes(), samples, progress=timed)
    return found.model_copy(update={"file": str(dense), "against": str(source)})


def _weights_only(
    file: Path, reference: Path, settings: WrittenFileSettings, error: ExecutionError, timed: Timed
) -> VerificationReport:
    if not settings.unverified and not _is_beyond_runtimes(reference):
        raise ExecutionError(
            f"outputs cannot be compared, so that nothing was written: {str(error).rstrip('.')}.\n"
            "To have the file all the same, say `unverified=True`."
        ) from error
    return engine.verify(file, reference, Nowhere(str(error)), MadeUp(0), progress=timed)


def _is_beyond_runtimes(path: Path) -> bool:
    """Whether a file has operators of its own, or inputs that no values can be made up for: nothing here runs it."""
    model = serde.read(path)
    if custom_operators(model):
        return True
    graph = next(graphs(model))
    return any(dtype_of(graph.tensor(index)) is None for index in indices(graph.subgraph.inputs))
