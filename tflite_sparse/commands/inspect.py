"""What is in a ``.tflite`` file: its constants and how they are stored, who loads it, what it could take."""

from __future__ import annotations

import importlib.metadata
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.base import extras
from tflite_sparse.base.progress import Progress, Silent
from tflite_sparse.codecs.constants import dense_values, layout_of, stored_bytes, vectors
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.codecs.layout import kept_mask
from tflite_sparse.errors import ExecutionError, InputShapeError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import (
    Graph,
    graphs,
    indices,
    shape_of,
    signature_of,
    text,
    type_name,
    zero_points_of,
)
from tflite_sparse.flatbuffer.signature import differing_orders
from tflite_sparse.planning.decoder import decode_file, decode_model, is_sparse
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.results.inspection import Constant, Estimate, Inspection, Order, RuntimeAnswer, Totals
from tflite_sparse.rewrites import decode_op
from tflite_sparse.runtime import announced_shapes, micro, micro_refusals
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.runtime.input_shapes import Shapes, needed
from tflite_sparse.settings import TargetSettings
from tflite_sparse.targets import litert as target
from tflite_sparse.targets import micro as micro_target

_SECONDS_IN_MICRO = 10


def inspect(
    file: str | os.PathLike[str], *, input_shapes: Shapes | None = None, progress: Progress | None = None
) -> Inspection:
    """Inspect a ``.tflite`` file. Nothing is written.

    Each of LiteRT's runtimes loads it in a process of its own, and it is encoded and decoded in memory for the
    estimates.

    Args:
        file: the file.
        input_shapes: of inputs with open sizes, by name; sizes that run are looked for where they are not given.
        progress: receives stages.

    Raises:
        FlatbufferError: it cannot be read or is damaged.
        SettingsError: a shape does not fit.
    """
    path, progress = Path(file), progress or Silent()
    model = serde.read(path)
    file_bytes = path.stat().st_size
    archive = serde.archive_of(path)
    archive_bytes = 0 if archive is None else archive.nbytes
    with progress.stage("read constants"):
        constants = sorted(_constants(model, file_bytes), key=lambda constant: -constant.stored_bytes)
    operators = Counter(graph.operator_name(operator) for graph in graphs(model) for operator in graph.operators)
    with progress.stage("load in each runtime"):
        answers = _litert_answers(path, input_shapes)
        of_micro, micro_has_a_file = _micro_answers(path, model)
        answers.append(of_micro)
    with progress.stage("estimate sizes"):
        estimates = {
            "dense": _dense_bytes(path),
            target.NAME: _bytes_for_litert(path, file_bytes - archive_bytes, refused=answers[0].loads is False),
        }
        if micro_has_a_file:
            estimates[micro_target.NAME] = _bytes_for_micro(path)
    return Inspection(
        tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
        path=str(path),
        file_bytes=file_bytes,
        archive_bytes=archive_bytes,
        constants=constants,
        totals=_totals(constants),
        operators=dict(sorted(operators.items())),
        runtimes=answers,
        estimates=[
            Estimate(target=name, file_bytes=model_bytes + archive_bytes) for name, model_bytes in estimates.items()
        ],
        orders=[Order(**asdict(order)) for order in differing_orders(model)],
    )


def _constants(model: Any, file_bytes: int) -> Iterator[Constant]:
    seen: set[int] = set()
    for graph in graphs(model):
        readers = _readers(graph)
        decoded = decode_op.results(graph)
        encoded = {index for result in decoded.values() for index in result.pair}
        for index, tensor in enumerate(graph.subgraph.tensors):
            if index in decoded:
                result = decoded[index]
                values: np.ndarray | None = result.values
                parts: Sequence[np.ndarray] = result.vectors
                layout = f"DECODE, {micro_target.WORDS[result.codec]}"
            elif graph.is_constant(index) and index not in encoded:
                values, parts = dense_values(graph, index), vectors(graph, index)
                layout = layout_of(graph, index).in_words()
            else:
                continue
            stored = sum(_new_bytes(vector, seen) for vector in parts)
            zeros = zero_points_of(tensor)
            mask = None if values is None else kept_mask(values, zeros)
            yield Constant(
                subgraph=graph.number,
                tensor=index,
                name=text(tensor.name),
                operator="+".join(sorted(readers.get(index, ()))),
                shape=shape_of(tensor),
                dtype=type_name(tensor),
                sparsity=None if mask is None or mask.size == 0 else 1 - np.count_nonzero(mask) / mask.size,
                layout=layout if stored else f"{layout}, shared",
                dense_bytes=stored_bytes(graph, index) if values is None else values.nbytes,
                stored_bytes=stored,
                entropy_bytes=None if values is None else entropy_bytes(values, zeros),
                share=stored / file_bytes,
            )


def _readers(graph: Graph) -> dict[int, set[str]]:
    """For each tensor the names of the operators that read it; a DENSIFY counts as what reads its output."""
    uses = graph.uses()
    found: dict[int, set[str]] = {}
    for index, of_tensor in uses.items():
        names = set()
        for use in of_tensor:
            if graph.operator_name(use.operator) == "DENSIFY":
                names |= {graph.operator_name(u.operator) for u in uses.get(int(use.operator.outputs[0]), ())}
            else:
                names.add(graph.operator_name(use.operator))
        found[index] = names
    return found


