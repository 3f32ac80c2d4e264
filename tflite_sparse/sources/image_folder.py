"""Read folders of images: one folder for each class, with or without a test part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.errors import DataError
from tflite_sparse.settings.kinds import Pixels
from tflite_sparse.sources.streams import MAX_BYTES

PIXELS: Pixels = "0..255"
"""The range of the images that are read."""

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}


@dataclass(frozen=True, eq=False, slots=True)
class Images:
    """Images ``(n, height, width, channels)``, float32, 0 to 255, and their class numbers.

    Attributes:
        train: all images if there is no test part.
        test: those of the test part; None: there is none.
        labels: names of the classes.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray] | None
    labels: tuple[str, ...]


def read(path: Path, image_shape: tuple[int | None, ...] | None) -> Images:
    """Read the images of a folder, resized to the input of a model.

    Args:
        path: holds one folder for each class, or ``train`` and ``test`` folders that do.
        image_shape: ``(batch, height, width, channels)``; None: the model has no such input.

    Raises:
        DataError: the model takes no images, the folder holds none, or one cannot be read.
    """
    if image_shape is None or len(image_shape) != 4 or None in image_shape[1:] or image_shape[3] not in (1, 3, 4):
        raise DataError(f"{path}: a folder of images needs a model with one input (batch, height, width, channels).")
    parts = [path / "train", path / "test"]
    if all(part.is_dir() for part in parts):
        names = _class_names(parts[0])
        train, test = (_read_images(part, names, image_shape) for part in parts)
        return Images(train, test, names)
    names = _class_names(path)
    return Images(_read_images(path, names, image_shape), None, names)


def _class_names(path: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if not names:
        raise DataError(f"{path} has no folders: a folder of images holds one folder for each class.")
    return names


def _read_images(path: Path, names: tuple[str, ...], shape: tuple[int | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return class numbers and images in 0 to 255, resized as by Keras's ``image_dataset_from_directory``."""
    import tensorflow as tf

    absent = [name for name in names if not (path / name).is_dir()]
    if absent:
        raise DataError(f"{path} has no folder for class {absent[0]!r}, which the training part has.")
    files = [
        (file, number)
        for number, name in enumerate(names)
        for file in sorted((path / name).iterdir())
        if file.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise DataError(f"{path} holds no images ({', '.join(sorted(_SUFFIXES))}).")
    sizes = [int(size or 1) for size in shape[1:]]
    if len(files) * int(np.prod(sizes)) * 4 > MAX_BYTES:
        raise DataError(f"{path}: {len(files)} images take more than {MAX_BYTES / 1e9:.0f} GB; use fewer.")
    images = np.empty((len(files), *sizes), np.float32)
    for row, (file, _) in enumerate(files):
        try:
            image = tf.io.decode_image(file.read_bytes(), channels=sizes[2], expand_animations=False)
        except (tf.errors.InvalidArgumentError, OSError) as error:
            raise DataError(f"{file} cannot be read as an image.") from error
        images[row] = tf.image.resize(image, sizes[:2]).numpy()
    return images, np.array([number for _, number in files])
