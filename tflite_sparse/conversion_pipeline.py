"""The dense files of a model: converted, mended where the converter errs, and compared with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.config import ExportSettings
from tflite_sparse.conversion import convert
from tflite_sparse.conversion.float_operators import FloatLayers
from tflite_sparse.evaluation import exactness
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.progress import Timed
from tflite_sparse.rewrites import lstm_cell_clip, weight_only
from tflite_sparse.runtime import litert
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel

_COMPARED_SAMPLES = 8
_ALLOWED_SHARE = 0.01  # of an output's range: float32 kernels add up in other orders


@dataclass(frozen=True, slots=True)
class Converter:
    """Writes dense files as the settings of an export ask for.

    Attributes:
        settings: of the export.
        samples: the training part calibrates, and tells sizes that a model leaves open. None: float32 only.
        progress: who listens.
        float_layers: what stays float32 in files with int8 activations, by the rule that says so.
    """

    settings: ExportSettings
    samples: Dataset | None
    progress: Timed
    float_layers: FloatLayers = field(default_factory=dict)

    def changed(self, changes: Mapping[str, Any]) -> Converter:
        """The same with these settings changed, and with inputs and outputs of the type of the activations unless
        float32 was asked for.
        """
        io = "float32" if self.settings.io == "float32" else None
        return replace(self, settings=self.settings.model_copy(update={**changes, "io": io}))

    def float32(self, source: SourceModel, path: Path, stage: str = "convert dense float32") -> None:
        """The float32 file of a model.

        Raises:
            ConversionError: the converter refused the model or crashed.
        """
        with self.progress.stage(stage):
            like = None if self.samples is None else self.samples.x_train
            _write(path, convert.to_float32(source, recurrent=self.settings.recurrent, like=like))

    def int8(self, source: SourceModel, path: Path, stage: str = "calibrate and convert int8") -> None:
        """The file with int8 weights, and activations as the settings say.

        Raises:
            ConversionError: the converter refused the model or crashed.
            SettingsError: the layers of a rule that are to stay float32 have no operators of their own.
        """
        if self.settings.activations == "float32":
            self.float32(source, path, "convert with int8 weights")
            converted = serde.read(path)
            weight_only.apply(converted)
            serde.write(converted, path)
            return
        with self.progress.stage(stage) as on_step:
            converted = convert.to_int8(
                source,
                self._calibration_samples(),
                self.settings.io_or_default,
                activations=self.settings.activations,
                calibration=self.settings.calibration,
                float_layers=self.float_layers if self.settings.activations == "int8" else {},
                recurrent=self.settings.recurrent,
                on_step=on_step,
            )
            _write(path, converted)

    def differences_from(self, source: SourceModel, path: Path) -> list[str]:
        """Where the float32 file at ``path`` does not compute what its source does: converters have defects.

        Up to 8 test samples are run. Returns one sentence for each output that differs by more than 1 % of its range or
        in shape; none without data.
        """
        if self.samples is None:
            return []
        with self.progress.stage("compare with the source model"):
            names = signature.names_of(path)
            x = arrays.take(self.samples.x_test, slice(0, _COMPARED_SAMPLES))
            outputs = litert.run(path, arrays.ordered(x, names.inputs))
            wanted = source.compute(x)
            return [
                sentence
                for index, name in enumerate(names.outputs)
                if (sentence := _difference(name, outputs.real(index), wanted[name]))
            ]

    def _calibration_samples(self) -> arrays.Arrays:
        assert self.samples is not None  # an export checks that before the work
        held = self.samples.train_samples
        chosen = np.random.default_rng(self.settings.seed).choice(
            held, min(self.settings.calibration_samples, held), replace=False
        )
        return arrays.take(self.samples.x_train, np.sort(chosen))


def _write(path: Path, converted: bytes) -> None:
    path.write_bytes(converted)
    lstm_cell_clip.drop(path)


def _difference(name: str, found: np.ndarray, wanted: np.ndarray) -> str | None:
    if found.shape != wanted.shape:
        return (
            f"conversion: output {name!r} of the float32 file is of shape {found.shape}, the model's of "
            f"{wanted.shape}: a defect of the converter."
        )
    if not np.isfinite(wanted).all():  # told where accuracy is measured
        return None
    distance, span = float(np.max(np.abs(found - wanted), initial=0.0)), exactness.range_of(wanted)
    if distance <= _ALLOWED_SHARE * span:
        return None
    return (
        f"conversion: output {name!r} of the float32 file differs from the model's by up to {distance:g}, of a range "
        f"of {span:g}: a defect of the converter. If the model is recurrent, try the other --recurrent."
    )
