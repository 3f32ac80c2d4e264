"""Read a model file's configuration and Keras version before Keras opens it."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

from tflite_sparse.errors import ModelError, one_line
from tflite_sparse.sources import tensorflow_import, weights_only
from tflite_sparse.sources.containers import check_hdf5, check_keras_archive

HDF5_SUFFIXES = (".h5", ".hdf5")
_MAX_CONFIG_BYTES = 100 * 2**20


def read_keras_metadata(path: Path) -> list[object]:
    """Return the configurations of the layers of a SavedModel of Keras 2, the model's first.

    Raises:
        ModelError: the file is damaged or too large.
    """
    keras = tensorflow_import.keras2()
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ModelError(f"{path} is larger than {_MAX_CONFIG_BYTES // 2**20} MiB.")
    try:
        nodes = keras.protobuf.saved_metadata_pb2.SavedMetadata.FromString(path.read_bytes()).nodes
        return [json.loads(node.metadata) for node in nodes if node.metadata]
    except Exception as error:
        raise ModelError(f"{path} is damaged: {one_line(error)}") from error


def read_keras_archive(path: Path) -> tuple[object, str]:
    """Return the configuration of a ``.keras`` file and the version of the Keras that wrote it.

    Raises:
        ModelError: the file is no such archive, or holds something that none does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(_member(archive, "metadata.json"))
            config = json.loads(_member(archive, "config.json"))
            check_keras_archive(archive)
            if not isinstance(metadata, dict) or not isinstance(config, dict):
                raise ValueError("its metadata.json or config.json is no JSON object")
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, RuntimeError) as error:
        raise ModelError(f"{path} is no .keras model: {one_line(error)}") from error
    return config, str(metadata.get("keras_version", "unknown"))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_CONFIG_BYTES:
        raise ValueError(f"{name} unpacks to more than {_MAX_CONFIG_BYTES // 2**20} MiB")
    with archive.open(name) as stream:
        content = stream.read(_MAX_CONFIG_BYTES + 1)
    if len(content) > _MAX_CONFIG_BYTES:
        raise ValueError(f"{name} unpacks to more than {_MAX_CONFIG_BYTES // 2**20} MiB")
    return content


def holds_weights_only(path: Path) -> bool:
    """Return whether a file holds weights without the layers that they are of.

    Raises:
        ModelError: the file is no HDF5 file though it is called one, or no model.
    """
    return path.suffix.lower() in HDF5_SUFFIXES and path.is_file() and read_hdf5(path) is None


def read_hdf5(path: Path) -> tuple[object, str] | None:
    """Return the configuration of an HDF5 file and its Keras version; None if the file holds weights only.

    Raises:
        ModelError: the file is no HDF5 file, or no model.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            version = file.attrs.get("keras_version", "unknown")
            is_weights = config is None and weights_only.holds_weights(file)
        if config is not None or is_weights:
            check_hdf5(path, path.stat().st_size)
    except OSError as error:
        raise ModelError(f"{path} cannot be read as an HDF5 file: {error}") from error
    except ValueError as error:
        raise ModelError(f"{path} is no model: {error}.") from error
    if is_weights:
        return None
    if config is None:
        raise ModelError(f"{path} is an HDF5 file but holds no Keras model (no attribute model_config).")
    try:
        return json.loads(config), version.decode() if isinstance(version, bytes) else str(version)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path}: its model_config is no JSON: {one_line(error)}") from error
