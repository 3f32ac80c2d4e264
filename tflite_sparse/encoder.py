"""A file in, the smallest file that the target takes and that computes the same out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflite_sparse import planner
from tflite_sparse.decoder import Former, decode_model
from tflite_sparse.files import write_bytes
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, Use
from tflite_sparse.progress import Step, ignore_steps
from tflite_sparse.targets import litert
from tflite_sparse.targets.form import Answer


def encode_file(
    source: Path, destination: Path, target: planner.Target, *, on_step: Step = ignore_steps
) -> list[planner.Choice]:
    """Encode the ``.tflite`` at ``source`` and write it to ``destination``, which may be the same path.

    What is sparse in ``source`` is decoded first and encoded anew, or as it was where the target has no form of its
    own for it. The result is never larger than ``source``: should all edits together not pay, the file is written as it
    was.

    Args:
        source: the file to read.
        destination: the file to write, all or nothing.
        target: what its runtime accepts.
        on_step: told (bytes of weights done, bytes of weights in all).

    Returns:
        What was decided for each constant of rank 2 or more, in file order.

    Raises:
        FlatbufferError: ``source`` cannot be read.
        OutputError: ``destination`` cannot be written.
    """
    model = serde.read(source)
    choices = encode_model(model, target, on_step=on_step)
    content = serde.serialize(model)
    if len(content) > source.stat().st_size:
        why = "all edits together would not make the file smaller"
        choices = [choice.left_alone(why) for choice in choices]
        content = memoryview(source.read_bytes())
    write_bytes(destination, content)
    return choices


def encode_model(model: Any, target: planner.Target, *, on_step: Step = ignore_steps) -> list[planner.Choice]:
    """Edit a parsed model; otherwise as :func:`encode_file`."""
    former = decode_model(model)
    choices = planner.plan(model, _keeping(former, target))
    total = sum(choice.dense_bytes for choice in choices)
    done = 0

    def encoded(size: int) -> None:
        nonlocal done
        done += size
        on_step(done, total)

    planner.apply(model, choices, encoded)
    return choices


def _keeping(former: Former, target: planner.Target) -> planner.Target:
    """``target``, and for what was sparse before also the form that it had."""

    def answer(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
        key = (graph.number, tensor_index)
        if key in former.native:  # another form would round differently from the source
            return Answer((litert.native(graph, tensor_index, uses, former.native[key]),))
        found = target(graph, tensor_index, uses)
        if found.forms or key not in former.densified:
            return found
        return Answer((litert.densified(graph, tensor_index, uses),))

    return answer
