"""How the values of weights are spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BINS = 41  # odd, so that the values around zero share a bin


@dataclass(frozen=True, slots=True)
class Histogram:
    """Histogram of the nonzero values of one weight.

    Attributes:
        name: of the tensor.
        low: left end of the first bin, in stored values.
        high: right end of the last bin; ``low == -high``.
        counts: number of values in each of the equally wide bins.
        zeros: number of zeros, which are in no bin.
    """

    name: str
    low: float
    high: float
    counts: tuple[int, ...]
    zeros: int


def of_values(name: str, values: np.ndarray) -> Histogram:
    """Count the values of a weight, numbers of any shape; those that are not finite are left out."""
    numbers = values.astype(np.float64).reshape(-1)
    kept = numbers[(numbers != 0) & np.isfinite(numbers)]
    end = float(np.abs(kept).max()) if kept.size else 1.0
    counts, _ = np.histogram(kept, bins=_BINS, range=(-end, end))
    return Histogram(name, -end, end, tuple(map(int, counts)), int(np.count_nonzero(numbers == 0)))
