"""Import TensorFlow and the two generations of Keras late, and without their banners."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

from tflite_sparse.base import child, extras, imports
from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import ModelError, SettingsError


def start(progress: Progress) -> None:
    """Import TensorFlow and start a fork server whose children have it imported too.

    If this is the first import, the server is a fork of this process, made before the first tensor; a server of what
    needs the runtimes only is forked before the import, for small processes are forked faster. Otherwise, or if the
    process has other threads, the server is a new interpreter, which imports in the background.

    Args:
        progress: receives the stage of the import.

    Raises:
        ModelError: TensorFlow cannot be imported.
    """
    if "tensorflow" in sys.modules:
        child.prepare("tensorflow")
        return
    if not child.may_fork_here():
        child.prepare("tensorflow")
        tensorflow()
        return
    with progress.stage("start TensorFlow"):
        child.prepare("runtimes")
        tf = _import()
        child.import_modules("tensorflow")
    child.fork_here("tensorflow")
    _look_for_devices(tf)


def tensorflow() -> ModuleType:
    """Return TensorFlow without its start-up messages, which native code writes to file descriptor 2."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    tf = _import()
    _look_for_devices(tf)
    return tf


def _import() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _quiet_file_descriptor(2), imports.uncollected():
            import tensorflow as tf
    except ImportError as error:
        raise ModelError(f"TensorFlow cannot be imported ({error}): {extras.install_command('keras')}") from error
    return tf  # type: ignore[no-any-return]


def _look_for_devices(tf: ModuleType) -> None:
    """Make TensorFlow look for GPUs without messages. Call it after a fork: CUDA does not survive one."""
    with _quiet_file_descriptor(2):
        tf.config.list_physical_devices()


def keras3() -> ModuleType:
    """Return Keras 3 on the TensorFlow backend.

    Raises:
        SettingsError: another backend is set; only TensorFlow's can be converted.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    tensorflow()
    with _quiet_file_descriptor(2), imports.uncollected():
        import keras

    if keras.backend.backend() != "tensorflow":
        raise SettingsError(
            f"Keras runs on the {keras.backend.backend()} backend here; set KERAS_BACKEND=tensorflow and start again."
        )
    return keras  # type: ignore[no-any-return]


def keras2() -> ModuleType:
    """Return Keras 2 (the package ``tf_keras``)."""
    tensorflow()
    try:
        with _quiet_file_descriptor(2), imports.uncollected():
            import tf_keras
    except ImportError as error:
        raise ModelError(f"models of Keras 2 need the package tf_keras: {extras.install_command('keras')}") from error
    return tf_keras  # type: ignore[no-any-return]


def model_optimization() -> ModuleType:
    """Return tensorflow-model-optimization; it works on Keras 2 only."""
    keras2()
    try:
        with _quiet_file_descriptor(2), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_model_optimization as tfmot
    except ImportError as error:
        raise ModelError(
            "models with wrappers that prune, cluster or quantise need tensorflow-model-optimization: "
            f"{extras.install_command('keras')}"
        ) from error
    return tfmot  # type: ignore[no-any-return]


@contextlib.contextmanager
def _quiet_file_descriptor(descriptor: int) -> Iterator[None]:
    saved = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)
        os.close(nowhere)
