"""What the comparison of two files asks of a runtime.

A runtime is added as an adapter: a class with the members of :class:`Runtime` for each way in which it runs a file,
and one with those of :class:`Runtimes` for what they have in common. :mod:`tflite_sparse.verification.in_litert` is the
one of LiteRT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tflite_sparse.base.progress import Progress
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.runtime.litert import InputDetails, SeparateOutputs
from tflite_sparse.verification.observation import Kept
from tflite_sparse.verification.probes import Sample


@dataclass(frozen=True, slots=True)
class Subject:
    """A file that is compared, read once.

    Attributes:
        path: what its runtimes run.
        plain: a file that computes the same in LiteRT: ``path``, if LiteRT has all its operators.
        model: the contents of ``plain``. They are not edited.
    """

    path: Path
    plain: Path
    model: Model

    @classmethod
    def of(cls, path: Path) -> Subject:
        """A file that LiteRT takes as it is.

        Raises:
            FlatbufferError: it cannot be read.
        """
        return cls(path, path, serde.read(path))


class Runtime(Protocol):
    """One way to run a file. Equal ones, as ``==`` and ``hash`` tell, yield the same."""

    @property
    def name(self) -> str:
        """As results call it."""

    def run(self, path: Path, samples: Sequence[Sample], signature: str | None = None) -> SeparateOutputs:
        """Run samples, each from the state of a freshly loaded file.

        Args:
            path: the ``.tflite`` file.
            samples: for each one array for each input, in the input's whole shape (batch included) and dtype.
            signature: whose graph to run; None: the first.

        Raises:
            ExecutionError: the runtime refuses the file or the samples, or its process died.
        """

    def tensors(self, kept: Kept, sample: Sample) -> Mapping[int, np.ndarray]:
        """By tensor index the values of the tensors that ``kept`` asks for, and of the outputs of its graph.

        Raises:
            ExecutionError: the runtime refuses the file or the sample, or cannot tell what tensors hold.
        """


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which two files are compared.

    Attributes:
        runtime: runs the file in question.
        reference: runs the file that says how it must be.
        gate: whether outputs that differ are a failure.
        required: whether it is an error that the reference does not run; else nothing is compared.
    """

    runtime: Runtime
    reference: Runtime
    gate: bool = True
    required: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """The reference in one runtime beside another, which shows a fault that both files share.

    Attributes:
        runtime: the one in question, which is the ``reference`` of a form.
        others: the one that it is compared with is the first of these that runs the file.
        name: of what the others are part of.
        gate: whether a difference that rounding does not explain is a failure.
    """

    runtime: Runtime
    others: tuple[Runtime, ...]
    name: str
    gate: bool


class Runtimes(Protocol):
    """A runtime with all the ways in which it runs files."""

    @property
    def unavailable(self) -> str | None:
        """Why no outputs are compared; None if they are."""

    @property
    def beside(self) -> Sequence[Beside]:
        """What the reference is compared with itself in. It is for the first graph of a file."""

    def open(self, path: Path, folder: Path) -> Subject:
        """Read a file. What has to be written for that goes into ``folder``.

        Raises:
            FlatbufferError: the file cannot be read.
            ExecutionError: it is not for this runtime, which would compute garbage.
        """

    def signatures(self, reference: Subject) -> Sequence[str | None]:
        """Whose graphs are run. None stands for the first graph; there are none where ``unavailable`` says why."""

    def inputs(
        self, reference: Subject, signature: str | None, *, find_sizes: bool, progress: Progress
    ) -> Sequence[InputDetails]:
        """The inputs of a graph of the reference.

        Args:
            reference: the file.
            signature: whose graph; None: the first.
            find_sizes: whether each gets a shape that runs, where it leaves sizes open.
            progress: receives the stage in which such shapes are looked for.

        Raises:
            ExecutionError: the runtime refuses the file.
            InputShapeError: no size was found that runs.
        """

    def forms(self, file: Subject) -> Sequence[Form]:
        """The ways in which the file in question is compared."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No runtime: weights alone are compared.

    Attributes:
        unavailable: why.
    """

    unavailable: str
    beside: tuple[Beside, ...] = ()

    def open(self, path: Path, folder: Path) -> Subject:
        """See :class:`Runtimes`."""
        del folder
        return Subject.of(path)

    def signatures(self, reference: Subject) -> Sequence[str | None]:
        """See :class:`Runtimes`."""
        del reference
        return ()

    def inputs(
        self, reference: Subject, signature: str | None, *, find_sizes: bool, progress: Progress
    ) -> Sequence[InputDetails]:
        """See :class:`Runtimes`."""
        del reference, signature, find_sizes, progress
        return ()

    def forms(self, file: Subject) -> Sequence[Form]:
        """See :class:`Runtimes`."""
        del file
        return ()
