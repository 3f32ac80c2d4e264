"""Read the first graph of a parsed model into a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.flatbuffer import signature
from tflite_sparse.flatbuffer.graph import Graph, indices, is_dynamic, text
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.rewrites import sparse_operator
from tflite_sparse.standalone_c import layer_names, shape_arithmetic
from tflite_sparse.standalone_c.core import Core
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import sparse
from tflite_sparse.standalone_c.operators.table import BUILDERS
from tflite_sparse.standalone_c.program import Program, Step, Value
from tflite_sparse.standalone_c.values import refusal, value_of

_IN_GROUPS = (Kernel.PIXEL_DELTA8, Kernel.PIXEL_SHARED)
"""Kernels that compute more pixels together where there is Helium."""

MAX_STEPS = 10_000
"""Far more than any model for a microcontroller has."""


def read(model: Model, core: Core) -> Program:
    """The first graph of a model as a program.

    Args:
        model: dense, or with weights for the sparse kernels.
        core: the CPU that it is for.

    Raises:
        FlatbufferError: an operator with sparse weights, or a constant, is damaged.
        OperatorRefusedError: an operator is not supported, which the message names.
        ExecutionError: an input or output is not supported.
    """
    graph = Graph(model, model.subgraphs[0])
    if len(graph.operators) > MAX_STEPS:
        raise ExecutionError(f"the model has {len(graph.operators):,} operators; at most {MAX_STEPS:,} are supported.")
    _refuse_variables(graph)
    shapes = shape_arithmetic.tensors(graph)
    numbers, values = _values(graph, shapes)
    names = signature.names_in(model)
    inputs = _ports(graph, numbers, indices(graph.subgraph.inputs), names.inputs, "input")
    decoded = {id(each.operator): each for each in sparse_operator.operators(graph)}
    known = set(inputs)
    steps: list[Step] = []
    for operator, layer in zip(graph.operators, layer_names.of(graph, names.outputs), strict=True):
        if shapes.issuperset(indices(operator.outputs)):
            continue
        node = Node(graph, operator, layer, numbers, values, core)
        found = decoded.get(id(operator))
        step = _dense(node) if found is None else sparse.step(node, found)
        unknown = set(step.inputs) - known
        if unknown or known & set(step.outputs):
            raise node.refused("it reads what no operator before it yields, or yields a tensor twice")
        known |= set(step.outputs)
        steps.append(step)
    outputs = _ports(graph, numbers, indices(graph.subgraph.outputs), names.outputs, "output")
    if set(outputs) - known:
        raise ExecutionError("an output of the model is yielded by no operator.")
    if len(set(inputs)) < len(inputs):
        raise ExecutionError("an input of the model is listed twice.")
    in_groups = any(step.kernel in _IN_GROUPS for step in steps)
    return Program(
        tuple(values),
        tuple(steps),
        inputs,
        outputs,
        names.inputs,
        names.outputs,
        fits_helium=core.fits_helium or not in_groups,
    )


def _dense(node: Node) -> Step:
    builder: Callable[[Node], Step] | None = BUILDERS.get(node.name)
    if builder is None:
        raise node.refused(f"generated C does not have {node.name}")
    try:
        return builder(node)
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
        # Options of another operator, ranks that do not fit, scales without a finite ratio: no converter writes them.
        raise node.refused(f"it is damaged ({type(error).__name__}: {one_line(error)})") from error


def _values(graph: Graph, shapes: frozenset[int]) -> tuple[dict[int, int], list[Value]]:
    """The tensors that are neither constants nor shapes, and of a type that C functions take."""
    numbers: dict[int, int] = {}
    values: list[Value] = []
    for index in _computed(graph):
        value = value_of(graph.tensor(index))
        if value is not None and index not in shapes:
            numbers[index] = len(values)
            values.append(value)
    return numbers, values


def _computed(graph: Graph) -> Iterator[int]:
    found = [*indices(graph.subgraph.inputs)]
    for operator in graph.operators:
        found += indices(operator.outputs)
    return iter(dict.fromkeys(index for index in found if index >= 0))


def _ports(
    graph: Graph, numbers: Mapping[int, int], tensors: Sequence[int], names: Sequence[str], kind: str
) -> tuple[int, ...]:
    """The values of the inputs or outputs of a model; refusals call them as the signature does."""
    return tuple(_port(graph, numbers, *each, kind) for each in zip(tensors, names, strict=True))


def _port(graph: Graph, numbers: Mapping[int, int], index: int, own_name: str, kind: str) -> int:
    tensor = graph.tensor(index)
    name = f"{kind} {own_name!r}"
    if index not in numbers:
        constant = "is a constant" if graph.is_constant(index) else None
        raise ExecutionError(f"{name} {constant or refusal(tensor) or 'is a shape that the model works out'}.")
    if is_dynamic(tensor) and any(size < 0 for size in indices(tensor.shapeSignature)[1:]):
        raise ExecutionError(f"{name} has open sizes beside the batch.")
    return numbers[index]


def _refuse_variables(graph: Graph) -> None:
    for tensor in graph.subgraph.tensors:
        if tensor.isVariable:
            raise ExecutionError(f"tensor {text(tensor.name)!r} keeps its value between runs.")
