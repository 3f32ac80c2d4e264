"""The samples that two files are compared on: made up, or real ones behind those at the boundaries."""

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
        samples: what its inputs are fed with.
        shapes: of inputs with open sizes, by name, those that were found or given.
    """

    samples: Sequence[Sample]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Samples(Protocol):
    """Where samples come from."""

    @property
    def seed(self) -> int:
        """Of what is random in them."""

    def draw(self, runtimes: Runtimes, reference: Subject, signature: str | None, progress: Progress) -> Drawn:
        """The samples of a graph of the reference.

        Args:
            runtimes: describe its inputs.
            reference: the file.
            signature: whose graph; None: the first.
            progress: receives the stage in which sizes of inputs are looked for.

        Raises:
            ExecutionError: an input takes no numbers, or the runtime refuses the file.
            InputShapeError: no size of an open input was found that runs.
        """


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Random samples behind the three at the boundaries: all smallest, all largest, all at zero or the zero point.

    Attributes:
        random: how many are random.
        seed: of these.
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
    """Real samples behind the three at the boundaries. They tell the sizes that a file leaves open.

    Attributes:
        columns: one array for each input in the file's order, ``(n, ...)``: real values, which are quantised as the
            input asks, or values of the file's own dtype.
        count: how many samples there are at most, those at the boundaries included; 4 or more.
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
