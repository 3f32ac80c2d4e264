"""Read and write the metadata entries of a ``.tflite`` file, each a name and bytes.

They are ``Model.metadata`` of the schema, which LiteRT's C API reads with ``LiteRtGetModelMetadata``. Unlike the ZIP
archive that the TensorFlow Lite Support library appends, they are part of the FlatBuffer and survive reading and
writing the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import text
from tflite_sparse.flatbuffer.types import Buffer, Metadata, Model

LABELS = "labels"
"""Names of the classes, UTF-8, one a line."""

INPUT_RANGE = "input_range"
"""Smallest and largest value of the data that the model was made with: two float32, little-endian."""


def put(model: Model, name: str, content: bytes) -> None:
    """Add an entry to a parsed model, or replace the one of this name."""
    buffer: Buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    entry: Metadata = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers) - 1
    model.metadata = [each for each in model.metadata or () if text(each.name) != name] + [entry]


def get(model: Model, name: str) -> bytes | None:
    """Return the content of an entry of a parsed model; None if there is none of this name."""
    for entry in model.metadata or ():
        if text(entry.name) == name:
            data = model.buffers[entry.buffer].data
            return b"" if data is None else bytes(np.asarray(data, np.uint8))
    return None


def describe(path: Path, labels: Sequence[str], input_range: tuple[float, float], *, most_bytes: int) -> bool:
    """Add the input range and class names of a classifier to the file at ``path``: about 130 bytes and the names.

    Args:
        path: the file; replaced atomically.
        labels: names of the classes, none of them with a line break.
        input_range: smallest and largest value of the data that the model was made with.
        most_bytes: limit for the file; above it, the file stays unchanged.

    Returns:
        Whether the file was written.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    model = serde.read(path)
    put(model, LABELS, "\n".join(labels).encode())
    put(model, INPUT_RANGE, np.array(input_range, "<f4").tobytes())
    content, archive = serde.serialize(model), serde.archive_of(path)
    if len(content) + (0 if archive is None else archive.nbytes) > most_bytes:
        return False
    serde.write_content(content, path, archive)
    return True
