"""Whether C can be made of a file, for ``inspect``. Nothing is compiled."""

from __future__ import annotations

import copy

from tflite_sparse.backends.protocol import Inspected, InspectedFile
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning.decoder import decode_model, is_sparse
from tflite_sparse.results.inspection import RuntimeAnswer
from tflite_sparse.rewrites import sparse_operator
from tflite_sparse.standalone_c import core, files
from tflite_sparse.standalone_c.program import Program

NAME = "generated C"


def inspect(file: InspectedFile) -> Inspected:
    """Whether the file can become C, and whether its dense form can, from which ``encode`` starts."""
    reason = sparse_elsewhere(file.model)
    if reason is None:
        answer = _answer(file.model)
        return Inspected([answer], answer.loads is True)
    dense = copy.deepcopy(file.model)
    decode_model(dense)
    takes_file = _answer(dense).loads is True
    return Inspected([RuntimeAnswer(name=NAME, loads=False, reason=reason)], takes_file)


def sparse_elsewhere(model: Model) -> str | None:
    """That the weights of a parsed file are sparse for another runtime, and what takes it; None: they are not."""
    if not is_sparse(model) or any(sparse_operator.operators(graph) for graph in graphs(model)):
        return None
    other = (
        "LiteRT"
        if any(tensor.sparsity is not None for graph in model.subgraphs for tensor in graph.tensors)
        else ("TensorFlow Lite Micro")
    )
    return f"its weights are sparse for {other}: encode with `target='c'`, or decode, makes a file that can be C"


def _answer(model: Model) -> RuntimeAnswer:
    try:
        program = files.program_of(model, core.of("generic"))
    except ExecutionError as error:
        return RuntimeAnswer(name=NAME, loads=False, reason=str(error))
    return RuntimeAnswer(name=NAME, loads=True, reason=_in_words(program))


def _in_words(program: Program) -> str:
    count = sum(len(step.calls) for step in program.steps)
    return "as one call of a function" if count == 1 else f"as {count:,} calls of functions"
