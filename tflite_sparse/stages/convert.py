"""The dense files of a model: converted, mended where the converter errs, and compared with the model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Step, Timed, ignore_steps
from tflite_sparse.conversion import convert, open_sizes, rounded_inputs, step_pairs, traces
from tflite_sparse.conversion.float_operators import FloatLayers
from tflite_sparse.errors import ConversionError, ExecutionError, ModelError, SettingsError
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.rewrites import io_order, lstm_cell_clip, weight_only
from tflite_sparse.runtime import litert, over_time
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.sources.time_step import INPUT, OUTPUT, TimeStep, TimeStepSource
from tflite_sparse.stages import correct_biases
from tflite_sparse.verification import outputs

BASELINE_INT8 = "baseline-int8.tflite"
"""The dense int8 file of a model before it is masked, beside its float32 file."""

PRUNED_FLOAT32 = "pruned-float32.tflite"
"""The float32 file of the pruned model with the operators of its int8 file, beside that."""

_WITHOUT_MASK = (
    "Keep float32 activations (`activations='float32'`), or build the model without its mask, load the weights, and "
    "feed only the steps that count."
)
_COMPARED_SAMPLES = 8
_STEPS_PER_SEQUENCE = 5  # that calibrate, of a model as one time step
_ALLOWED_SHARE = 0.01  # of an output's range: float32 kernels add up in other orders


@dataclass(frozen=True, slots=True)
class Converter:
    """Writes dense files as the settings of an export ask for.

    Attributes:
        settings: of the export.
        samples: the training part calibrates, and tells sizes that a model leaves open. None: float32 only.
        progress: receives stages and notes.
        time_step: where recurrent models are written as one time step: what that is fed with.
        original: the float32 file whose weights the masks of the model were put on, where it was not trained since.
        float_layers: what stays float32 in files with int8 activations, by the rule that says so.
    """

    settings: ExportSettings
    samples: Dataset | None
    progress: Timed
    time_step: TimeStep | None = None
    original: Path | None = None
    float_layers: FloatLayers = field(default_factory=dict)

    def changed(self, changes: Mapping[str, object]) -> Converter:
        """The same with these settings changed. Inputs and outputs are of the type of the activations, unless the
        settings or ``changes`` ask for float32.
        """
        io = "float32" if self.settings.io == "float32" else None
        return replace(self, settings=self.settings.model_copy(update={"io": io, **changes}))

    def in_form_of(self, source: SourceModel) -> Converter:
        """The same, writing one time step where sequences are too long for other forms, or where that was asked for.

        Raises:
            ModelError: one time step was asked for, and the model cannot be written so; or the target plans its memory
                from sizes that neither the model nor the data fix.
        """
        settings = self.settings
        like = None if self.samples is None else self.samples.x_train
        calibrated = settings.int8 and settings.activations != "float32"
        try:
            time_step = traces.as_time_step(source, like, settings.recurrent, calibrated=calibrated)
        except ModelError as error:
            if settings.recurrent == "step":
                raise
            self.progress.note(str(error))  # the other forms remain
            return self
        if time_step is None:
            if calibrated:
                self._tell_unrolled(traces.as_unrolled(source, like, settings.recurrent))
            if settings.plans_memory_ahead:  # what sizes are missing is told before the work
                traces.fixed_shapes(source, like)
            return self
        self.progress.note(f"recurrent layers: one time step, {time_step.words}")
        return replace(self, time_step=time_step)

    def _tell_unrolled(self, found: traces.Unrolled | None) -> None:
        """Say before the work that the int8 file takes sequences of one length, and what they add to it."""
        if found is None:
            return
        words = (
            f"recurrent layers: the int8 file takes sequences of {found.steps} steps and of no other length, and its "
            f"{found.steps} steps take about {found.bytes_of_steps / 1000:.0f} kB besides the weights. --activations "
            "float32 keeps them as loops, of any length; --recurrent step writes one time step"
        )
        if found.is_open:
            self.progress.warn(f"{words}.")
        else:
            self.progress.note(words)

    def float32(self, source: SourceModel, path: Path, stage: str = "convert dense float32") -> None:
        """The float32 file of a model.

        Raises:
            ConversionError: the converter refused the model or crashed.
        """
        self._float32(source, path, stage, as_int8=False)

    def float32_beside_int8(self, source: SourceModel, path: Path) -> None:
        """The float32 file of a model with the operators that :meth:`int8` gives its file.

        Raises:
            ConversionError: the converter refused the model or crashed.
        """
        as_int8 = self.settings.activations != "float32"  # those are made of the float32 file
        self._float32(source, path, "convert pruned float32", as_int8=as_int8)

    def int8(
        self,
        source: SourceModel,
        path: Path,
        stage: str = "calibrate and convert int8",
        *,
        float32: Path | None = None,
    ) -> None:
        """The file with int8 weights, and activations as the settings say.

        Args:
            source: the model.
            path: of the file.
            stage: told to the progress.
            float32: where the float32 file goes that was quantised, if there is one: that of
                :meth:`float32_beside_int8`. None: nowhere.

        Raises:
            ConversionError: the converter refused the model or crashed.
            SettingsError: the layers of a rule that are to stay float32 have no operators of their own.
        """
        if self.settings.activations == "float32":
            self.float32(source, path, "convert with int8 weights")
            if float32 is not None:
                shutil.copyfile(path, float32)
            converted = serde.read(path)
            weight_only.apply(converted)
            serde.write(converted, path)
            return
        self._quantise(source, path, stage, float32=float32)
        converted = serde.read(path)
        inexact = rounded_inputs.rounded(converted)
        if inexact:
            words = "; ".join(f"input {name!r} {reason}" for name, reason in inexact.items())
            if self.settings.io is not None:
                raise SettingsError(f"{words}: it must not be rounded to {self.settings.io}. Leave `io` out.")
            self.progress.note(f"{words}: inputs stay float32")
            self._quantise(source, path, stage, input_io="float32", float32=float32)
            converted = serde.read(path)
        self._check_masks(source, converted, path)
        if self.samples is not None:
            x = self.samples.x_test
            given = x if self.time_step is None else {INPUT: arrays.columns(x)[0]}
            for sentence in rounded_inputs.outside(converted, given):
                self.progress.warn(sentence)
        if self.settings.bias_correction:
            self._correct_biases(source, path)

    def baseline(self, source: SourceModel, path: Path) -> list[str]:
        """The float32 file of a model before it is masked, and the int8 one beside it for targets that compare with it.

        Returns:
            Where the float32 one computes something else, as :meth:`differences_from`.

        Raises:
            ConversionError: the converter refused the model or crashed.
        """
        self.float32(source, path)
        fixed = None if self.time_step is not None else open_sizes.fixed_in(source, serde.read(path))
        if fixed is not None:
            self.progress.note(fixed)
        if self.settings.traits.compares_int8_baseline:
            self.int8(source, path.with_name(BASELINE_INT8), "convert dense int8")
        return self.differences_from(source, path)

    def pruned(self, source: SourceModel, int8_path: Path) -> Path:
        """The dense file of the pruned model in the precision asked for: what the sparse one must equal.

        Raises:
            ConversionError: the converter refused the model or crashed.
        """
        path = int8_path.with_name(PRUNED_FLOAT32)
        if self.settings.int8:
            self.int8(source, int8_path, float32=path)
            return int8_path
        self.float32(source, path, "convert pruned float32")
        return path

    def differences_from(self, source: SourceModel, path: Path) -> list[str]:
        """Where the float32 file at ``path`` does not compute what its source does: converters have defects.

        Up to 8 test samples are run. Returns one sentence for each output that differs by more than 1 % of its range or
        in shape; none without data.
        """
        if self.samples is None:
            return []
        with self.progress.stage("compare with the source model"):
            x = arrays.take(self.samples.x_test, slice(0, _COMPARED_SAMPLES))
            if self.time_step is None:
                found, wanted = outputs_of(path, x), source.compute(x)
            else:
                found, wanted = (
                    outputs_of(path, x, self.time_step),
                    {OUTPUT: _one_step(source).compute_whole(*arrays.columns(x))},
                )
            return [sentence for name, output in found.items() if (sentence := _difference(name, output, wanted[name]))]

    def probes(self, source: SourceModel) -> arrays.Arrays | None:
        """Test samples of the inputs that the files of a model have; None without data."""
        if self.samples is None or self.time_step is None:
            return None if self.samples is None else self.samples.x_test
        (x,) = arrays.columns(arrays.take(self.samples.x_test, slice(0, _COMPARED_SAMPLES)))
        return step_pairs.spread(_one_step(source), x, self.settings.verification_samples, self.settings.seed)

    def _quantise(
        self,
        source: SourceModel,
        path: Path,
        stage: str,
        *,
        input_io: convert.Io | None = None,
        float32: Path | None = None,
    ) -> None:
        with self.progress.stage(stage) as on_step:
            converted = convert.to_int8(
                self._form(source),
                self.calibration_samples(source),
                self.settings.io_or_default,
                input_io=input_io,
                activations=self.settings.activations,
                calibration=self.settings.calibration,
                dense_scales=self.settings.dense_scales,
                float_layers=self.float_layers if self.settings.activations == "int8" else {},
                recurrent=self.settings.recurrent,
                fixed_batch=self.settings.fixed_batch,
                fixed_sizes=self.settings.plans_memory_ahead,
                float32=float32,
                on_step=on_step,
            )
            self._write(path, converted, source)
            if float32 is not None and float32.exists():
                self._write(float32, float32.read_bytes(), source)

    def _check_masks(self, source: SourceModel, converted: Model, path: Path) -> None:
        """Refuse an int8 file whose masks are lost, or that the default runtime does not run for them.

        Raises:
            ConversionError: it is such a file.
        """
        lost = rounded_inputs.rounded_comparisons(converted)
        if lost:
            raise ConversionError(
                f"{source.name}: {lost[0]!r} masks steps by comparing quantised values, which are rounded, with a "
                f"value that is not 0: no step would be masked. {_WITHOUT_MASK}"
            )
        if not rounded_inputs.compares(converted):
            return
        x = self.calibration_samples(source)
        try:
            outputs_of(path, arrays.take(x, slice(0, 1)))
        except ExecutionError as error:
            reason = str(error).replace(str(path), path.name).rstrip(".")
            raise ConversionError(
                f"{source.name}: with masked steps the int8 file that the converter makes does not run: {reason}. "
                f"{_WITHOUT_MASK}"
            ) from error

    def _correct_biases(self, source: SourceModel, path: Path) -> None:
        reference = self.original
        if reference is None:
            reference = path.with_name("weights-before-int8.tflite")
            self.float32_beside_int8(source, reference)
        with self.progress.stage("correct biases") as on_step:
            done = correct_biases.correct(path, reference, self.calibration_samples(source), on_step=on_step)
        self.progress.note(
            f"biases of {done.layers} layers moved by {done.share:g} of the shift of their mean outputs"
            if done.layers
            else "biases stay as they are: outputs on the calibration samples are nearest to float32 so"
        )

    def _float32(self, source: SourceModel, path: Path, stage: str, *, as_int8: bool) -> None:
        with self.progress.stage(stage):
            like, recurrent = None if self.samples is None else self.samples.x_train, self.settings.recurrent
            named = as_int8 and bool(self.float_layers)
            converted = convert.to_float32(
                self._form(source),
                recurrent=recurrent,
                like=like,
                as_int8=as_int8,
                named=named,
                fixed_batch=self.settings.fixed_batch,
                fixed_sizes=self.settings.plans_memory_ahead,
            )
            self._write(path, converted, source)

    def _write(self, path: Path, converted: bytes, source: SourceModel) -> None:
        """Write what was converted, mended where the converter errs and for a runtime with fewer operators."""
        model = serde.parse(converted)
        is_mended = lstm_cell_clip.drop(model) > 0
        if self.time_step is None:  # its inputs and outputs beside the first are states, told by their names
            names = [[spec.name for spec in specs] for specs in (source.inputs(), source.outputs())]
            is_mended |= io_order.restore(model, *names)
        is_mended |= backend(self.settings.target).mend(model)
        if is_mended:
            serde.write(model, path)
        else:
            path.write_bytes(converted)

    def _form(self, source: SourceModel) -> SourceModel:
        return source if self.time_step is None else _one_step(source)

    def calibration_samples(self, source: SourceModel) -> arrays.Arrays:
        """The training samples that the files of ``source`` are calibrated on, as their inputs take them."""
        assert self.samples is not None  # an export checks that before the work
        x = arrays.at_random(self.samples.x_train, self.settings.calibration_samples, self.settings.seed)
        if self.time_step is None:
            return x
        (only,) = arrays.columns(x)
        count = _STEPS_PER_SEQUENCE * len(only)
        return step_pairs.for_calibration(_one_step(source), only, count, self.settings.seed)


def outputs_of(
    path: Path,
    x: arrays.Arrays,
    time_step: TimeStep | None = None,
    run: Callable[..., litert.Outputs] = litert.run,
    on_step: Step = ignore_steps,
) -> dict[str, np.ndarray]:
    """What a file yields, each output by its name, ``(n, ...)`` real numbers, float32.

    Args:
        path: the file.
        x: samples; of several inputs by their names.
        time_step: where the file computes one time step and the samples are sequences: how it is run over them.
        run: of a runtime.
        on_step: told (samples done, samples in all).

    Raises:
        ExecutionError: the runtime refuses the file.
    """
    names = signature.names_of(path)
    if time_step is None:
        outputs = run(path, arrays.ordered(x, names.inputs), on_step=on_step)
        return {name: outputs.real(index) for index, name in enumerate(names.outputs)}
    feedback = over_time.feedback_of(names, every_step=time_step.every_step)
    outputs = run(path, x, feedback=feedback, on_step=on_step)
    return {names.outputs[position]: outputs.real(index) for index, position in enumerate(feedback.results)}


def _one_step(source: SourceModel) -> TimeStepSource:
    assert isinstance(source, KerasSource)  # where one time step was chosen
    return TimeStepSource(source)


def _difference(name: str, found: np.ndarray, wanted: np.ndarray) -> str | None:
    if found.shape != wanted.shape:
        return (
            f"conversion: output {name!r} of the float32 file is of shape {found.shape}, the model's of "
            f"{wanted.shape}: a defect of the converter."
        )
    if not np.isfinite(wanted).all():  # told where accuracy is measured
        return None
    distance, span = float(np.max(np.abs(found - wanted), initial=0.0)), outputs.range_of(wanted)
    if distance <= _ALLOWED_SHARE * span:
        return None
    return (
        f"conversion: output {name!r} of the float32 file differs from the model's by up to {distance:g}, of a range "
        f"of {span:g}: a defect of the converter. If the model is recurrent, try the other --recurrent."
    )
