"""Make the samples for a comparison of two files: boundary values, then random or real samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tflite_sparse.base.progress import Progress
from tflite_sparse.verification import probes
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Runtimes, Subject


@dataclass(frozen=True, slots=True)
class Drawn:
    """The samples of a graph.

    Attributes:
        samples: one array per input each.
        shapes: found or given shapes of inputs with open sizes, by name.
    """

    samples: Sequence[Sample]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Samples(Protocol):
    """A source of samples."""

    @property
    def seed(self) -> int:
        """Seed of random values."""

    def draw(self, runtimes: Runtimes, reference: Subject, signature: str | None, progress: Progress) -> Drawn:
        """Return the samples of a graph of the reference.

        Args:
            runtimes: describe its inputs.
            reference: the file.
            signature: key of the signature; None: the first graph.
            progress: receives a stage if sizes of inputs are searched for.

        Raises:
            ExecutionError: an input takes no numbers, or the runtime refuses the file.
            InputShapeError: no size of an open input was found that runs.
        """


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Three boundary samples (all smallest, all largest, all zero or the zero point), then random ones.

    Attributes:
        random: number of random samples.
        seed: of the random samples.
    """

    random: int
    seed: int = 0

    def draw(self, runtimes: Runtimes, reference: Subject, signature: str | None, progress: Progress) -> Drawn:
        """See :class:`Samples`."""
        details = runtimes.inputs(reference, signature, find_sizes=True, progress=progress)
        samples = probes.samples_for(details, self.random, self.seed, file=str(reference.path))
        return Drawn(samples, {each.name: each.shape for each in details if each.shape is not None})


@dataclass(frozen=True, slots=True)
class Real:
    """Three boundary samples, then real ones, whose shapes set the open sizes of a file.

    Attributes:
        columns: one array for each input in the file's order, ``(n, ...)``: real values, which are quantised for the
            input, or values of the file's dtype.
        count: largest number of samples, boundary samples included; 4 or more.
        seed: for the report; nothing is random.
    """

    columns: Sequence[np.ndarray]
    count: int
    seed: int = 0

    def draw(self, runtimes: Runtimes, reference: Subject, signature: str | None, progress: Progress) -> Drawn:
        """See :class:`Samples`."""
        details = runtimes.inputs(reference, signature, find_sizes=False, progress=progress)
        fed = []
        for detail, column in zip(details, self.columns, strict=True):
            given = detail.quantised(column[: self.count - probes.BOUNDARIES])
            edges = probes.boundaries(detail, column.shape[1:])
            fed.append([each[None] for each in (*edges, *given)])
        return Drawn(list(zip(*fed, strict=True)))
