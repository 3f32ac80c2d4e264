"""The interface of a runtime to the verification engine.

An adapter adds a runtime: a class with the members of :class:`Runtime` for each way of running a file, and one with
those of :class:`Runtimes` for their common part. See :mod:`tflite_sparse.verification.in_litert` for LiteRT.
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
    """A parsed file under comparison.

    Attributes:
        path: the file that its runtimes run.
        plain: an equivalent file for LiteRT: ``path``, if LiteRT has all its operators.
        model: the contents of ``plain``; never edited.
    """

    path: Path
    plain: Path
    model: Model

    @classmethod
    def of(cls, path: Path) -> Subject:
        """Read a file that LiteRT runs unchanged.

        Raises:
            FlatbufferError: it cannot be read.
        """
        return cls(path, path, serde.read(path))


class Runtime(Protocol):
    """One way to run a file. Instances that are equal (``==``, ``hash``) give the same outputs."""

    @property
    def name(self) -> str:
        """Name in results."""

    def run(self, path: Path, samples: Sequence[Sample], signature: str | None = None) -> SeparateOutputs:
        """Run samples, each from the state of a freshly loaded file.

        Args:
            path: the ``.tflite`` file.
            samples: each has one array per input, in the input's whole shape (batch included) and dtype.
            signature: key of the signature to run; None: the first graph.

        Raises:
            ExecutionError: the runtime refuses the file or the samples, or its process died.
        """

    def tensors(self, kept: Kept, sample: Sample) -> Mapping[int, np.ndarray]:
        """Return the values of the tensors of ``kept`` and of its graph's outputs, by tensor index.

        Raises:
            ExecutionError: the runtime refuses the file or the sample, or cannot return intermediate tensors.
        """


@dataclass(frozen=True, slots=True)
class Form:
    """One way to compare two files.

    Attributes:
        runtime: runs the file under test.
        reference: runs the reference file.
        gate: whether different outputs are a failure.
        required: whether it is an error if the reference does not run; else nothing is compared.
    """

    runtime: Runtime
    reference: Runtime
    gate: bool = True
    required: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """Comparison of the reference file in two runtimes, which shows a fault that both files share.

    Attributes:
        runtime: the runtime under test, which is the ``reference`` of a form.
        others: candidates for the other runtime; the first that runs the file is used.
        name: common name of the others.
        gate: whether a difference larger than rounding is a failure.
    """

    runtime: Runtime
    others: tuple[Runtime, ...]
    name: str
    gate: bool


class Runtimes(Protocol):
    """A runtime with all its ways to run files."""

    @property
    def unavailable(self) -> str | None:
        """Why no outputs are compared; None if they are."""

    @property
    def beside(self) -> Sequence[Beside]:
        """Comparisons of the reference across runtimes, for the first graph of a file."""

    def open(self, path: Path, folder: Path) -> Subject:
        """Read a file; write temporary files to ``folder``.

        Raises:
            FlatbufferError: the file cannot be read.
            ExecutionError: it is not for this runtime, which would compute wrong outputs.
        """

    def signatures(self, reference: Subject) -> Sequence[str | None]:
        """Return the signatures to run, None for the first graph; empty if the runtime is unavailable."""

    def inputs(
        self, reference: Subject, signature: str | None, *, find_sizes: bool, progress: Progress
    ) -> Sequence[InputDetails]:
        """Return the inputs of a graph of the reference.

        Args:
            reference: the file.
            signature: key of the signature; None: the first graph.
            find_sizes: whether to find a shape that runs for each input with open sizes.
            progress: receives a stage for this search.

        Raises:
            ExecutionError: the runtime refuses the file.
            InputShapeError: no size was found that runs.
        """

    def forms(self, file: Subject) -> Sequence[Form]:
        """Return the ways to compare the file under test."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No runtime: only weights are compared.

    Attributes:
        unavailable: the reason.
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
