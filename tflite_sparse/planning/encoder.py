"""Encode a file to the smallest equivalent file that the target takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.codecs.constants import layout_of, stored_bytes
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, Use
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import planner
from tflite_sparse.planning.decoder import Former, decode_model
from tflite_sparse.targets import litert
from tflite_sparse.targets.form import Answer


def encode_file(
    source: Path,
    destination: Path,
    target: planner.Target,
    *,
    keep_refused: bool = True,
    on_step: Step = ignore_steps,
) -> list[planner.Choice]:
    """Encode the ``.tflite`` at ``source`` and write it to ``destination``, which may be the same path.

    An archive of associated files behind the model is kept.

    Sparse constants of ``source`` are decoded first and encoded again. The result is never larger than ``source``: if
    the edits save nothing in total, the file is copied unchanged.

    Args:
        source: the file to read.
        destination: the file to write, atomically.
        target: the target.
        keep_refused: whether constants of ``source`` keep a sparse form that ``target`` refuses; else they become
            dense, and the result may be larger than ``source``.
        on_step: receives (steps done, all steps).

    Returns:
        The choice for each constant of rank 2 or more, in file order.

    Raises:
        FlatbufferError: ``source`` cannot be read.
        OutputError: ``destination`` cannot be written.
    """
    model = serde.read(source)
    choices = encode_model(model, target, keep_refused=keep_refused, on_step=on_step)
    content, archive = serde.serialize(model), serde.archive_of(source)
    if len(content) > (source.stat().st_size if archive is None else archive.start) and keep_refused:
        choices = [_unchanged(choice, serde.read(source)) for choice in choices]
        write_bytes(destination, source.read_bytes())
    else:
        serde.write_content(content, destination, archive)
    return choices


def encode_model(
    model: Model, target: planner.Target, *, keep_refused: bool = True, on_step: Step = ignore_steps
) -> list[planner.Choice]:
    """Encode a parsed model in place; see :func:`encode_file`."""
    former = decode_model(model)
    chosen = _with_former_forms(former, target) if keep_refused else target
    choices = planner.plan(model, chosen, on_step=lambda done, total: on_step(done, 2 * total))
    planner.apply(model, choices, on_step=lambda done, total: on_step(total + done, 2 * total))
    return choices


def _with_former_forms(former: Former, target: planner.Target) -> planner.Target:
    """Return ``target`` extended by the former sparse form of each constant that it refuses."""

    def answer(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
        key = (graph.number, tensor_index)
        if key in former.native:  # another form would round differently from the source
            return Answer((litert.native(graph, tensor_index, uses, former.native[key], exact=True),))
        found = target(graph, tensor_index, uses)
        if found.forms or key not in former.densified:
            return found
        return Answer((litert.densified(graph, tensor_index, uses),))

    return answer


def _unchanged(choice: planner.Choice, source: Model) -> planner.Choice:
    graph = Graph(source, source.subgraphs[choice.graph.number])
    index = choice.tensor_index
    reason = choice.reason if choice.form is None else "all edits together would not make the file smaller"
    layout, stored = layout_of(graph, index), stored_bytes(graph, index)
    words = layout.in_words()
    return replace(choice, layout=layout, stored=words, form=None, encoded_bytes=stored, reason=reason, edit=None)
