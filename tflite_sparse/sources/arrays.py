"""Samples of one input or output as an array, of several as arrays by name. The first axis counts samples."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import numpy as np

Arrays = np.ndarray | Mapping[str, np.ndarray]


def columns(arrays: Arrays) -> tuple[np.ndarray, ...]:
    """Return the arrays alone, each ``(n, ...)``."""
    return tuple(arrays.values()) if isinstance(arrays, Mapping) else (arrays,)


def alone(arrays: Arrays) -> np.ndarray:
    """Return the array of the only input or output.

    Raises:
        ValueError: there are several.
    """
    (array,) = columns(arrays)
    return array


def count(arrays: Arrays) -> int:
    """Return the number of samples."""
    return len(columns(arrays)[0])


def take(arrays: Arrays, rows: slice | np.ndarray) -> Arrays:
    """Return the samples ``rows`` (a slice, or an array of indices), in the same form."""
    if isinstance(arrays, Mapping):
        return {name: array[rows] for name, array in arrays.items()}
    return arrays[rows]


def spread(arrays: Arrays, most: int) -> Arrays:
    """Return all samples, or ``most`` of them at even distances: data may be sorted by class."""
    return take(arrays, spread_rows(count(arrays), most))


def spread_rows(held: int, most: int) -> np.ndarray:
    """Return the indices of all of ``held`` samples, or of ``most`` of them at even distances."""
    return np.linspace(0, held - 1, min(most, held)).round().astype(int)


def at_random(arrays: Arrays, most: int, seed: int) -> Arrays:
    """Return all samples, not copied, or ``most`` of them, chosen at random, in their order."""
    held = count(arrays)
    if held <= most:
        return arrays
    return take(arrays, np.sort(np.random.default_rng(seed).choice(held, most, replace=False)))


def checksum(arrays: Iterable[np.ndarray]) -> str:
    """Return the CRC-32 of the bytes of all arrays in C order, as eight hexadecimal digits."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return f"{found:08x}"


def ordered(arrays: Arrays, names: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """Return the arrays in the order of ``names``; a single array has no name."""
    return tuple(arrays[name] for name in names) if isinstance(arrays, Mapping) else (arrays,)
