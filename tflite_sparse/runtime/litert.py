"""LiteRT's runtimes, in a child process: the native code prints on stderr and may crash on a bad file."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.base import child
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, Use, graphs, indices, type_name
from tflite_sparse.runtime import over_time, time_limit
from tflite_sparse.runtime.over_time import Feedback

Kernels = Literal["default", "builtin", "reference", "compiled_model"]
"""``default``: the interpreter as apps get it, with XNNPACK; ``builtin``: without any delegate; ``reference``: the same
with the kernels that are written for clarity; ``compiled_model``: the API of LiteRT 2, which the Android library offers
as its standard one."""

ALL_KERNELS: tuple[Kernels, ...] = ("default", "builtin", "compiled_model")
"""What apps run."""

KERNELS_TO_VERIFY: tuple[Kernels, ...] = ("default", "builtin", "reference", "compiled_model")

NAMES: dict[Kernels, str] = {
    "default": "LiteRT interpreter, default (XNNPACK)",
    "builtin": "LiteRT interpreter, built-in kernels",
    "reference": "LiteRT interpreter, reference kernels",
    "compiled_model": "LiteRT CompiledModel (CPU)",
}

_RESOLVERS: dict[Kernels, str] = {
    "default": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
    "compiled_model": "AUTO",
}

UNKNOWN_SIZE = 32
"""Of a size that may change, other than the batch, where nothing tells a better one."""

BATCH = 32
"""How many samples are run as one batch where a file leaves the batch open."""

_VALUES_AT_ONCE = 1 << 16
_SECONDS_TO_RUN = 60


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model yields for a set of samples.

    Attributes:
        arrays: one array for each output, ``(n, ...)``, in the dtype of the file.
        scales: of each output; 0 where it is not quantised.
        zero_points: of each output.
    """

    arrays: tuple[np.ndarray, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], quantisation: Sequence[tuple[float, int]]) -> Outputs:
        """From each output's array and its (scale, zero point)."""
        scales, zero_points = zip(*quantisation, strict=True)
        return cls(tuple(arrays), scales, zero_points)

    def real(self, index: int = 0) -> np.ndarray:
        """Output ``index`` as real numbers, float32: ``scale * (q - zero point)``."""
        array, scale = self.arrays[index], self.scales[index]
        if scale == 0:
            return array.astype(np.float32)
        return ((array.astype(np.float32) - self.zero_points[index]) * np.float32(scale)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class InputDetails:
    """One input of a file: name, shape with -1 for a size that may change, dtype, quantisation (scale 0: none).

    ``counts`` tells that all its readers first cast it to integers, as Keras's Embedding does with the float input that
    is Keras's default: what they take is numbers of tokens. ``shape`` is one to run it with, where it is known.
    """

    name: str
    signature: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero_point: int
    counts: bool = False
    shape: tuple[int, ...] | None = None

    @property
    def example_shape(self) -> tuple[int, ...]:
        """:attr:`shape`, else of a batch that may change 1, of other sizes that may :data:`UNKNOWN_SIZE`."""
        if self.shape is not None:
            return self.shape
        batch, rest = self.signature[:1], self.signature[1:]
        return tuple(max(size, 1) for size in batch) + tuple(size if size > 0 else UNKNOWN_SIZE for size in rest)

    def quantised(self, samples: np.ndarray) -> np.ndarray:
        """Real-valued ``samples`` in the dtype of the file: ``round(x / scale) + zero point``, clipped."""
        if self.scale == 0 or samples.dtype == self.dtype:
            return samples.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        result = np.empty(samples.shape, self.dtype)
        # A few at a time: arrays of this size stay in the cache, of all samples every page is new, ten times slower.
        flat, filled = samples.reshape(-1), result.reshape(-1)
        for start in range(0, flat.size, _VALUES_AT_ONCE):
            part = slice(start, start + _VALUES_AT_ONCE)
            filled[part] = np.clip(np.round(flat[part] / self.scale) + self.zero_point, limits.min, limits.max)
        return result


@dataclass(frozen=True, eq=False, slots=True)
class SeparateOutputs:
    """What a model yields for samples that were run one by one.

    Attributes:
        names: of the outputs.
        indices: of their tensors in the subgraph.
        rows: for each sample, one array for each output, in the shape and dtype that the runtime gave.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]
    rows: tuple[tuple[np.ndarray, ...], ...]


def run(
    path: Path,
    samples: Sequence[np.ndarray] | np.ndarray,
    kernels: Kernels = "default",
    *,
    threads: int = 2,
    feedback: Feedback | None = None,
    on_step: Step = ignore_steps,
) -> Outputs:
    """Run every sample through a file.

    Args:
        path: the ``.tflite`` file.
        samples: one array for each input (an array alone: the only input), ``(n, ...)``: real values, which are
            quantised as the input asks, or values of the file's own dtype.
        kernels: which runtime.
        threads: of the interpreter; CompiledModel uses one.
        feedback: of a file that computes one time step: what it is fed with. Samples are then sequences ``(n, steps,
            ...)`` alone; the outputs are the results that it names.
        on_step: told (samples done, samples in all).

    Raises:
        ExecutionError: the runtime refused the file or the samples, or its process died.
    """
    inputs = (samples,) if isinstance(samples, np.ndarray) else tuple(samples)
    arguments = {"inputs": inputs, "kernels": kernels, "threads": threads, "feedback": feedback}
    return _in_child("run_here", path, NAMES[kernels], on_step, **arguments)  # type: ignore[no-any-return]


def run_separately(
    path: Path,
    samples: Sequence[Sequence[np.ndarray]],
    kernels: Kernels = "default",
    *,
    signature: str | None = None,
    threads: int = 2,
    at_once: int = 1,
    on_step: Step = ignore_steps,
) -> SeparateOutputs:
    """Run samples one by one, each from the state that a freshly loaded file has.

    Variable tensors are reset before each sample; a file that keeps resource variables, which no runtime resets, is
    loaded anew for each.

    Args:
        path: the ``.tflite`` file.
        samples: for each sample one array for each input, in the input's whole shape (batch included) and dtype.
        kernels: which runtime.
        signature: whose graph to run; None: the file's first graph, CompiledModel's first signature.
        threads: of the interpreter; CompiledModel uses one.
        at_once: how many samples of a batch of 1 are run as one batch, in an interpreter of a file with one input that
            leaves the batch open and with outputs that have a batch as well.
        on_step: told (samples done, samples in all).

    Raises:
        ExecutionError: the runtime refused the file or the samples, or its process died.
    """
    arguments = {
        "samples": samples,
        "kernels": kernels,
        "signature": signature,
        "threads": threads,
        "at_once": at_once,
    }
    return _in_child("run_separately_here", path, NAMES[kernels], on_step, **arguments)  # type: ignore[no-any-return]


def inputs(path: Path, signature: str | None = None, *, model: Any = None) -> tuple[InputDetails, ...]:
    """The inputs of a file, in the order that :func:`run` and :func:`run_separately` take them.

    Args:
        path: the ``.tflite`` file.
        signature: whose graph; None: the file's first.
        model: the contents of the file; None: they are read.

    Raises:
        ExecutionError: the runtime refuses the file.
    """
    described = _in_child("inputs_here", path, NAMES["default"], ignore_steps, signature=signature)
    return described if signature is not None else with_counts(model or serde.read(path), described)


def with_counts(model: Any, described: Sequence[InputDetails]) -> tuple[InputDetails, ...]:
    """The inputs of the main graph of a parsed model with :attr:`InputDetails.counts` as its operators tell."""
    graph = next(graphs(model))
    uses = graph.uses()
    return tuple(
        dataclasses.replace(detail, counts=_are_counts(graph, uses.get(index, [])))
        for detail, index in zip(described, indices(graph.subgraph.inputs), strict=True)
    )


def _are_counts(graph: Graph, readers: Sequence[Use]) -> bool:
    return bool(readers) and all(
        graph.operator_name(use.operator) == "CAST"
        and type_name(graph.tensor(int(use.operator.outputs[0]))) in ("int32", "int64")
        for use in readers
    )


def refusal(
    path: Path,
    kernels: Kernels,
    shapes: Sequence[tuple[int, ...]] | None = None,
    *,
    seconds: int = _SECONDS_TO_RUN,
) -> str | None:
    """Why a runtime does not load a file and run it once in so many seconds, in one line; None if it does.

    Args:
        path: the file.
        kernels: which runtime.
        shapes: of its inputs; None: with a batch of 1, and :data:`UNKNOWN_SIZE` for other open sizes.
        seconds: of wall time.
    """
    try:
        child.call(f"{__name__}:load_here", path=str(path), kernels=kernels, shapes=shapes, seconds=seconds)
    except child.ChildDiedError as death:
        return f"it {death.how}. {_last_line(death.log)}".rstrip()
    except RuntimeError as error:
        return one_line(error)
    return None


def run_here(
    path: str,
    inputs: Sequence[np.ndarray],
    kernels: Kernels,
    threads: int,
    feedback: Feedback | None = None,
    on_step: Step = ignore_steps,
) -> Outputs:
    """:func:`run` in this process."""
    session = Session(path, kernels, threads)
    if feedback is not None:
        quantised = session.output_quantisation
        results = over_time.run(session.run, session.inputs, quantised, inputs[0], feedback, on_step)
        return Outputs.of(results, [quantised[position] for position in feedback.results])
    if len(session.inputs) != len(inputs):
        raise ExecutionError(f"{path} has {len(session.inputs)} inputs, {len(inputs)} were given.")
    prepared = [detail.quantised(array) for detail, array in zip(session.inputs, inputs, strict=True)]
    batch = BATCH if session.takes_batches else 1
    count = len(prepared[0])
    rows: list[tuple[np.ndarray, ...]] = []
    for start in range(0, count, batch):
        rows.append(session.run([array[start : start + batch] for array in prepared]))
        on_step(min(start + batch, count), count)
    arrays = tuple(np.concatenate(column) for column in zip(*rows, strict=True))
    return Outputs.of(arrays, session.output_quantisation)


def run_separately_here(
    path: str,
    samples: Sequence[Sequence[np.ndarray]],
    kernels: Kernels,
    signature: str | None,
    threads: int,
    at_once: int = 1,
    on_step: Step = ignore_steps,
) -> SeparateOutputs:
    """:func:`run_separately` in this process."""
    session = Session(path, kernels, threads, signature)
    size = at_once if session.takes_batches else 1
    rows: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(samples), size):
        rows += _run_together(session, samples[start : start + size])
        on_step(len(rows), len(samples))
    return SeparateOutputs(session.output_names, session.output_indices, tuple(rows))


def _run_together(session: Session, samples: Sequence[Sequence[np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
    """The outputs for each sample; several, which then have a batch of 1, are run as one batch, if outputs have it."""
    if len(samples) > 1:
        outputs = session.run([np.concatenate(column) for column in zip(*samples, strict=True)])
        if all(output.shape[:1] == (len(samples),) for output in outputs):
            return [tuple(output[at : at + 1] for output in outputs) for at in range(len(samples))]
    return [session.run(sample) for sample in samples]


def inputs_here(path: str, signature: str | None = None, on_step: Step = ignore_steps) -> tuple[InputDetails, ...]:
    """:func:`inputs` in this process."""
    del on_step
    return Session(path, "default", 1, signature).inputs


def load_here(
    path: str,
    kernels: Kernels,
    shapes: Sequence[tuple[int, ...]] | None,
    seconds: int,
    on_step: Step = ignore_steps,
) -> None:
    """Load a file in this process, and run it once on zeros: CompiledModel loads operators that it does not have."""
    del on_step
    with time_limit.at_most(seconds):
        session = Session(path, kernels, 1)
        if all(detail.dtype.kind in "biuf" for detail in session.inputs):  # text cannot be made up
            wanted = [detail.example_shape for detail in session.inputs] if shapes is None else shapes
            session.run([np.zeros(shape, each.dtype) for shape, each in zip(wanted, session.inputs, strict=True)])


class Session:
    """A file loaded in this process, ready to run.

    Args:
        path: the ``.tflite`` file.
        kernels: which runtime.
        threads: of the interpreter; CompiledModel uses one.
        signature: whose graph to run; None: the first graph, CompiledModel's first signature.

    Raises:
        RuntimeError: the runtime refuses the file.

    Attributes:
        inputs: in the order of the arrays that are fed.
        output_names: of the outputs.
        output_indices: of their tensors in the subgraph.
        output_quantisation: their (scale, zero point), scale 0 where there is none.
    """

    def __init__(self, path: str, kernels: Kernels, threads: int, signature: str | None = None) -> None:
        self._arguments = (path, kernels, threads, signature)
        self._runtime = _open(*self._arguments)
        self._is_fresh = True
        self.inputs = tuple(_input_details(*each) for each in self._runtime.inputs)
        outputs = self._runtime.outputs_described
        self.output_names = tuple(name for name, _ in outputs)
        self.output_indices = tuple(int(detail["index"]) for _, detail in outputs)
        pairs = [detail["quantization"] for _, detail in outputs]
        self.output_quantisation = tuple((float(scale), int(zero_point)) for scale, zero_point in pairs)
        self.takes_batches = (
            kernels != "compiled_model" and len(self.inputs) == 1 and self.inputs[0].signature[:1] == (-1,)
        )

    def run(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs for one array for each input, computed from the state of a freshly loaded file."""
        if self._keeps_resources and not self._is_fresh:
            self._runtime = _open(*self._arguments)
        self.feed(arrays)
        self._runtime.reset()
        self.invoke()
        return self._runtime.outputs()

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        """Set the inputs, of any shape that the file allows, for every following :meth:`invoke`."""
        if len(arrays) != len(self.inputs):
            raise RuntimeError(f"it has {len(self.inputs)} inputs, {len(arrays)} were given")
        self._runtime.feed(arrays)

    def invoke(self) -> None:
        """Run once; variables keep what they hold."""
        self._is_fresh = False
        self._runtime.invoke()

    @functools.cached_property
    def _keeps_resources(self) -> bool:
        """Whether there is state that no runtime can reset."""
        kinds = {schema.TensorType.RESOURCE, schema.TensorType.VARIANT}
        return not kinds.isdisjoint(serde.tensor_types(Path(self._arguments[0])))


def _in_child(function: str, path: Path, runtime: str, on_step: Step, **arguments: Any) -> Any:
    try:
        return child.call(f"{__name__}:{function}", on_step=on_step, path=str(path), **arguments)
    except child.ChildDiedError as death:
        raise ExecutionError(f"{runtime} {death.how} on {path}. {_last_line(death.log)}") from death
    except RuntimeError as error:
        raise ExecutionError(f"{runtime} refuses {path}: {one_line(error)}") from error


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _open(path: str, kernels: Kernels, threads: int, signature: str | None) -> _Runtime:
    interpreter = _interpreter(path, kernels, threads)
    if kernels == "compiled_model":
        return _CompiledModelRuntime(path, interpreter, signature)
    if signature is not None:
        return _SignatureRuntime(interpreter, signature)
    return _GraphRuntime(interpreter)


def _interpreter(path: str, kernels: Kernels, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        return Interpreter(path, experimental_op_resolver_type=OpResolverType[_RESOLVERS[kernels]], num_threads=threads)
    except ValueError as error:  # what the binding raises for a file that its verifier refuses
        raise RuntimeError(str(error)) from error


_Described = list[tuple[str, dict[str, Any]]]
"""Names of inputs or outputs, and what the interpreter says of their tensors."""


class _Runtime(Protocol):
    """A loaded graph."""

    inputs: _Described
    outputs_described: _Described

    def feed(self, arrays: Sequence[np.ndarray]) -> None: ...

    def reset(self) -> None: ...

    def invoke(self) -> None: ...

    def outputs(self) -> tuple[np.ndarray, ...]: ...


class _GraphRuntime:
    """The first graph of a file, in an interpreter."""

    def __init__(self, interpreter: Any) -> None:
        self.inputs, self.outputs_described = _describe(interpreter, None)
        self._interpreter = interpreter
        self._shapes = [tuple(detail["shape"]) for _, detail in self.inputs]
        self._is_allocated = False  # not before the shapes are known: some graphs do not take those that they announce

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes or not self._is_allocated:
            for (_, detail), shape, old in zip(self.inputs, shapes, self._shapes, strict=True):
                if shape != old:
                    self._interpreter.resize_tensor_input(detail["index"], shape, strict=True)
            self._interpreter.allocate_tensors()
            self._shapes, self._is_allocated = shapes, True
        for (_, detail), array in zip(self.inputs, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)

    def reset(self) -> None:
        self._interpreter.reset_all_variables()  # a fused LSTM carries its state from call to call

    def invoke(self) -> None:
        self._interpreter.invoke()

    def outputs(self) -> tuple[np.ndarray, ...]:
        return tuple(self._interpreter.get_tensor(detail["index"]) for _, detail in self.outputs_described)


class _SignatureRuntime:
    """The graph of one signature, in an interpreter."""

    def __init__(self, interpreter: Any, signature: str) -> None:
        self.inputs, self.outputs_described = _describe(interpreter, signature)
        self._interpreter = interpreter
        self._runner = interpreter.get_signature_runner(signature)
        self._arrays: dict[str, np.ndarray] = {}
        self._results: dict[str, np.ndarray] = {}

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = {name: array for (name, _), array in zip(self.inputs, arrays, strict=True)}

    def reset(self) -> None:
        self._interpreter.reset_all_variables()

    def invoke(self) -> None:
        self._results = self._runner(**self._arrays)

    def outputs(self) -> tuple[np.ndarray, ...]:
        return tuple(self._results[name] for name, _ in self.outputs_described)


class _CompiledModelRuntime:
    """One signature of a file, in a CompiledModel.

    It orders inputs and outputs as the signature does, the interpreter's first graph as the graph does: tensor indices
    tell which is which. It refuses files with variable tensors (2.3.0), so that there is nothing to reset.
    """

    def __init__(self, path: str, interpreter: Any, signature: str | None) -> None:
        self.inputs, self.outputs_described = _describe(interpreter, signature)
        self._path = path
        self._model = self._load()
        keys = self._model.get_signature_list()  # a file without any gets one from the runtime
        self._key = signature or next(key for key in keys if self._model.get_signature_index(key) == 0)
        self._number = self._model.get_signature_index(self._key)
        self._names = keys[self._key]
        self._input_buffers: list[Any] = []
        self._output_buffers: list[Any] = []

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        by_index = {detail["index"]: array for (_, detail), array in zip(self.inputs, arrays, strict=True)}
        ordered = [by_index[detail["index"]] for detail in self._input_details()]
        if not self._input_buffers or self._shapes() != [array.shape for array in ordered]:
            self._make_buffers(ordered)
        for buffer, array in zip(self._input_buffers, ordered, strict=True):
            buffer.write(np.ascontiguousarray(array).reshape(-1).view(np.int8))  # the binding knows few dtypes

    def reset(self) -> None:
        """Nothing to do."""

    def invoke(self) -> None:
        self._model.run_by_index(self._number, self._input_buffers, self._output_buffers)

    def outputs(self) -> tuple[np.ndarray, ...]:
        details = self._model.get_output_tensor_details(self._key)
        found = {}
        for name, buffer in zip(self._names["outputs"], self._output_buffers, strict=True):
            shape, dtype = tuple(details[name]["shape"]), np.dtype(details[name]["dtype"])
            content = buffer.read(math.prod(shape) * dtype.itemsize, np.int8)
            found[details[name]["index"]] = np.asarray(content).view(dtype).reshape(shape)
        return tuple(found[detail["index"]] for _, detail in self.outputs_described)

    def _load(self) -> Any:
        from ai_edge_litert.compiled_model import CompiledModel

        return CompiledModel.from_file(self._path)

    def _input_details(self) -> list[dict[str, Any]]:
        details = self._model.get_input_tensor_details(self._key)
        return [details[name] for name in self._names["inputs"]]

    def _shapes(self) -> list[tuple[int, ...]]:
        return [tuple(detail["shape"]) for detail in self._input_details()]

    def _make_buffers(self, arrays: list[np.ndarray]) -> None:
        if self._input_buffers:  # in 2.3.0 output buffers keep the old size when an input is resized
            self._model = self._load()
        for position, (array, shape) in enumerate(zip(arrays, self._shapes(), strict=True)):
            if array.shape != shape:
                self._model.resize_input_tensor(position, array.shape, self._number)
        self._input_buffers = self._model.create_input_buffers(self._number)
        self._output_buffers = self._model.create_output_buffers(self._number)


def _describe(interpreter: Any, signature: str | None) -> tuple[_Described, _Described]:
    if signature is not None:
        runner = interpreter.get_signature_runner(signature)
        return list(runner.get_input_details().items()), list(runner.get_output_details().items())
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return [(detail["name"], detail) for detail in inputs], [(detail["name"], detail) for detail in outputs]


def _input_details(name: str, detail: dict[str, Any]) -> InputDetails:
    scale, zero_point = detail["quantization"]
    signature = tuple(int(size) for size in detail["shape_signature"])
    return InputDetails(name, signature, np.dtype(detail["dtype"]), float(scale), int(zero_point))
