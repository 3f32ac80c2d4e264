"""The biases of an int8 file, corrected for what pruning and quantisation did to its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.measurement import mean_shift
from tflite_sparse.rewrites import bias_correction
from tflite_sparse.runtime import litert
from tflite_sparse.sources import arrays
from tflite_sparse.sources.arrays import Arrays

_SHARES = (1.0, 0.75, 0.5, 0.25)
_COMPARED_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Correction:
    """What was done.

    Attributes:
        layers: how many have another bias now.
        share: of the shifts of their mean outputs that was taken off; 0 if the file was better as it was.
    """

    layers: int
    share: float


def correct(path: Path, reference: Path, samples: Arrays, *, on_step: Step) -> Correction:
    """Take the shifts of :mod:`tflite_sparse.measurement.mean_shift` off the biases of the file at ``path``.

    With many zeros the outputs of a layer spread less than they did: about their old mean fewer pass a ReLU. So all of
    the shift may be too much, and that share of it is taken whose outputs are nearest to the reference's on samples.

    Args:
        path: a dense file with int8 weights.
        reference: the float32 file with the weights as they should be.
        samples: to calibrate with, ``(n, ...)``; up to 64 of them tell which share is best.
        on_step: told (samples done, samples in all) of the first part.

    Raises:
        ExecutionError: LiteRT refuses a file.
        FlatbufferError: a file cannot be read.
    """
    names = signature.names_of(reference).inputs
    shifts = mean_shift.measure(reference, path, arrays.ordered(samples, names), on_step=on_step)
    compared = arrays.ordered(arrays.spread(samples, _COMPARED_SAMPLES), names)
    wanted = _outputs(reference, compared)
    best, least = Correction(0, 0.0), _distance(_outputs(path, compared), wanted)
    trial, kept = (path.with_name(f"{path.name}.{kind}") for kind in ("trial", "corrected"))
    for share in _SHARES:
        model = serde.read(path)
        layers = bias_correction.apply(next(graphs(model)), {index: share * shift for index, shift in shifts.items()})
        serde.write(model, trial)
        distance = _distance(_outputs(trial, compared), wanted)
        if distance < least:
            best, least = Correction(layers, share), distance
            trial.replace(kept)
    if best.layers:
        kept.replace(path)
    return best


def _outputs(path: Path, samples: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    outputs = litert.run(path, samples)
    return [outputs.real(index).astype(np.float64) for index in range(len(outputs.arrays))]


def _distance(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """Mean squared difference over the variance, added up over outputs; of constant outputs over 1."""
    return sum(float(np.mean((a - b) ** 2)) / (float(np.var(b)) or 1.0) for a, b in zip(found, wanted, strict=True))
