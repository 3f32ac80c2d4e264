"""Whether TensorFlow Lite Micro loads a file, for ``inspect``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tflite_sparse.backends import micro_cpp
from tflite_sparse.backends.protocol import Inspected, InspectedFile
from tflite_sparse.base import extras, scratch
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, indices, shape_of, signature_of
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning.decoder import decode_file, is_sparse
from tflite_sparse.results.inspection import RuntimeAnswer
from tflite_sparse.runtime import announced_shapes, micro, micro_refusals

_SECONDS_PER_RUN = 10


def inspect(file: InspectedFile) -> Inspected:
    """What TensorFlow Lite Micro says of a file, and whether ``encode``, which starts from its dense form, has one."""
    if not is_sparse(file.model):
        answer = _answer(file.path, file.model, file.path)
        return Inspected([answer], answer.loads is not False)
    with scratch.folder() as folder:
        dense = folder / "dense.tflite"
        decode_file(file.path, dense)
        takes_file = _answer(dense, serde.read(dense), dense).loads is not False
        return Inspected([_answer(file.path, file.model, dense)], takes_file)


def runs(path: Path, model: Model) -> bool:
    """Whether TensorFlow Lite Micro is known to run a file: it is installed, and does so once here, on zeros.

    Args:
        path: of the file, without DECODE.
        model: the same, parsed.
    """
    if not micro.is_available():
        return False
    try:
        if _reason_against(model, path) is not None:
            return False
        zeros = [np.zeros(each.example_shape, each.dtype) for each in micro.inputs(path)]
        micro.run_separately(path, [zeros], seconds_per_sample=_SECONDS_PER_RUN)
    except ExecutionError:
        return False
    return True


def _answer(path: Path, model: Model, dense: Path) -> RuntimeAnswer:
    reason = _reason_against(model, dense)
    if reason is not None:
        return RuntimeAnswer(name=micro.NAME, loads=False, reason=reason)
    if not micro.is_available():
        return RuntimeAnswer(name=micro.NAME, loads=None, reason=f"{extras.install_command('micro')} to try it")
    try:
        arena = micro.arena(path, seconds_per_run=_SECONDS_PER_RUN)
    except ExecutionError as error:
        return RuntimeAnswer(name=micro.NAME, loads=False, reason=str(error))
    graph = next(graphs(model))
    tensors = [graph.tensor(index) for index in indices(graph.subgraph.inputs)]
    fixed = [shape_of(tensor) for tensor in tensors if any(size < 0 for size in signature_of(tensor)[1:])]
    words = f", with the sizes that the file announces for open ones: {', '.join(map(str, fixed))}" if fixed else ""
    return RuntimeAnswer(name=micro.NAME, loads=True, reason=f"in an arena of {arena:,} bytes{words}")


def _reason_against(model: Model, dense: Path) -> str | None:
    """Why it does not load a file, as far as that is told without it."""
    count = sum(tensor.sparsity is not None for graph in graphs(model) for tensor in graph.subgraph.tensors)
    if count:
        things = "constant" if count == 1 else "constants"
        reason = f"not for it: it would compute garbage, as it ignores the sparse format of {count} {things}"
        return f"{reason}; decode the file first"
    missing = micro_cpp.unsupported(model)
    if missing:
        told = "; nor ".join(map(str, micro_refusals.missing(model, missing)))
        return f"it does not have {told}"
    return announced_shapes.refusal(dense)
