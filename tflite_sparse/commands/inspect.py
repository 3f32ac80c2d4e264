"""What is in a ``.tflite`` file: its constants and how they are stored, who loads it, what it could take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from typing_extensions import Unpack

from tflite_sparse.backends import dead_channels
from tflite_sparse.backends.protocol import Inspected, InspectedFile
from tflite_sparse.backends.registry import backend
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress
from tflite_sparse.codecs.constants import dense_values, layout_of, stored_bytes, vectors
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.codecs.layout import kept_mask
from tflite_sparse.codecs.layout_words import in_plain_words
from tflite_sparse.codecs.names import CODECS
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import (
    Graph,
    graphs,
    shape_of,
    text,
    type_name,
    zero_points_of,
)
from tflite_sparse.flatbuffer.signature import differing_orders
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.measurement import contract
from tflite_sparse.planning.decoder import decode_model
from tflite_sparse.results.contract import Contract
from tflite_sparse.results.dead_channels import DeadChannels
from tflite_sparse.results.inspection import DENSE, Constant, Estimate, Inspection, Order, Totals
from tflite_sparse.rewrites import decode_op, sparse_operator
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.settings import AnyPath, InspectOptions, InspectSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.target_registry import TARGETS
from tflite_sparse.version import TOOL


@takes(InspectSettings, InspectOptions)
def inspect(file: AnyPath, *, progress: Progress | None = None, **settings: Unpack[InspectOptions]) -> Inspection:
    """Inspect a ``.tflite`` file. Nothing is written.

    Each target's runtimes load it, and it is encoded and decoded in memory for the estimates.

    Args:
        file: the file.
        progress: receives stages.
        **settings: see below.

    Raises:
        FlatbufferError: it cannot be read or is damaged.
        SettingsError: a setting is unknown, or a shape does not fit.
    """
    checked = InspectSettings(**settings)
    path, progress = Path(file), chosen(progress)
    model = serde.read(path)
    file_bytes = path.stat().st_size
    archive = serde.archive_of(path)
    archive_bytes = 0 if archive is None else archive.nbytes
    with progress.stage("read constants"):
        constants = sorted(_constants(model, file_bytes), key=lambda constant: -constant.stored_bytes)
    operators = Counter(graph.operator_name(operator) for graph in graphs(model) for operator in graph.operators)
    about = InspectedFile(path, model, file_bytes - archive_bytes, checked.input_shapes)
    with progress.stage("load in each runtime"):
        loaded = {name: answer for name in TARGETS if (answer := backend(name).inspect(about)) is not None}
    with progress.stage("estimate sizes"):
        estimates = {DENSE: _dense_bytes(path)}
        for name, answer in loaded.items():
            encoded_bytes = backend(name).encoded_bytes(about, answer)
            if encoded_bytes is not None:
                estimates[name] = encoded_bytes
    with progress.stage("look for dead channels"):
        dead = _dead_channels(path)
    with progress.stage("write snippets"):
        target = _target_of_code(loaded, checked.target)
        promised = _contract(about, target)
    return Inspection(
        tool=TOOL,
        path=str(path),
        file_bytes=file_bytes,
        archive_bytes=archive_bytes,
        constants=constants,
        totals=_totals(constants),
        operators=dict(sorted(operators.items())),
        runtimes=[
            answer.model_copy(update={"target": name}) for name, found in loaded.items() for answer in found.answers
        ],
        estimates=[
            Estimate(target=name, file_bytes=model_bytes + archive_bytes) for name, model_bytes in estimates.items()
        ],
        orders=[Order(**asdict(order)) for order in differing_orders(model)],
        dead_channels=dead,
        contract=promised,
        target=target,
    )


def _target_of_code(loaded: Mapping[str, Inspected], asked: str | None) -> str | None:
    """The target that code is written for: the first one, or the one asked for, whose runtime does not refuse the file.

    The first runtime of a target decides: code for it is right whatever the others say, or if they could not be tried.
    """
    names = loaded if asked is None else [asked]
    return next((name for name in names if name in loaded and loaded[name].answers[0].loads is not False), None)


def _contract(file: InspectedFile, target: str | None) -> Contract:
    """Inputs and outputs, with code for the target."""
    found = contract.of_model(file.model)
    if target is None:
        return found
    return found.model_copy(update={"snippets": backend(target).snippets(file, found)})


def _dead_channels(path: Path) -> DeadChannels | None:
    model, before = serde.read(path), serde.read(path)
    decode_model(model)
    decode_model(before)
    cut = removal.remove(model)
    return dead_channels.described(before, model, cut) if cut.slices or cut.remaining else None


def _constants(model: Model, file_bytes: int) -> Iterator[Constant]:
    seen: set[int] = set()
    for graph in graphs(model):
        readers = _readers(graph)
        decoded = decode_op.results(graph)
        computed = {each.tensors[0]: each for each in sparse_operator.operators(graph)}
        encoded = {index for result in decoded.values() for index in result.pair}
        for index, tensor in enumerate(graph.subgraph.tensors):
            if index in decoded:
                result = decoded[index]
                values: np.ndarray | None = result.values
                parts: Sequence[np.ndarray] = result.vectors
                layout = words = f"DECODE, {CODECS[result.codec].words}"
            elif index in computed:
                operator = computed[index]
                values, parts = operator.weights, vectors(graph, index)
                layout = words = f"{operator.options.operator}, {operator.options.kernel.words}"
            elif graph.is_constant(index) and index not in encoded:
                values, parts = dense_values(graph, index), vectors(graph, index)
                found = layout_of(graph, index)
                layout, words = found.in_words(), in_plain_words(found, readers.get(index, ()))
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
                shape=shape_of(tensor) if values is None else values.shape,
                dtype="int8" if index in computed else type_name(tensor),
                sparsity=None if mask is None or mask.size == 0 else 1 - np.count_nonzero(mask) / mask.size,
                layout=layout if stored else f"{layout}, shared",
                stored_as=words if stored else f"{words}, shared",
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


def _dense_bytes(path: Path) -> int:
    model = serde.read(path)
    decode_model(model)
    return len(serde.serialize(model))
