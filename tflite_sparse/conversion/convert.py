"""Run TensorFlow's converter in a child process, so that its crashes do not end the caller."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tflite_sparse.base import child, scratch
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.conversion import open_sizes
from tflite_sparse.conversion.float_operators import FloatLayers
from tflite_sparse.conversion.messages import in_short
from tflite_sparse.conversion.tensorflow_side import convert_saved_model
from tflite_sparse.conversion.traces import MOST_UNROLLED_STEPS, Recurrent, traces
from tflite_sparse.errors import ConversionError
from tflite_sparse.settings import Activations, Calibration, DenseScales
from tflite_sparse.sources.arrays import Arrays
from tflite_sparse.sources.source_model import SourceModel, Trace

Io = Literal["int8", "int16", "float32"]

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "While", "StatelessWhile", "TensorListReserve")
_SHOWN_KINDS = 8


@dataclass(frozen=True, eq=False, slots=True)
class _Quantisation:
    """Options of quantisation: calibration, types of inputs, outputs and activations, what stays float, what is kept.

    The default quantises nothing.
    """

    samples: Arrays | None = None
    input_io: Io = "float32"
    output_io: Io = "float32"
    activations: Activations = "float32"
    calibration: Calibration = "min-max"
    dense_scales: DenseScales = "per-channel"
    float_layers: FloatLayers = field(default_factory=dict)
    float32: Path | None = None

    @property
    def is_any(self) -> bool:
        """Whether the converter quantises."""
        return self.samples is not None


def to_float32(
    model: SourceModel,
    *,
    recurrent: Recurrent = "auto",
    like: Arrays | None = None,
    as_int8: bool = False,
    named: bool = False,
    fixed_batch: bool = False,
    fixed_sizes: bool = False,
) -> bytes:
    """Convert a model to a dense float32 ``.tflite``.

    Args:
        model: to convert.
        recurrent: how recurrent layers are written.
        like: samples ``(n, *input shape)``, of several inputs by name. They set sizes that the model leaves open, if
            sizes are fixed or recurrent layers unrolled.
        as_int8: write recurrent layers as :func:`to_int8` does, so that both files have the same operators.
        named: name operators after their layers, as :func:`to_int8` does where layers stay float32.
        fixed_batch: whether inputs take exactly one sample.
        fixed_sizes: whether no input size stays open.

    Raises:
        ConversionError: the converter refused the model or crashed.
        ModelError: sizes must be fixed, and neither the model nor ``like`` sets them.
    """
    traced = traces(model, like, recurrent, int8=as_int8, fixed_batch=fixed_batch, fixed_sizes=fixed_sizes)
    forms = [replace(form, named=named) for form in traced]
    return _first_that_works(model, forms, _Quantisation(), ignore_steps)


def to_int8(
    model: SourceModel,
    samples: Arrays,
    io: Io,
    *,
    input_io: Io | None = None,
    activations: Activations = "int8",
    calibration: Calibration = "min-max",
    dense_scales: DenseScales = "per-channel",
    float_layers: FloatLayers | None = None,
    recurrent: Recurrent = "auto",
    fixed_batch: bool = False,
    fixed_sizes: bool = False,
    float32: Path | None = None,
    on_step: Step = ignore_steps,
) -> bytes:
    """Convert a model to a dense ``.tflite`` with int8 weights (zero point 0) and integer activations.

    Args:
        model: to convert.
        samples: ``(n, *input shape)``, of several inputs by name; they set the ranges of activations.
        io: type of inputs and outputs: float32 or that of the activations.
        input_io: type of inputs, if it differs.
        activations: ``"int8"``, or ``"int16"`` (16x8: biases are int64).
        calibration: how ranges are chosen; int16 activations allow only ``"min-max"``.
        dense_scales: whether FULLY_CONNECTED kernels have a scale for each output, or one; convolutions have several.
        float_layers: layers whose operators stay float32, by the rule that names them; int8 activations only.
        recurrent: how recurrent layers are written.
        fixed_batch: whether inputs take exactly one sample.
        fixed_sizes: whether no input size stays open; open sizes of the model are set by ``samples``.
        float32: where to write the float32 file that was quantised: what :func:`to_float32` makes with ``as_int8``.
            It is not written for a model that was trained quantisation-aware. None: nowhere.
        on_step: receives (samples seen, all samples); except for min-max each sample is seen twice.

    Raises:
        ConversionError: an operator has no int8 kernel, or the converter refused the model or crashed.
        SettingsError: the ``float_layers`` of a rule have no operators of their own.
    """
    kept = float_layers or {}
    traced = traces(model, samples, recurrent, int8=True, fixed_batch=fixed_batch, fixed_sizes=fixed_sizes)
    forms = [replace(form, named=bool(kept)) for form in traced]
    quantisation = _Quantisation(samples, input_io or io, io, activations, calibration, dense_scales, kept, float32)
    return _first_that_works(model, forms, quantisation, on_step)


def _first_that_works(model: SourceModel, forms: Sequence[Trace], quantisation: _Quantisation, on_step: Step) -> bytes:
    """Return the file of the first form that the converter accepts.

    If it accepts none, raise the error of the first form, or, if one form has open sizes, that of the last.
    """
    errors = []
    for form in forms:
        try:
            return _convert(model, form, quantisation, on_step)
        except ConversionError as error:
            errors.append(error)
    raise errors[0 if model.loops().any else -1]


def _convert(model: SourceModel, trace: Trace, quantisation: _Quantisation, on_step: Step) -> bytes:
    with scratch.folder() as work:
        folder, float32 = work / "model", work / "float32.tflite"
        try:
            model.save_for_conversion(folder, trace)
        except OSError as error:
            raise ConversionError(
                f"cannot write to the temporary folder {folder.parent.parent}: {error.strerror}."
            ) from error
        except Exception as error:
            advice = open_sizes.cure(model, trace)
            raise ConversionError(
                f"{model.name} cannot be traced for conversion: {in_short(error)}" + (f" {advice}" if advice else "")
            ) from error
        try:
            result: bytes = child.call(
                f"{convert_saved_model.__module__}:{convert_saved_model.__name__}",
                on_step=on_step,
                needs="tensorflow",
                folder=str(folder),
                samples=quantisation.samples,
                input_io=quantisation.input_io,
                output_io=quantisation.output_io,
                activations=quantisation.activations,
                calibration=quantisation.calibration,
                dense_scales=quantisation.dense_scales,
                float_layers=quantisation.float_layers,
                float32=None if quantisation.float32 is None else str(float32),
            )
        except child.ChildDiedError as death:
            raise ConversionError(_death_message(model, death, quantisation.is_any)) from death
        except (RuntimeError, MemoryError) as error:
            raise ConversionError(_refusal_message(model, trace, error, quantisation.is_any)) from error
        if quantisation.float32 is not None and float32.exists():
            shutil.copyfile(float32, quantisation.float32)
    return result


def _refusal_message(model: SourceModel, trace: Trace, error: BaseException, quantising: bool) -> str:
    kinds = model.layer_kinds()
    if "TensorListReserve" in str(error):  # left by a loop over time steps with an open batch
        layer = next((kind for kind in kinds if kind in _RECURRENT), "a loop")
        return (
            f"{model.name} cannot be converted: {layer} keeps a free batch in its loop. Export from the Keras model "
            "(.keras or .h5), or build it with a fixed batch (batch_size=1) or unroll=True."
        )
    cure = open_sizes.cure(model, trace) or _cure(kinds, quantising)
    return f"{model.name} cannot be converted: {in_short(error)} {cure}"


def _death_message(model: SourceModel, death: child.ChildDiedError, quantising: bool) -> str:
    kinds = model.layer_kinds()
    shown = ", ".join(kind for kind, _ in kinds.most_common(_SHOWN_KINDS))
    if len(kinds) > _SHOWN_KINDS:
        shown += ", ..."
    cure = "Memory may have run out; free some." if death.was_killed else _cure(kinds, quantising)
    return f"the converter {death.how} on {model.name}, a model of {shown}. {cure}"


def _cure(kinds: Counter[str], quantising: bool) -> str:
    """Return what to try, given the layers of the model."""
    recurrent = [kind for kind in kinds if kind in _RECURRENT]
    if recurrent and quantising:
        return (
            f"{recurrent[0]} is a loop over many time steps, which cannot be calibrated. Shorten the sequences to "
            f"{MOST_UNROLLED_STEPS} steps or fewer, write it step by step (`recurrent='unroll'`) or as one time step "
            "(`recurrent='step'`), both from a Keras model and no SavedModel, or leave `int8` out."
        )
    if recurrent:
        return f"{recurrent[0]}: give the model a fixed number of time steps and try `recurrent='unroll'`."
    if quantising:
        return "Try without `int8` to see whether quantisation is the cause; if so, an operator has no int8 kernel."
    return "Try a smaller part of the model to find the layer."