def _new_bytes(array: np.ndarray, seen: set[int]) -> int:
    """The bytes of a vector, 0 if it is one that was met before: what was read are views into the file."""
    place = int(array.__array_interface__["data"][0])
    if place in seen:
        return 0
    seen.add(place)
    return array.nbytes


def _totals(constants: list[Constant]) -> Totals:
    weights = [c for c in constants if len(c.shape) >= 2 and c.sparsity is not None]
    count = sum(math.prod(c.shape) for c in weights)
    zeros = sum((c.sparsity or 0.0) * math.prod(c.shape) for c in weights)
    own = [c for c in constants if c.stored_bytes]
    return Totals(
        constants=len(constants),
        dense_bytes=sum(c.dense_bytes for c in own),
        stored_bytes=sum(c.stored_bytes for c in own),
        entropy_bytes=sum(c.entropy_bytes or 0 for c in own),
        sparsity=zeros / count if count else None,
    )


def _litert_answers(path: Path, given: Shapes | None) -> list[RuntimeAnswer]:
    shapes = None
    try:
        shapes = needed(path, given)
    except InputShapeError as error:
        names = [runtime.NAMES[kernels] for kernels in runtime.ALL_KERNELS]
        return [RuntimeAnswer(name=name, loads=None, reason=str(error)) for name in names]
    except ExecutionError:
        pass  # of the refusal below, each runtime gives its own reason
    with ThreadPoolExecutor() as pool:  # each waits for a process of its own
        refusals = list(pool.map(lambda kernels: runtime.refusal(path, kernels, shapes), runtime.ALL_KERNELS))
    return [
        RuntimeAnswer(name=runtime.NAMES[kernels], loads=refusal is None, reason=refusal)
        for kernels, refusal in zip(runtime.ALL_KERNELS, refusals, strict=True)
    ]


def _micro_answers(path: Path, model: Any) -> tuple[RuntimeAnswer, bool]:
    """What TensorFlow Lite Micro says of a file, and whether ``encode``, which starts from its dense form, has one."""
    if not is_sparse(model):
        answer = _micro_answer(path, model, path)
        return answer, answer.loads is not False
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as folder:
        dense = Path(folder) / "dense.tflite"
        decode_file(path, dense)
        has_a_file = _micro_answer(dense, serde.read(dense), dense).loads is not False
        return _micro_answer(path, model, dense), has_a_file


def _micro_answer(path: Path, model: Any, dense: Path) -> RuntimeAnswer:
    count = sum(tensor.sparsity is not None for graph in graphs(model) for tensor in graph.subgraph.tensors)
    if count:
        things = "constant" if count == 1 else "constants"
        reason = f"not for it: it would compute garbage, as it ignores the sparse format of {count} {things}"
        return RuntimeAnswer(name=micro.NAME, loads=False, reason=f"{reason}; decode the file first")
    missing = micro_code.unsupported(model)
    if missing:
        told = "; nor ".join(map(str, micro_refusals.missing(model, missing)))
        return RuntimeAnswer(name=micro.NAME, loads=False, reason=f"it does not have {told}")
    refusal = announced_shapes.refusal(dense)
    if refusal is not None:
        return RuntimeAnswer(name=micro.NAME, loads=False, reason=refusal)
    if not micro.is_available():
        return RuntimeAnswer(name=micro.NAME, loads=None, reason=f"{extras.install_command('micro')} to try it")
    try:
        arena = micro.arena(path, seconds_per_run=_SECONDS_IN_MICRO)
    except ExecutionError as error:
        return RuntimeAnswer(name=micro.NAME, loads=False, reason=str(error))
    graph = next(graphs(model))
    tensors = [graph.tensor(index) for index in indices(graph.subgraph.inputs)]
    fixed = [shape_of(tensor) for tensor in tensors if any(size < 0 for size in signature_of(tensor)[1:])]
    words = f", with the sizes that the file announces for open ones: {', '.join(map(str, fixed))}" if fixed else ""
    return RuntimeAnswer(name=micro.NAME, loads=True, reason=f"in an arena of {arena:,} bytes{words}")


def _dense_bytes(path: Path) -> int:
    model = serde.read(path)
    decode_model(model)
    return len(serde.serialize(model))


def _bytes_for_litert(path: Path, model_bytes: int, *, refused: bool) -> int:
    model = serde.read(path)
    keeps = not refused or not is_sparse(model)  # as `encode`: what is sparse and refused becomes dense
    encode_model(model, target.answer, keep_refused=keeps)
    encoded = len(serde.serialize(model))
    return min(encoded, model_bytes) if keeps else encoded


def _bytes_for_micro(path: Path) -> int:
    model = serde.read(path)
    decode_model(model)
    encode_model(model, micro_target.Micro(least_saving_bytes=TargetSettings().micro_min_saving), keep_refused=False)
    return len(serde.serialize(model))
