"""Compare the tensor shapes declared in a file with those computed at run time.

The converter writes unknown sizes as 1. LiteRT computes the true shapes at run time; TensorFlow Lite Micro and Vela
allocate memory for the declared shapes, and if these are too small they write past their buffers and report success.
The usual case is a dilated convolution in a model with an open batch: SPACE_TO_BATCH_ND yields several blocks of each
sample, and the file declares one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base import child
from tflite_sparse.base.progress import Step
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, dtype_of, graphs, indices, shape_of, signature_of, text
from tflite_sparse.runtime import time_limit

Shapes = dict[int, tuple[int, ...]]
"""Shapes of the tensors of one graph, by index."""

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class UntrueShape:
    """A tensor whose computed shape differs from the one declared in the file.

    Attributes:
        tensor: its name.
        operator: name of the operator that yields it.
        announced: its shape in the file.
        computed: its shape in LiteRT, for inputs of the declared shapes.
    """

    tensor: str
    operator: str
    announced: tuple[int, ...]
    computed: tuple[int, ...]


def first_untrue(path: Path) -> UntrueShape | None:
    """Return the first tensor in execution order whose declared shape is wrong; None if all are right.

    Run the file once in LiteRT's built-in kernels, on zeros, in a child process. Tensors of called subgraphs are
    compared as well, if they were called.

    Raises:
        FlatbufferError: the file cannot be read.
        ExecutionError: LiteRT does not run it, so nothing is known.
    """
    found = _computed(path)
    for graph, shapes in zip(graphs(serde.read(path)), found, strict=True):
        for operator in graph.operators:
            for index in indices(operator.outputs):
                announced = shape_of(graph.tensor(index))
                if shapes.get(index, announced) != announced:
                    name = text(graph.tensor(index).name)
                    return UntrueShape(name, graph.operator_name(operator), announced, shapes[index])
    return None


def refusal(path: Path) -> str | None:
    """Return why a runtime that plans memory ahead cannot run a file, with a remedy, in one sentence; else None.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    graph = next(graphs(serde.read(path)))
    for index in indices(graph.subgraph.inputs):
        axes = [axis for axis in _open_axes(graph, index) if axis > 0]
        if axes:
            name, axis = text(graph.tensor(index).name), axes[0]
            return f"it leaves axis {axis} of input {name!r} open: convert it with the size that the app will feed"
    try:
        untrue = first_untrue(path)
    except ExecutionError:
        return None  # running it later reports the error
    if untrue is None:
        return None
    what = (
        f"{untrue.operator} yields {untrue.tensor!r} of shape {untrue.computed}, and the file announces "
        f"{untrue.announced}, from which memory is planned"
    )
    if any(0 in _open_axes(graph, index) for index in indices(graph.subgraph.inputs)):
        return f"it leaves the batch open: convert it with a batch of 1 ({what})"
    return f"its shapes are known only while it runs: replace the layer ({what})"


def computed_here(path: str, given: Shapes, on_step: Step) -> list[Shapes]:
    """Return the shapes of all tensors, graph by graph, after one run in this process on inputs of these shapes."""
    del on_step
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            path, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, num_threads=1
        )
    except ValueError as error:  # raised by the binding if its verifier refuses the file
        raise RuntimeError(str(error)) from error
    with time_limit.at_most(_SECONDS):
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(given[detail["index"]], detail["dtype"]))
        interpreter.invoke()
    return [
        {int(each["index"]): tuple(map(int, each["shape"])) for each in interpreter.get_tensor_details(number)}
        for number in range(interpreter.num_subgraphs())
    ]


def _computed(path: Path) -> list[Shapes]:
    graph = next(graphs(serde.read(path)))
    given = {index: shape_of(graph.tensor(index)) for index in indices(graph.subgraph.inputs)}
    if any(dtype_of(graph.tensor(index)) is None for index in given):
        raise ExecutionError(f"{path} has an input that takes no numbers; such values cannot be made up.")
    try:
        result: list[Shapes] = child.call(f"{__name__}:{computed_here.__name__}", path=str(path), given=given)
    except child.ChildDiedError as death:
        raise ExecutionError(f"LiteRT {death.how} on {path}.") from death
    except (RuntimeError, MemoryError) as error:
        raise ExecutionError(f"LiteRT refuses {path}: {one_line(error)}") from error
    return result


def _open_axes(graph: Graph, index: int) -> list[int]:
    """Return the axes of a tensor that the caller may set and for which the file declares no size."""
    tensor = graph.tensor(index)
    sizes = zip(signature_of(tensor), shape_of(tensor), strict=False)
    return [axis for axis, (size, announced) in enumerate(sizes) if size < 0 and announced <= 1]
