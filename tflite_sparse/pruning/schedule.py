"""Define how sparsity rises while a model trains, as pure functions of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tflite_sparse.errors import SettingsError


class Schedule(Protocol):
    """The schedule of a kernel's pruning."""

    @property
    def final(self) -> float:
        """Sparsity at the end."""

    @property
    def begin(self) -> int:
        """Step of the first mask."""

    @property
    def end(self) -> int:
        """Step of the last mask."""

    def sparsity_at(self, step: int) -> float:
        """Sparsity after ``step``."""

    def updates_at(self, step: int) -> bool:
        """Return whether new masks are made after ``step``."""


@dataclass(frozen=True, slots=True)
class PolynomialSchedule:
    """The gradual schedule of Zhu and Gupta (2017), equation 1.

    ``s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3`` for ``t`` in ``{t0, t0 + dt, ..., t0 + n dt}``: fast while
    many weights are left, slower towards the end.

    Attributes:
        initial: sparsity ``s_i`` at ``begin``, in [0, 1).
        final: sparsity ``s_f`` from ``end`` on, in [0, 1).
        begin: step ``t0`` of the first mask.
        end: step ``t0 + n dt`` of the last one; masks are frozen after it.
        frequency: ``dt``, steps between two masks.

    Raises:
        SettingsError: a sparsity is out of range, or the steps are out of order.
    """

    initial: float
    final: float
    begin: int
    end: int
    frequency: int

    def __post_init__(self) -> None:
        for name, value in (("initial", self.initial), ("final", self.final)):
            if not 0 <= value < 1:
                raise SettingsError(f"{name} sparsity = {value}: must be at least 0 and less than 1.")
        _check_steps(self.begin, self.end, self.frequency)

    def sparsity_at(self, step: int) -> float:
        """Sparsity after ``step``: 0 before ``begin``, ``final`` from ``end`` on."""
        if step < self.begin:
            return 0.0
        remaining = 1 - min((step - self.begin) / (self.end - self.begin), 1.0)
        return self.final + (self.initial - self.final) * remaining**3

    def updates_at(self, step: int) -> bool:
        """Return whether new masks are made after ``step``. The last time is ``end`` itself, whatever the frequency."""
        return _is_due(step, self.begin, self.end, self.frequency)


@dataclass(frozen=True, slots=True)
class ConstantSchedule:
    """The final sparsity at once, with masks that follow the weights from ``begin`` to ``end``.

    Attributes:
        final: sparsity from ``begin`` on, in [0, 1).
        begin: step of the first mask.
        end: step of the last one; masks are frozen after it.
        frequency: steps between two masks.

    Raises:
        SettingsError: the sparsity is out of range, or the steps are out of order.
    """

    final: float
    begin: int
    end: int
    frequency: int

    def __post_init__(self) -> None:
        if not 0 <= self.final < 1:
            raise SettingsError(f"sparsity = {self.final}: must be at least 0 and less than 1.")
        _check_steps(self.begin, self.end, self.frequency)

    def sparsity_at(self, step: int) -> float:
        """Sparsity after ``step``: 0 before ``begin``, ``final`` from then on."""
        return self.final if step >= self.begin else 0.0

    def updates_at(self, step: int) -> bool:
        """Return whether new masks are made after ``step``. The last time is ``end`` itself, whatever the frequency."""
        return _is_due(step, self.begin, self.end, self.frequency)


@dataclass(frozen=True, slots=True)
class Frozen:
    """No masks are made: weights that are zero when training starts stay zero."""

    final: float = 0.0
    begin: int = 0
    end: int = 0

    def sparsity_at(self, step: int) -> float:
        """Return 0: no sparsity is demanded."""
        del step
        return 0.0

    def updates_at(self, step: int) -> bool:
        """Return False."""
        del step
        return False


def _is_due(step: int, begin: int, end: int, frequency: int) -> bool:
    return begin <= step <= end and (step == end or (step - begin) % frequency == 0)


def _check_steps(begin: int, end: int, frequency: int) -> None:
    if not 0 <= begin < end:
        raise SettingsError(f"pruning from step {begin} to step {end}: begin must come before end.")
    if frequency < 1:
        raise SettingsError(f"frequency = {frequency}: masks must be made every 1 or more steps.")
