"""What a training is made of between two epochs, in one file beside the model that it will yield."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.base.atomic_files import replacing
from tflite_sparse.errors import InputError, ModelError

_SUFFIX = ".checkpoint"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after some epochs.

    Attributes:
        settings: what the run was started with; a run with others cannot go on from here.
        epoch: how many epochs were done.
        step: how many steps.
        weights: of the model, in its order.
        optimizer: its variables, in their order.
        masks: bool, by kernel name.
    """

    settings: dict[str, Any]
    epoch: int
    step: int
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    masks: dict[str, np.ndarray]


def path_beside(output: Path) -> Path:
    """Where the checkpoint of a run that writes ``output`` lies."""
    return output.with_name(output.name + _SUFFIX)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write it, all or nothing.

    Raises:
        OutputError: the disk refused.
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
    """Read what :func:`write` wrote; nothing in the file is run.

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


def check_settings(checkpoint: Checkpoint, settings: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of a run with other settings.

    Raises:
        InputError: names what differs.
    """
    names = sorted({*settings, *checkpoint.settings})
    different = [name for name in names if settings.get(name) != checkpoint.settings.get(name)]
    if different:
        name = different[0]
        raise InputError(
            f"{path} is of a run with {name} = {checkpoint.settings.get(name)!r}, not {settings.get(name)!r}: "
            "resume with the same settings, or delete it and start again."
        )


def restore(checkpoint: Checkpoint, model: Any, path: Path) -> None:
    """Give a model and its optimizer, which is built, the state of a checkpoint.

    Raises:
        ModelError: it is of another model; names the file at ``path``.
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


def variables(optimizer: Any) -> list[Any]:
    """The variables of an optimizer of either generation."""
    found = optimizer.variables
    return list(found() if callable(found) else found)


def _numbered(archive: Any, name: str) -> list[np.ndarray]:
    count = sum(key.startswith(name) and key[len(name) :].isdigit() for key in archive.files)
    return [archive[f"{name}{i}"] for i in range(count)]
