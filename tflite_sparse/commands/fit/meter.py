"""What files take of the resources that ``fit`` limits beside the bytes: multiply-adds, arena, latency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import ExecutionError
from tflite_sparse.fitting.channel_choice import Used
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.measurement import latency, operators
from tflite_sparse.results.fit import Resource
from tflite_sparse.settings import FitSettings

_LEAST_ROUNDS = 15  # of a latency, of which the median counts
_CALL_MS = 1500.0  # of timed runs at most, but for the least rounds


@dataclass(frozen=True, slots=True)
class Meter:
    """Measures what files take of the resources that are limited.

    Other work on the machine slows runs down for a while. So the time of a file is that of the file with all channels,
    measured once, times the ratio of both in a process where they take turns.

    Attributes:
        settings: of the run.
        whole: the dense file with all channels.
        whole_ms: median time of one run of it; 0: time is not limited.
    """

    settings: FitSettings
    whole: Path
    whole_ms: float = 0.0

    @classmethod
    def of(cls, settings: FitSettings, whole: Path, on_step: Step = ignore_steps) -> Meter:
        """Measure the file with all channels.

        Args:
            settings: of the run.
            whole: that file.
            on_step: receives (turns done, all turns) of timing.

        Raises:
            ExecutionError: the runtime refuses it.
        """
        if "latency_ms" not in settings.limits:
            return cls(settings, whole)
        about = float(np.median(latency.interleaved([whole], rounds=_LEAST_ROUNDS)))
        timings = latency.interleaved([whole], rounds=_rounds(about, 1), on_step=on_step)
        return cls(settings, whole, float(np.median(timings)))

    def untouched(self) -> Used:
        """Return what the file with all channels takes.

        Raises: as :meth:`used`.
        """
        return self._with_time(self.whole, self.whole_ms)

    def used_by(self, models: Iterable[Model], folder: Path) -> list[Used]:
        """Return what the files of models take; they lie in ``folder`` where a runtime measures them.

        One model at a time is held in memory.

        Raises: as :meth:`used`.
        """
        if self.settings.limits.keys() == {"multiply_adds"}:
            return [{"multiply_adds": _multiply_adds(model)} for model in models]
        files = []
        for number, model in enumerate(models):
            files.append(folder / f"{number}.tflite")
            serde.write(model, files[-1])
        return self.used(files)

    def used(self, files: Sequence[Path]) -> list[Used]:
        """Return what each file takes.

        Raises:
            ExecutionError: the runtime refuses a file, or is not installed.
        """
        times = self._latencies(files) if "latency_ms" in self.settings.limits else [0.0] * len(files)
        return [self._with_time(file, time) for file, time in zip(files, times, strict=True)]

    def _latencies(self, files: Sequence[Path]) -> list[float]:
        rounds = _rounds(self.whole_ms, 1 + len(files))
        of_whole, *timings = latency.interleaved([self.whole, *files], rounds=rounds)
        return [self.whole_ms * latency.median_ratio(times, of_whole) for times in timings]

    def _with_time(self, file: Path, run_ms: float) -> Used:
        """Return what a file takes, of which one run takes so long."""
        found: dict[Resource, float] = {}
        for name in self.settings.limits:
            if name == "latency_ms":
                found[name] = run_ms
            elif name == "arena_bytes":
                found[name] = self._arena(file)
            else:
                found[name] = _multiply_adds(serde.read(file))
        return found

    def _arena(self, file: Path) -> int:
        target = backend(self.settings.target)
        arena = target.arena_bytes(file)
        if arena is None:
            target.runtimes(1, None)  # says what is missing
            raise ExecutionError(f"{file}: the arena cannot be measured here.")
        return arena


def _multiply_adds(model: Model) -> int:
    return sum(each.multiply_adds or 0 for each in operators.of_model(model))


def _rounds(run_ms: float, files: int) -> int:
    """Return how many turns each of some files has, of which none takes longer than ``run_ms``."""
    return max(_LEAST_ROUNDS, round(_CALL_MS / (files * max(run_ms, latency.BLOCK_MS))))
