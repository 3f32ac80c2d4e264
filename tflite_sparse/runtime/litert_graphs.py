"""Load a graph of a file in this process, with one interface for all of LiteRT's APIs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np

from tflite_sparse.runtime.litert_kernels import Kernels

if TYPE_CHECKING:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.tensor_buffer import TensorBuffer

_RESOLVERS: dict[Kernels, str] = {
    "default": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
    "compiled_model": "AUTO",
}


class TensorDetails(TypedDict):
    """The interpreter's description of a tensor; scale 0: not quantised."""

    name: str
    index: int
    shape: np.ndarray
    shape_signature: np.ndarray
    dtype: type[np.generic]
    quantization: tuple[float, int]


Described = list[tuple[str, TensorDetails]]
"""Names of inputs or outputs, and their tensors."""


class LoadedGraph(Protocol):
    """A loaded graph.

    Attributes:
        inputs: in the order of :meth:`feed`.
        outputs_described: in the order of :meth:`outputs`.
    """

    inputs: Described
    outputs_described: Described

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        """Set the inputs, in any shapes that the file allows."""

    def reset(self) -> None:
        """Reset variable tensors to the values of a freshly loaded file."""

    def invoke(self) -> None:
        """Compute the outputs."""

    def outputs(self) -> tuple[np.ndarray, ...]:
        """Return the outputs, in the runtime's shapes and dtypes."""


def load(path: str, kernels: Kernels, threads: int, signature: str | None) -> LoadedGraph:
    """Load a graph.

    Args:
        path: the ``.tflite`` file.
        kernels: the runtime.
        threads: of the interpreter; CompiledModel uses one.
        signature: key of the signature; None: the first graph, CompiledModel's first signature.

    Raises:
        RuntimeError: the runtime refuses the file.
    """
    interpreter = _interpreter(path, kernels, threads)
    if kernels == "compiled_model":
        return _CompiledGraph(path, interpreter, signature)
    if signature is not None:
        return _SignatureGraph(interpreter, signature)
    return _FirstGraph(interpreter)


def _interpreter(path: str, kernels: Kernels, threads: int) -> Interpreter:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        return Interpreter(path, experimental_op_resolver_type=OpResolverType[_RESOLVERS[kernels]], num_threads=threads)
    except ValueError as error:  # raised by the binding if its verifier refuses the file
        raise RuntimeError(str(error)) from error


class _FirstGraph:
    """The first graph of a file, in an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.inputs, self.outputs_described = _describe(interpreter, None)
        self._interpreter = interpreter
        self._shapes = [tuple(detail["shape"]) for _, detail in self.inputs]
        self._is_allocated = False  # allocate after the shapes are set: some graphs refuse their declared shapes

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


class _SignatureGraph:
    """The graph of one signature, in an interpreter."""

    def __init__(self, interpreter: Interpreter, signature: str) -> None:
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


class _CompiledGraph:
    """One signature of a file, in a CompiledModel.

    It has inputs and outputs in the order of the signature, the interpreter's first graph in the order of the graph;
    tensor indices match them. It refuses files with variable tensors (2.3.0), so there is nothing to reset.
    """

    def __init__(self, path: str, interpreter: Interpreter, signature: str | None) -> None:
        self.inputs, self.outputs_described = _describe(interpreter, signature)
        self._path = path
        self._model = self._load()
        keys = self._model.get_signature_list()  # the runtime adds one to a file without any
        self._key = signature or next(key for key in keys if self._model.get_signature_index(key) == 0)
        self._number = self._model.get_signature_index(self._key)
        self._names = keys[self._key]
        self._input_buffers: list[TensorBuffer] = []
        self._output_buffers: list[TensorBuffer] = []

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        by_index = {detail["index"]: array for (_, detail), array in zip(self.inputs, arrays, strict=True)}
        ordered = [by_index[detail["index"]] for detail in self._input_details()]
        if not self._input_buffers or self._shapes() != [array.shape for array in ordered]:
            self._make_buffers(ordered)
        for buffer, array in zip(self._input_buffers, ordered, strict=True):
            buffer.write(np.ascontiguousarray(array).reshape(-1).view(np.int8))  # the binding supports few dtypes

    def reset(self) -> None:
        """Do nothing: there are no variable tensors."""

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

    def _load(self) -> CompiledModel:
        from ai_edge_litert.compiled_model import CompiledModel

        return CompiledModel.from_file(self._path)

    def _input_details(self) -> list[TensorDetails]:
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


def _describe(interpreter: Interpreter, signature: str | None) -> tuple[Described, Described]:
    if signature is not None:
        runner = interpreter.get_signature_runner(signature)
        return list(runner.get_input_details().items()), list(runner.get_output_details().items())
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return [(detail["name"], detail) for detail in inputs], [(detail["name"], detail) for detail in outputs]
