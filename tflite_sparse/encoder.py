"""A dense file in, the smallest file that the target takes out."""

from __future__ import annotations

from pathlib import Path

from tflite_sparse import planner
from tflite_sparse.files import write_bytes
from tflite_sparse.flatbuffer import serde
from tflite_sparse.progress import Step, ignore_steps


def encode_file(
    source: Path, destination: Path, target: planner.Target, *, on_step: Step = ignore_steps
) -> list[planner.Choice]:
    """Encode the ``.tflite`` at ``source`` and write it to ``destination``, which may be the same path.

    The result is never larger than ``source``: should all edits together not pay, the file is written as it was.

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
    choices = planner.plan(model, target)
    total = sum(choice.dense_bytes for choice in choices)
    done = 0

    def encoded(size: int) -> None:
        nonlocal done
        done += size
        on_step(done, total)

    planner.apply(model, choices, encoded)
    content = serde.serialize(model)
    if len(content) > source.stat().st_size:
        why = "all edits together would not make the file smaller"
        choices = [choice.kept_dense(why) for choice in choices]
        content = memoryview(source.read_bytes())
    write_bytes(destination, content)
    return choices
