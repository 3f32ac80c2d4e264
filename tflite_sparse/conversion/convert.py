"""TensorFlow's converter, in a process of its own: a model that crashes it must not take the caller along."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np

from tflite_sparse import child
from tflite_sparse.config import Activations
from tflite_sparse.conversion.tensorflow_side import convert_saved_model
from tflite_sparse.errors import ConversionError
from tflite_sparse.progress import Step, ignore_steps
from tflite_sparse.sources.source_model import SourceModel

Io = Literal["int8", "int16", "float32"]

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "While", "StatelessWhile", "TensorListReserve")
_SHOWN_KINDS = 8


def to_float32(model: SourceModel, *, on_step: Step = ignore_steps) -> bytes:
    """The dense float32 ``.tflite`` of a model.

    Raises:
        ConversionError: the converter refused the model or crashed.
    """
    return _convert(model, None, "float32", on_step)


def to_int8(
    model: SourceModel,
    samples: np.ndarray,
    io: Io,
    *,
    activations: Activations = "int8",
    on_step: Step = ignore_steps,
) -> bytes:
    """The dense ``.tflite`` with int8 weights (per channel, zero point 0) and integer activations.

    Args:
        model: what to convert; it has one input.
        samples: ``(n, *input shape)``, the data that the ranges of activations are taken from.
        io: the type of inputs and outputs: float32 or that of the activations.
        activations: ``"int8"``, or ``"int16"`` (16x8: biases are int64).
        on_step: told (samples seen, samples in all).

    Raises:
        ConversionError: an operator has no int8 kernel, or the converter refused the model or crashed.
    """
    return _convert(model, samples, io, on_step, activations)


def _convert(
    model: SourceModel, samples: np.ndarray | None, io: Io, on_step: Step, activations: Activations = "int8"
) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        folder = Path(name) / "model"
        try:
            model.save_for_conversion(folder)
        except OSError as error:
            raise ConversionError(
                f"cannot write to the temporary folder {folder.parent.parent}: {error.strerror}."
            ) from error
        except Exception as error:
            raise ConversionError(f"{model.name} cannot be traced for conversion: {_one_line(error)}") from error
        try:
            result: bytes = child.call(
                f"{convert_saved_model.__module__}:{convert_saved_model.__name__}",
                on_step=on_step,
                folder=str(folder),
                samples=samples,
                io=io,
                activations=activations,
            )
        except child.ChildDiedError as death:
            raise ConversionError(_death_message(model, death, samples is not None)) from death
        except (RuntimeError, MemoryError) as error:
            raise ConversionError(_refusal_message(model, error, samples is not None)) from error
    return result


def _refusal_message(model: SourceModel, error: BaseException, quantising: bool) -> str:
    kinds = model.layer_kinds()
    if "TensorListReserve" in str(error):  # what a loop over time steps leaves when the batch is free
        layer = next((kind for kind in kinds if kind in _RECURRENT), "a loop")
        return f"{model.name} cannot be converted: {layer} needs a fixed batch (batch_size=1) or unroll=True."
    return f"{model.name} cannot be converted: {_one_line(error)} {_cure(kinds, quantising)}"


def _death_message(model: SourceModel, death: child.ChildDiedError, quantising: bool) -> str:
    kinds = model.layer_kinds()
    shown = ", ".join(kind for kind, _ in kinds.most_common(_SHOWN_KINDS))
    if len(kinds) > _SHOWN_KINDS:
        shown += ", ..."
    cure = "Memory may have run out; free some." if death.was_killed else _cure(kinds, quantising)
    return f"the converter {death.how} on {model.name}, a model of {shown}. {cure}"


def _cure(kinds: Counter[str], quantising: bool) -> str:
    """What to try, by what the model is made of."""
    recurrent = [kind for kind in kinds if kind in _RECURRENT]
    if recurrent:
        return (
            f"{recurrent[0]}: build it with recurrent dropout 0, recurrent_activation 'sigmoid' and unroll=True, "
            "without Masking, load the weights and try again."
        )
    if quantising:
        return "Try without --int8 to see whether quantisation is the cause; if so, an operator has no int8 kernel."
    return "Try a smaller part of the model to find the layer."


def _one_line(error: BaseException) -> str:
    """The message without AutoGraph's traceback, which comes first and would hide the cause."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if any("in user code:" in line for line in lines):
        frames = {i for i, line in enumerate(lines) if line.lstrip().startswith('File "')}
        lines = [
            line
            for i, line in enumerate(lines)
            if i not in frames and i - 1 not in frames and "in user code:" not in line
        ]
    text = " ".join(" ".join(lines).split())
    return text if len(text) <= 300 else text[:300] + " ..."
