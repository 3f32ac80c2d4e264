"""TensorFlow Lite Micro as a runtime that files are compared in: its interpreter, with each memory for decoded weights.

LiteRT does not have its DECODE operator. Weights are therefore compared in the decoded form of each file, and LiteRT,
which the reference is compared with beside, runs that form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base import extras
from tflite_sparse.base.progress import Progress
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import custom_operators, dtype_of, graphs, indices, shape_of
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import decoder
from tflite_sparse.rewrites import decode_op
from tflite_sparse.runtime import announced_shapes, micro
from tflite_sparse.runtime.litert import InputDetails, SeparateOutputs
from tflite_sparse.verification import in_litert
from tflite_sparse.verification.in_litert import LiteRTRuntime
from tflite_sparse.verification.observation import Kept, by_index
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Beside, Form, Subject

MISSING = f"{micro.NAME} is not installed here (extra micro)"

_BESIDE = tuple(LiteRTRuntime(kernels) for kernels in ("reference", "builtin", "default"))
"""The reference kernels first: TensorFlow Lite Micro's are made of them. They lack some operators, such as ELU."""

_IN_ARENA, _IN_OWN_MEMORY, _NOTHING = "weights decoded into the arena", "into a memory of their own", "nothing decoded"
_IN_FLASH = "weights computed on as stored"


@dataclass(frozen=True, slots=True)
class MicroRuntime:
    """TensorFlow Lite Micro with one memory for decoded weights.

    Attributes:
        alternate_memory_bytes: of a memory of their own; 0: they lie in the arena.
        words: where they lie, in its name.
    """

    alternate_memory_bytes: int = 0
    words: str | None = None

    @property
    def name(self) -> str:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return micro.NAME if self.words is None else f"{micro.NAME}, {self.words}"

    def run(self, path: Path, samples: Sequence[Sample], signature: str | None = None) -> SeparateOutputs:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`; it runs the first graph."""
        assert signature is None
        return micro.run_separately(path, samples, alternate_memory_bytes=self.alternate_memory_bytes)

    def tensors(self, kept: Kept, sample: Sample) -> Mapping[int, np.ndarray]:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return by_index(self.run(kept.copy, [sample], kept.signature))


_REFERENCE = MicroRuntime()


@dataclass(frozen=True, slots=True)
class MicroRuntimes:
    """TensorFlow Lite Micro in each memory that decoded weights may lie in. The reference runs with them in the arena.

    Attributes:
        check_shapes: whether a file is refused whose shapes are not those that it announces, from which the runtime
            plans its memory.
    """

    check_shapes: bool = True

    @property
    def unavailable(self) -> str | None:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        return None if micro.is_available() else MISSING

    @property
    def beside(self) -> Sequence[Beside]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        return [Beside(_REFERENCE, _BESIDE, in_litert.NAME, gate=True)]

    def open(self, path: Path, folder: Path) -> Subject:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        model = serde.read(path)
        plain = path
        if decoder.is_sparse(model):
            decoder.decode_model(model)
            plain = folder / "decoded.tflite"
            serde.write(model, plain)
        if self.check_shapes:
            refuse_untrue_shapes(plain, path)
        return Subject(path, plain, model)

    def signatures(self, reference: Subject) -> Sequence[str | None]:
        """The first graph, where the runtime is installed."""
        del reference
        return () if self.unavailable else (None,)

    def inputs(
        self, reference: Subject, signature: str | None, *, find_sizes: bool, progress: Progress
    ) -> Sequence[InputDetails]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`; no size is open."""
        del signature, find_sizes, progress
        return micro.inputs(reference.path)

    def forms(self, file: Subject) -> Sequence[Form]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        model = file.model if file.plain == file.path else serde.read(file.path)
        if CUSTOM_CODE in custom_operators(model):
            return [Form(MicroRuntime(0, _IN_FLASH), _REFERENCE, required=True)]
        alternate = 0 if file.plain == file.path else alternate_bytes(decoded_sizes(model))
        runtimes = [MicroRuntime(0, _IN_ARENA), MicroRuntime(alternate, _IN_OWN_MEMORY)]
        return [
            Form(each, _REFERENCE, required=True) for each in (runtimes if alternate else [MicroRuntime(0, _NOTHING)])
        ]


def check_available() -> None:
    """Refuse to go on where the runtime cannot be asked.

    Raises:
        ExecutionError: it is not installed.
    """
    if not micro.is_available():
        raise ExecutionError(f"{MISSING}: {extras.install_command('micro')}")


def refuse_untrue_shapes(plain: Path, source: Path) -> None:
    """Refuse a file whose shapes are not those that it announces: the runtime would compute garbage.

    Args:
        plain: the file without DECODE, which LiteRT runs to tell.
        source: how the error names the file.

    Raises:
        ExecutionError: it is one.
    """
    refusal = announced_shapes.refusal(plain)
    if refusal is not None:
        raise ExecutionError(f"{source} is not for {micro.NAME}: {refusal}.")


def decoded_sizes(model: Model) -> list[list[int]]:
    """For each DECODE of a parsed model, the bytes of each constant that it yields."""
    found = []
    for graph in graphs(model):
        for operator in graph.operators:
            if graph.operator_name(operator) == decode_op.CUSTOM_CODE:
                sizes = []
                for index in indices(operator.outputs):
                    dtype = dtype_of(graph.tensor(index))
                    assert dtype is not None  # the codecs take numbers only
                    sizes.append(math.prod(shape_of(graph.tensor(index))) * dtype.itemsize)
                found.append(sizes)
    return found


def alternate_bytes(sizes: Sequence[Sequence[int]]) -> int:
    """The memory in which the weights of any one operator have room, given :func:`decoded_sizes`."""
    alignment = micro.ARENA_ALIGNMENT
    return max((sum(-(-size // alignment) * alignment for size in each) for each in sizes), default=0)
