"""Run the Python file with a model's custom objects, under the Keras generation of the model.

Since TensorFlow 2.16 ``tensorflow.keras`` is Keras 3, unless TF_USE_LEGACY_KERAS is set before the first import. Files
written for older versions derive their layers from ``tensorflow.keras``.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tflite_sparse.errors import ModelError
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.user_code import load_module

_NAME = "tensorflow.keras"
_MODULES = {"keras": "keras._tf_keras.keras", "tf_keras": "tf_keras.api._v2.keras"}
"""The modules that ``tensorflow/__init__.py`` of TensorFlow 2.16 to 2.21 uses as ``tensorflow.keras``."""


def of_file(path: Path | None, keras: ModuleType) -> dict[str, object]:
    """Run a Python file and return its callables by the names that a model may use for them.

    Args:
        path: of the file. None: return nothing.
        keras: the generation that ``tensorflow.keras`` means while the file and its functions run.

    Raises:
        ModelError: there is no such file, it raised, or one of its classes derives from the other generation of Keras.
    """
    if path is None:
        return {}
    module = _run(path, keras)
    own = {
        name: value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    }
    _check_generation(own, keras, path)
    return own | {
        # The names under which keras.saving.register_keras_serializable registers them.
        f"{package}>{name}": value
        for name, value in vars(module).items()
        if isinstance(value, type)
        for package in [getattr(value, "_keras_package", "Custom")]
    }


def _run(path: Path, keras: ModuleType) -> ModuleType:
    before = set(sys.modules)
    with _tensorflow_keras_as(keras) as meant:
        module = load_module(path, ModelError)
    folder = path.parent.resolve()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).resolve().is_relative_to(folder):  # imported from the same folder
            _bind(sys.modules[name], meant)
    _bind(module, meant)  # an earlier run may have bound it to the other generation
    return module


def _check_generation(classes: dict[str, object], keras: ModuleType, path: Path) -> None:
    others = set(_MODULES) - {keras.__name__}
    for name, value in classes.items():
        roots = {base.__module__.partition(".")[0] for base in getattr(value, "__mro__", ())}
        found = roots & others
        if found and keras.__name__ not in roots:
            generation = "Keras 2" if keras.__name__ == "tf_keras" else "Keras 3"
            raise ModelError(
                f"{path}: {name} derives from {found.pop()}, and the model is one of {generation}: import "
                f"{keras.__name__} there, or tensorflow.keras."
            )


@contextlib.contextmanager
def _tensorflow_keras_as(keras: ModuleType) -> Iterator[ModuleType]:
    """Make ``tensorflow.keras`` mean ``keras`` inside of the block, for imports and attributes."""
    tf: Any = tensorflow_import.tensorflow()
    meant = importlib.import_module(_MODULES[keras.__name__])
    modules, attributes = _remove_modules(), dict(vars(tf))
    sys.modules[_NAME] = meant
    tf.keras = meant
    try:
        yield meant
    finally:
        _remove_modules()
        sys.modules.update(modules)
        if "keras" in attributes:
            tf.keras = attributes["keras"]
        else:
            del tf.keras


def _remove_modules() -> dict[str, ModuleType]:
    """Remove the modules of ``tensorflow.keras`` from ``sys.modules`` and return them."""
    names = [name for name in sys.modules if name == _NAME or name.startswith(f"{_NAME}.")]
    return {name: sys.modules.pop(name) for name in names}


class _TensorflowWithKeras(ModuleType):
    """TensorFlow with one generation of Keras as its attribute ``keras``."""

    def __init__(self, tf: ModuleType, keras: ModuleType) -> None:
        super().__init__(tf.__name__)
        self.keras = keras
        self._tf = tf

    def __getattr__(self, name: str) -> object:
        return getattr(self._tf, name)


def _bind(module: ModuleType, keras: ModuleType) -> None:
    """Keep ``tensorflow.keras`` bound to ``keras`` in a module whose methods run later."""
    tf = tensorflow_import.tensorflow()
    for name, value in list(vars(module).items()):
        if value is tf:
            setattr(module, name, _TensorflowWithKeras(tf, keras))
