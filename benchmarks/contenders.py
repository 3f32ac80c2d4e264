"""Make four files of one model, with the time of each, and check whether ours is exact."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import children
from tflite_sparse.conversion import convert
from tflite_sparse.conversion.traces import Recurrent
from tflite_sparse.errors import ExecutionError, VerificationError
from tflite_sparse.planning import encoder
from tflite_sparse.runtime import litert
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.targets import litert as target
from tflite_sparse.verification import engine, probes
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.samples import MadeUp
from tflite_sparse.verification.weights import check_weights

DENSE_FLOAT32 = "dense float32"
DENSE_INT8 = "dense int8"
TENSORFLOW = "TensorFlow sparse int8"
OURS = "tflite-sparse int8"

_ENCODINGS = 3
_RANDOM = 5
_PROBES = _RANDOM + probes.BOUNDARIES
_SEED = 1


@dataclass(frozen=True, slots=True)
class Contender:
    """One file.

    Attributes:
        label: which of the four.
        path: of the file.
        conversion_seconds: from the Keras model to a ``.tflite``, including the start of the converter's process.
        encoding_seconds: of :func:`tflite_sparse.planning.encoder.encode_file`; None if there is none.
        verification_seconds: of :func:`tflite_sparse.verification.weights.check_weights`.
    """

    label: str
    path: Path
    conversion_seconds: float
    encoding_seconds: float | None = None
    verification_seconds: float | None = None

    @property
    def added_seconds(self) -> float | None:
        """Encoding and verification together."""
        if self.encoding_seconds is None or self.verification_seconds is None:
            return None
        return self.encoding_seconds + self.verification_seconds


@dataclass(frozen=True, slots=True)
class Exactness:
    """The comparison of our file with dense int8.

    Attributes:
        probes: number of inputs.
        compared: runtimes whose outputs were compared.
        skipped: runtimes that do not run dense int8 correctly.
        differences: in words; must be empty.
    """

    probes: int
    compared: tuple[str, ...]
    skipped: tuple[str, ...]
    differences: tuple[str, ...]


def convert_float32(source: SourceModel, folder: Path) -> Contender:
    """Make the dense float32 file as an export does."""
    path = folder / "dense-float32.tflite"
    seconds, content = _timed(lambda: convert.to_float32(source))
    path.write_bytes(content)
    return Contender(DENSE_FLOAT32, path, seconds)


def convert_int8(source: SourceModel, samples: np.ndarray, folder: Path, recurrent: Recurrent = "auto") -> Contender:
    """Make the dense int8 file as an export does."""
    path = folder / "dense-int8.tflite"
    seconds, content = _timed(lambda: convert.to_int8(source, samples, "int8", recurrent=recurrent))
    path.write_bytes(content)
    return Contender(DENSE_INT8, path, seconds)


def convert_tensorflow_sparse(source: SourceModel, samples: np.ndarray, folder: Path) -> Contender:
    """Make the file that TensorFlow's converter writes with ``EXPERIMENTAL_SPARSITY``.

    Raises:
        ChildError: it refused the model or crashed.
    """
    path = folder / "tensorflow-sparse.tflite"

    def converted() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            model, batch = Path(name) / "model", Path(name) / "samples.npy"
            source.save_for_conversion(model)
            np.save(batch, samples)
            children.call("convert_with_sparsity", folder=str(model), samples=str(batch), destination=str(path))

    return Contender(TENSORFLOW, path, _timed(converted)[0])


def encode(dense: Contender, folder: Path) -> Contender:
    """Make our file; the times are medians of a few runs. :func:`compare` tells whether it is exact."""
    path = folder / "tflite-sparse.tflite"
    return Contender(
        OURS,
        path,
        dense.conversion_seconds,
        _median_seconds(lambda: encoder.encode_file(dense.path, path, target.answer)),
        _median_seconds(lambda: _weight_difference(path, dense.path)),
    )


def compare(ours: Contender, dense: Contender) -> Exactness:
    """Check weights and, in every runtime, outputs bit for bit."""
    usable = [kernels for kernels in litert.ALL_KERNELS if kernels != "compiled_model" or _compiles(dense)]
    runtimes = LiteRTRuntimes(tuple(usable), at_once=litert.BATCH, across=False)
    differences = engine.verify(ours.path, dense.path, runtimes, MadeUp(_RANDOM, _SEED)).failures
    names = tuple(litert.NAMES[kernels] for kernels in usable)
    skipped = tuple(litert.NAMES[kernels] for kernels in litert.ALL_KERNELS if kernels not in usable)
    return Exactness(_PROBES, names, skipped, tuple(differences))


def _compiles(dense: Contender) -> bool:
    """Return whether CompiledModel yields the outputs of a dense file.

    In LiteRT 2.3.0 it does not if the last operator is a RESHAPE to a computed shape (MobileNet without softmax): the
    output buffer is unchanged, and the second run fails with "Failed to set custom allocation for output".
    """
    samples = probes.samples_for(litert.inputs(dense.path), _RANDOM, _SEED, file=str(dense.path))
    columns = [np.concatenate(column) for column in zip(*samples, strict=True)]
    try:
        compiled = litert.run(dense.path, columns, "compiled_model")
    except ExecutionError:
        return False
    interpreted = litert.run(dense.path, columns, "default")
    return all(np.array_equal(a, b) for a, b in zip(compiled.arrays, interpreted.arrays, strict=True))


def _weight_difference(sparse: Path, dense: Path) -> str | None:
    try:
        check_weights(sparse, dense)
    except VerificationError as error:
        return str(error).replace(f"{sparse.parent}/", "")
    return None


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def _median_seconds(action: Callable[[], Any]) -> float:
    return statistics.median(_timed(action)[0] for _ in range(_ENCODINGS))
