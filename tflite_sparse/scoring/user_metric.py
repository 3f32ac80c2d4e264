"""Load and call a metric function of the user."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_sparse.errors import DataError, one_line
from tflite_sparse.scoring.evidence import Evidence, mean
from tflite_sparse.settings import METRICS
from tflite_sparse.sources import user_code

_RESAMPLES = 200  # each calls the function


@dataclass(frozen=True, slots=True)
class UserMetric:
    """``function(outputs, labels)``, both ``(n, ...)``: returns one number, or one for each sample, whose mean counts.

    Attributes:
        spec: ``path/to/module.py:function``.
        function: higher is better. Booleans, one for each sample, mean right samples.
    """

    spec: str
    function: Callable[[np.ndarray, np.ndarray], object]

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.spec.rpartition(":")[2]

    def evidence(self, outputs: np.ndarray, labels: np.ndarray) -> Evidence:
        """Return the evidence of the score of ``outputs`` ``(n, ...)`` against ``labels``.

        Raises:
            DataError: the function raised, or returned something else.
        """
        values = self._called(outputs, labels)
        if values.ndim == 0:
            return Evidence((outputs, labels), lambda *drawn: float(self._called(*drawn)), resamples=_RESAMPLES)
        return Evidence((values,), mean)

    def _called(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
                values = np.asarray(self.function(outputs, labels))
        except Exception as error:
            raise DataError(f"{self.spec} raised {type(error).__name__}: {one_line(error)}") from error
        if values.dtype.kind not in "biuf" or values.shape not in ((), (len(outputs),)):
            raise DataError(
                f"{self.spec} returned {values.dtype} of shape {values.shape}; it must return one number, or "
                f"{len(outputs)}, one for each sample."
            )
        if not np.isfinite(values).all():
            raise DataError(f"{self.spec} returned NaN or infinity; it must return finite numbers.")
        return values


def named(metric: str) -> Any:
    """Return a metric by name: a built-in one, or the result of :func:`load`.

    Raises:
        DataError: see :func:`load`.
    """
    return metric if metric in METRICS else load(metric)


def load(spec: str) -> UserMetric:
    """Run a module and return the function that ``path/to/module.py:function`` names.

    Raises:
        DataError: there is none, or the module raised an exception.
    """
    named = user_code.address(spec)
    if named is None:
        raise DataError(f"`metric={spec!r}`: it takes FILE.py:FUNCTION.")
    return UserMetric(spec, user_code.load_function(*named, DataError))
