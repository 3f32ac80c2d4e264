"""Generated C as a runtime that files are compared in: compiled here, and run beside TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.backends import c_inspection, in_micro, micro_cpp, micro_inspection
from tflite_sparse.backends.in_micro import MicroRuntime, MicroRuntimes
from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Progress
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.errors import ExecutionError, OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, indices, text
from tflite_sparse.runtime import host_c, micro, micro_refusals
from tflite_sparse.runtime.host_c import HostProgram, PortBytes, Ports
from tflite_sparse.runtime.litert import InputDetails, SeparateOutputs
from tflite_sparse.standalone_c import files, shape_arithmetic
from tflite_sparse.standalone_c.files import Sources
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.standalone_c.program import CType
from tflite_sparse.targets.sparse_micro import Aim, SparseMicro
from tflite_sparse.verification.observation import Kept, by_index
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Beside, Form, Subject

_DTYPES: Mapping[CType, np.dtype] = {
    "int8_t": np.dtype(np.int8),
    "float": np.dtype(np.float32),
    "int32_t": np.dtype(np.int32),
}
_OTHER_TYPES = (schema.TensorType.UINT8, schema.TensorType.INT16)
_IN_INT8 = "convert it in int8, inputs and outputs as well, as export --int8 does"


@dataclass(frozen=True, slots=True)
class CRuntime:
    """The C that a file becomes, compiled with the compiler of this machine.

    Attributes:
        cpu: that it is generated for.
    """

    cpu: MicroCpu = "generic"

    @property
    def name(self) -> str:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return host_c.NAME

    def run(self, path: Path, samples: Sequence[Sample], signature: str | None = None) -> SeparateOutputs:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`; it runs the first graph."""
        assert signature is None
        sources = generated(path, Naming("model", "tflite-sparse", path.name), self.cpu)
        with scratch.folder() as work:
            rows = compiled(sources, work).run(samples)
        outputs = tuple(indices(serde.read(path).subgraphs[0].outputs))
        names = tuple(sources.program.values[number].name for number in sources.program.outputs)
        return SeparateOutputs(names, outputs, tuple(rows))

    def tensors(self, kept: Kept, sample: Sample) -> Mapping[int, np.ndarray]:
        """See :class:`tflite_sparse.verification.runtimes.Runtime`."""
        return by_index(self.run(kept.copy, [sample], kept.signature))


@dataclass(frozen=True, slots=True)
class CRuntimes:
    """Generated C beside TensorFlow Lite Micro on the dense file.

    Attributes:
        cpu: that it is generated for.
        micro: the reference.
    """

    cpu: MicroCpu = "generic"
    micro: MicroRuntimes = MicroRuntimes()  # noqa: RUF009 - it is frozen

    @property
    def unavailable(self) -> str | None:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        return host_c.MISSING if host_c.compiler() is None else self.micro.unavailable

    @property
    def beside(self) -> Sequence[Beside]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        return self.micro.beside

    def open(self, path: Path, folder: Path) -> Subject:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        return self.micro.open(path, folder)

    def signatures(self, reference: Subject) -> Sequence[str | None]:
        """The first graph, where compiler and reference are installed."""
        del reference
        return () if self.unavailable else (None,)

    def inputs(
        self, reference: Subject, signature: str | None, *, find_sizes: bool, progress: Progress
    ) -> Sequence[InputDetails]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`; no size is open."""
        return self.micro.inputs(reference, signature, find_sizes=find_sizes, progress=progress)

    def forms(self, file: Subject) -> Sequence[Form]:
        """See :class:`tflite_sparse.verification.runtimes.Runtimes`."""
        del file
        return [Form(CRuntime(self.cpu), MicroRuntime(), required=True)]


def planned(cpu: MicroCpu, aim: Aim) -> SparseMicro:
    """The target that chooses forms: sparse where it beats the dense operators of generated C."""
    return SparseMicro(cpu, aim, "standalone")


def generated(path: Path, naming: Naming, cpu: MicroCpu) -> Sources:
    """A file in C; see :func:`tflite_sparse.standalone_c.files.generate`. Errors name the file."""
    model = serde.read(path)
    elsewhere = c_inspection.sparse_elsewhere(model)
    if elsewhere is not None:
        raise ExecutionError(f"{path}: {elsewhere}.")
    try:
        return files.generate(model, naming, cpu)
    except OperatorRefusedError as error:
        way_out = _way_out(path, error.tensors[0][0])
        raise OperatorRefusedError(f"{path}: {error}{way_out}.", error.tensors) from error
    except ExecutionError as error:
        raise ExecutionError(f"{path}: {str(error).rstrip('.')}{_way_out(path)}.") from error


def _way_out(path: Path, refused: str | None = None) -> str:
    """What to do with a file that generated C does not take, as what follows the reason; empty if nothing is known.

    Args:
        path: of the file.
        refused: the first tensor that the refused operator yields; None: the file is refused for another reason.
    """
    model = serde.read(path)
    graph = Graph(model, model.subgraphs[0])
    ways = [] if _is_in_int8(graph) else [_IN_INT8]
    if micro_inspection.runs(path, model):
        ways.append("`target='micro'` takes it")
    if ways:
        return "".join(f"; {each}" for each in ways)
    if any(each == refused for each in _of_open_sizes(graph)):
        return f"; {micro_refusals.OPEN_BATCH}"
    lacked = micro_refusals.missing(model, micro_cpp.unsupported(model))
    found = next((each for each in lacked if each.tensors[0] == refused), None)
    return "" if found is None else f", and {micro.NAME} lacks it as well: {found.way_out}"


def _is_in_int8(graph: Graph) -> bool:
    """Whether a graph computes in int8, at least in part, and no input or output is of another integer type."""
    computed = {graph.tensor(index).type for operator in graph.operators for index in indices(operator.outputs)}
    ports = (*indices(graph.subgraph.inputs), *indices(graph.subgraph.outputs))
    types = {graph.tensor(index).type for index in ports}
    return schema.TensorType.INT8 in computed | types and types.isdisjoint(_OTHER_TYPES)


def _of_open_sizes(graph: Graph) -> Iterator[str]:
    """The first outputs of the operators that take sizes that the model works out, by name."""
    sizes = shape_arithmetic.tensors(graph)
    for operator in graph.operators:
        outputs = indices(operator.outputs)
        if outputs and not sizes.isdisjoint(indices(operator.inputs)):
            yield text(graph.tensor(outputs[0]).name)


def compiled(sources: Sources, folder: Path, flags: Sequence[str] = ()) -> HostProgram:
    """Compile a model in C for this machine.

    Args:
        sources: the model.
        folder: an empty one, which gets the sources and the program.
        flags: further flags of the compiler.

    Raises:
        ExecutionError: there is no compiler, or it failed.
    """
    host_c.write(sources.files, folder)
    return host_c.compiled(folder, sources.c_files, sources.naming.prefix, ports_of(sources), flags)


def ports_of(sources: Sources) -> Ports:
    """The inputs and outputs of a model in C."""
    values = sources.program.values
    inputs, outputs = (
        tuple(PortBytes(values[number].shape, _DTYPES[values[number].ctype]) for number in numbers)
        for numbers in (sources.program.inputs, sources.program.outputs)
    )
    return inputs, outputs


def check_available() -> None:
    """Refuse to go on where outputs cannot be compared.

    Raises:
        ExecutionError: no C compiler or no reference is installed.
    """
    if host_c.compiler() is None:
        raise ExecutionError(f"{host_c.MISSING}.")
    in_micro.check_available()
