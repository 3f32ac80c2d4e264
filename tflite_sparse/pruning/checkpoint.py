"""Save and restore the state of a training between two epochs, in one file beside the model to be written."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base.atomic_files import replacing
from tflite_sparse.errors import InputError, ModelError
from tflite_sparse.sources.keras_types import KerasModel, Optimizer, Variable

_SUFFIX = ".checkpoint"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after some epochs.

    Attributes:
        settings: of the run; a run with other settings cannot resume from it.
        epoch: number of epochs done.
        step: number of steps done.
        weights: of the model, in its order.
        optimizer: its variables, in their order.
        masks: bool, by kernel name.
    """

    settings: dict[str, object]
    epoch: int
    step: int
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    masks: dict[str, np.ndarray]


def path_beside(output: Path) -> Path:
    """Return the path of the checkpoint of a run that writes ``output``."""
    return output.with_name(output.name + _SUFFIX)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, all or nothing.

    Raises:
        OutputError: the file cannot be written.
    """
    names = list(checkpoint.masks)
    head = {"settings": checkpoint.settings, "epoch": checkpoint.epoch, "step": checkpoint.step, "kernels": names}
    arrays = {
        "head": np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8),
        **{f"weight{i}": values for i, values in enumerate(checkpoint.weights)},
        **{f"optimizer{i}": values for i, values in enumerate(checkpoint.optimizer)},
        **{f"mask{i}": checkpoint.masks[name] for i, name in enumerate(names)},
    }
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def read(path: Path) -> Checkpoint:
    """Read a file of :func:`write` without running code from it.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            head = json.loads(bytes(archive["head"]))
            return Checkpoint(
                head["settings"],
                int(head["epoch"]),
                int(head["step"]),
                _numbered(archive, "weight"),
                _numbered(archive, "optimizer"),
                dict(zip(head["kernels"], _numbered(archive, "mask"), strict=True)),
            )
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no checkpoint to resume from; leave `resume` out.") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is no checkpoint of prune: delete it and start again.") from error


def check_settings(checkpoint: Checkpoint, settings: dict[str, object], path: Path) -> None:
    """Refuse a checkpoint of a run with other settings.

    Raises:
        InputError: names what differs.
    """
    names = sorted({*settings, *checkpoint.settings})
    different = [name for name in names if settings.get(name) != checkpoint.settings.get(name)]
    if different:
        name = different[0]
        raise InputError(
            f"{path} belongs to a run with {name} = {checkpoint.settings.get(name)!r}, not {settings.get(name)!r}: "
            "resume with the same settings, or delete it and start again."
        )


def restore(checkpoint: Checkpoint, model: KerasModel, path: Path) -> None:
    """Set a model and its built optimizer to the state of a checkpoint.

    Raises:
        ModelError: it belongs to another model; names the file at ``path``.
    """
    found = variables(model.optimizer)
    shapes = [tuple(variable.shape) for variable in found]
    if [values.shape for values in model.get_weights()] != [
        values.shape for values in checkpoint.weights
    ] or shapes != [values.shape for values in checkpoint.optimizer]:
        raise ModelError(f"{path} is of another model: delete it and start again.")
    model.set_weights(checkpoint.weights)
    for variable, values in zip(found, checkpoint.optimizer, strict=True):
        variable.assign(values)


def variables(optimizer: Optimizer) -> list[Variable]:
    """Return the variables of an optimizer of either generation."""
    found = optimizer.variables
    return list(found() if callable(found) else found)


def _numbered(archive: np.lib.npyio.NpzFile, name: str) -> list[np.ndarray]:
    count = sum(key.startswith(name) and key[len(name) :].isdigit() for key in archive.files)
    return [archive[f"{name}{i}"] for i in range(count)]
