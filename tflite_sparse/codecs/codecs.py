"""Call the codecs of DECODE by name."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

import numpy as np

from tflite_sparse.codecs.decodable import WHOLE, Channels, Decodable
from tflite_sparse.codecs.names import CODECS


class Codec(Protocol):
    """Functions of a codec's module. Each raises ValueError if the runtime would not take the array.

    ``refusal`` instead returns the reason, or None.
    """

    def refusal(self, values: np.ndarray, channels: Channels) -> str | None: ...  # noqa: D102 - see the functions below

    def nbytes(self, values: np.ndarray, channels: Channels) -> int: ...  # noqa: D102

    def encode(self, values: np.ndarray, channels: Channels) -> Decodable: ...  # noqa: D102

    def decode(  # noqa: D102
        self, decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype, channels: Channels
    ) -> np.ndarray: ...


def refusal(codec: str, values: np.ndarray, channels: Channels = WHOLE) -> str | None:
    """Return why the runtime does not take an array in this codec, or None."""
    return _module(codec).refusal(values, channels)


def nbytes(codec: str, values: np.ndarray, channels: Channels = WHOLE) -> int:
    """Return the bytes of the result of :func:`encode`, without encoding.

    Raises:
        ValueError: the runtime would not take it.
    """
    return _module(codec).nbytes(values, channels)


def encode(codec: str, values: np.ndarray, channels: Channels = WHOLE) -> Decodable:
    """Encode an array.

    Raises:
        ValueError: the runtime would not take it.
    """
    return _module(codec).encode(values, channels)


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype, channels: Channels = WHOLE) -> np.ndarray:
    """Return the array of this shape and dtype.

    Raises:
        ValueError: it is damaged, or the runtime would not take it.
    """
    return _module(decodable.codec).decode(decodable, shape, dtype, channels)


def _module(codec: str) -> Codec:
    return cast(Codec, importlib.import_module(CODECS[codec].module))
