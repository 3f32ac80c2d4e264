"""How sparsity rises while a model trains: pure functions of the step."""

from __future__ import annotations

from dataclasses import dataclass

from tflite_sparse.errors import SettingsError


@dataclass(frozen=True, slots=True)
class PolynomialSchedule:
    """The gradual schedule of Zhu and Gupta (2017), equation 1.

    ``s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3`` for ``t`` in ``{t0, t0 + dt, ..., t0 + n dt}``: fast while
    there is much to remove, slower towards the end.

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
        if not 0 <= self.begin < self.end:
            raise SettingsError(f"pruning from step {self.begin} to step {self.end}: begin must come before end.")
        if self.frequency < 1:
            raise SettingsError(f"frequency = {self.frequency}: masks must be made every 1 or more steps.")

    def sparsity_at(self, step: int) -> float:
        """Sparsity after ``step``: 0 before ``begin``, ``final`` from ``end`` on."""
        if step < self.begin:
            return 0.0
        remaining = 1 - min((step - self.begin) / (self.end - self.begin), 1.0)
        return self.final + (self.initial - self.final) * remaining**3

    def updates_at(self, step: int) -> bool:
        """Whether masks are made anew after ``step``. The last time is ``end`` itself, whatever the frequency."""
        if not self.begin <= step <= self.end:
            return False
        return step == self.end or (step - self.begin) % self.frequency == 0
