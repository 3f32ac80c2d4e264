"""Load HDF5 files that hold only the weights of a Keras model into the model that a user's function builds.

There are two layouts: that of Keras 1 and 2, whose attribute ``layer_names`` lists the layers, and that of
``.weights.h5`` since Keras 2.13, with a folder ``vars`` for each object. Keras tells them apart by the file name alone,
so files are passed to it under a name that fits their content.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tflite_sparse.base import scratch
from tflite_sparse.errors import ModelError
from tflite_sparse.sources import user_code
from tflite_sparse.sources.keras_types import KerasModel, is_model

if TYPE_CHECKING:
    import h5py

_ROOTS_OF_WEIGHTS = {"model_weights", "layers", "vars", "_layer_checkpoint_dependencies"}
_SHAPES = (  # messages of Keras 3 and Keras 2 about different shapes
    re.compile(
        r"variable\.shape=(?P<ours>\([^)]*\)), Received: value\.shape=(?P<theirs>\([^)]*\)).*?path=(?P<name>[^,>]+)"
    ),
    re.compile(
        r"variable ' ?(?P<name>[^':]+)[^']*'.*?variable shape (?P<ours>\([^)]*\)), and the assigned value shape "
        r"(?P<theirs>\([^)]*\))"
    ),
)


def holds_weights(file: h5py.File) -> bool:
    """Return whether an HDF5 file without a configuration looks like the weights of a Keras model."""
    return _is_old_layout(file) or not _ROOTS_OF_WEIGHTS.isdisjoint(file)


def built_by(builder: str) -> object:
    """Run the function ``builder`` (``path/to/module.py:function``) and return its result.

    Raises:
        ModelError: there is no such function, or it raised.
    """
    named = user_code.address(builder)
    if named is None:
        raise ModelError(f"`builder` takes FILE.py:FUNCTION, not {builder!r}.")
    return user_code.call(*named, ModelError)


def build(path: Path, builder: str) -> KerasModel:
    """Run the function ``builder`` (``path/to/module.py:function``) and load the weights in ``path`` into its model.

    Raises:
        ModelError: there is no such function, it raised or returned no built Keras model, or the weights belong to
            another model.
    """
    import h5py

    model = built_by(builder)
    if not is_model(model):
        raise ModelError(f"{builder} returned an object of type {type(model).__name__}; it must return a Keras model.")
    if not model.built:
        raise ModelError(
            f"{builder} returned a model that is not built: give it an Input, or call it on one batch before."
        )
    with h5py.File(path, "r") as opened:
        old = _is_old_layout(opened)
    with scratch.folder() as folder:
        named = folder / ("old.h5" if old else "new.weights.h5")
        named.symlink_to(path.resolve())
        try:
            model.load_weights(str(named))
        except Exception as error:
            raise ModelError(f"{path} does not fit the model of {builder}: {_difference(str(error))}") from error
        if not old:
            _refuse_unread(named, model, path, builder)
    return model


def _is_old_layout(file: h5py.File) -> bool:
    return "layer_names" in file.attrs or "model_weights" in file


def _refuse_unread(named: Path, model: KerasModel, path: Path, builder: str) -> None:
    """Refuse a file with arrays that the model lacks: Keras ignores them silently."""
    own = named.with_name("own.weights.h5")
    model.save_weights(str(own))
    ours = _arrays(own)
    for name, shape in _arrays(named).items():
        if name not in ours:
            raise ModelError(
                f"{path} does not fit the model of {builder}: {name} of shape {shape} is in the file "
                "and not in the model."
            )


def _arrays(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every array of a layer, without those of optimizers, metrics and random generators."""
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset) and name.startswith("layers/") and "seed_generator" not in name:
            found[name] = entry.shape

    with h5py.File(path, "r") as opened:
        opened.visititems(visit)
    return found


def _difference(message: str) -> str:
    """Return the first difference that a message of Keras reports."""
    for pattern in _SHAPES:
        match = pattern.search(message)
        if match:
            return (
                f"{match['name'].strip()} is of shape {match['ours']} in the model and {match['theirs']} in the file."
            )
    first = re.sub(r"^A total of .*?>:\s*", "", message, flags=re.DOTALL)
    return " ".join(first.partition("List of objects")[0].split())[:300]
