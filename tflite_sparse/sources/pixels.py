"""Ranges of pixels: which one images have, and images in another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from tflite_sparse.errors import DataError
from tflite_sparse.settings.kinds import Pixels
from tflite_sparse.sources.arrays import Arrays

if TYPE_CHECKING:
    from tflite_sparse.sources.dataset import Dataset

RANGES: tuple[Pixels, ...] = get_args(Pixels)

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class _Span:
    low: float
    high: float


_SPANS = {name: _Span(*map(float, name.split(".."))) for name in RANGES}


def of_array(x: Arrays) -> Pixels | None:
    """Return the range of pixels of samples as they were given; None: they are no images, or of an unknown range.

    Images are ``uint8``, or ``(n, height, width, channels)`` with 1, 3 or 4 channels.

    Args:
        x: samples, in the type that they were given in; of several inputs by name.
    """
    if not isinstance(x, np.ndarray) or x.size == 0:
        return None
    if x.dtype == np.uint8:
        return "0..255"
    is_image = x.ndim == 4 and x.shape[-1] in _CHANNELS and x.shape[1] > 1 and x.shape[2] > 1
    if not is_image or x.dtype.kind not in "iuf":
        return None
    low, high = float(x.min()), float(x.max())
    return next((name for name in _NARROWEST if _SPANS[name].low <= low and high <= _SPANS[name].high), None)


_NARROWEST: Sequence[Pixels] = ("0..1", "-1..1", "0..255")


def of_parts(train: Arrays, test: Arrays) -> Pixels | None:
    """Return the range that holds both parts of a data set; see :func:`of_array`."""
    found = (of_array(train), of_array(test))
    if None in found:
        return None
    return max((each for each in found if each is not None), key=_NARROWEST.index)


def converted(x: np.ndarray, given: Pixels, wanted: Pixels) -> np.ndarray:
    """Return pixels in another range, float32.

    Args:
        x: pixels in the range ``given``.
        given: their range.
        wanted: the range to return.
    """
    if given == wanted:
        return x
    old, new = _SPANS[given], _SPANS[wanted]
    share = (x.astype(np.float32) - np.float32(old.low)) / np.float32(old.high - old.low)
    return np.asarray(share * np.float32(new.high - new.low) + np.float32(new.low), np.float32)


def as_told(samples: Dataset, wanted: Pixels | None) -> Dataset:
    """Return a data set in the range that the user told, as it is if none was.

    Raises:
        DataError: a range was told, and the data are no images of a known range, or the model takes integers.
    """
    if wanted is None or samples.pixels == wanted:
        return samples
    x_train, x_test = samples.x_train, samples.x_test
    if samples.pixels is None or not isinstance(x_train, np.ndarray) or not isinstance(x_test, np.ndarray):
        raise DataError(
            f"{samples.name}: `pixels={wanted!r}` applies to one input of images, uint8 or (batch, height, width, "
            f"channels), in {', '.join(RANGES)}: leave it out."
        )
    if x_train.dtype.kind != "f":
        raise DataError(f"{samples.name}: the model takes {x_train.dtype} pixels, 0..255: leave out `pixels`.")
    train, test = (converted(x, samples.pixels, wanted) for x in (x_train, x_test))
    return replace(
        samples,
        x_train=train.astype(x_train.dtype, copy=False),
        x_test=test.astype(x_test.dtype, copy=False),
        pixels=wanted,
    )
