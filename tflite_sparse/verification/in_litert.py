"""Run the files under comparison in LiteRT: its interpreters and CompiledModel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Progress
from tflite_sparse.flatbuffer.graph import text
from tflite_sparse.runtime import input_shapes, litert
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.runtime.litert import InputDetails, Kernels, SeparateOutputs
from tflite_sparse.verification.observation import Kept, by_index
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Beside, Form, Subject

NAME = "LiteRT"

_BESIDE_BUILTIN: tuple[Kernels, ...] = ("default", "compiled_model")


@dataclass(frozen=True, slots=True)
class LiteRTRuntime:
    """One of LiteRT's runtimes.

    Attributes:
        kernels: name of the runtime.
        threads: of its interpreter.
        at_once: number of samples in one batch, if the file leaves the batch open.
    """

    kernels: Kernels
    threads: int = 1
    at_once: int = 1

    @property
    def name(self) -> str:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return litert.NAMES[self.kernels]

    def run(self, path: Path, samples: Sequence[Sample], signature: str | None = None) -> SeparateOutputs:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return litert.run_separately(
            path, samples, self.kernels, signature=signature, threads=self.threads, at_once=self.at_once
        )

    def tensors(self, kept: Kept, sample: Sample) -> Mapping[int, np.ndarray]:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return by_index(self.run(kept.copy, [sample], kept.signature))


@dataclass(frozen=True, slots=True)
class LiteRTRuntimes:
    """LiteRT's runtimes. Different outputs in the reference kernels are no failure.

    No app uses the reference kernels, and they round FULLY_CONNECTED differently from the CONV_2D that may replace it.
    Across runtimes, the built-in kernels are compared with independent ones; a difference does not show which is wrong.

    Attributes:
        kernels: names of the runtimes.
        threads: of the interpreters. With several, built-in float kernels may sum in another order if a DENSIFY stands
            before a DEQUANTIZE.
        input_shapes: of inputs with open sizes, by name; None: find sizes that run.
        default_must_run: whether it is an error if the default interpreter refuses the reference; else nothing is
            compared there.
        at_once: number of samples in one batch, if a file leaves the batch open.
        across: whether the reference is compared across runtimes.
    """

    kernels: tuple[Kernels, ...] = litert.KERNELS_TO_VERIFY
    threads: int = 1
    input_shapes: Shapes | None = None
    default_must_run: bool = True
    at_once: int = 1
    across: bool = True
    unavailable: None = None

    @property
    def beside(self) -> Sequence[Beside]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        if not self.across or "builtin" not in self.kernels:
            return ()
        others = [kernels for kernels in _BESIDE_BUILTIN if kernels in self.kernels]
        return [Beside(self._runtime("builtin"), (self._runtime(kernels),), NAME, gate=False) for kernels in others]

    def open(self, path: Path, folder: Path) -> Subject:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        del folder
        return Subject.of(path)

    def signatures(self, reference: Subject) -> Sequence[str | None]:
        """Return all signatures if there are several, else the first graph."""
        keys = [text(definition.signatureKey) for definition in reference.model.signatureDefs or ()]
        return keys if len(keys) > 1 else [None]

    def inputs(
        self, reference: Subject, signature: str | None, *, find_sizes: bool, progress: Progress
    ) -> Sequence[InputDetails]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        if not find_sizes:
            return litert.inputs(reference.path, signature, model=reference.model)
        return input_shapes.inputs(
            reference.path, self.input_shapes, signature=signature, model=reference.model, progress=progress
        )

    def forms(self, file: Subject) -> Sequence[Form]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        del file
        return [
            Form(
                runtime=self._runtime(kernels),
                reference=self._runtime(kernels),
                gate=kernels in litert.ALL_KERNELS,
                required=kernels == "default" and self.default_must_run,
            )
            for kernels in self.kernels
        ]

    def _runtime(self, kernels: Kernels) -> LiteRTRuntime:
        return LiteRTRuntime(kernels, self.threads, self.at_once)
