"""Write files whose kept weights share values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning.decoder import decode_model
from tflite_sparse.results.shared_values import SharedTensor, SharedValues
from tflite_sparse.rewrites import shared_values

COUNTS = (8, 16, 32)
"""Numbers of values that ``auto`` chooses from."""

Counts = Mapping[tuple[int, int], int]
"""Values of each tensor, by the indices of its graph and itself."""


def write(source: Path, destination: Path, counts: int | Counts) -> list[shared_values.Shared]:
    """Write a file with weights that share values; ``destination`` may be ``source``.

    Args:
        source: the file; sparse constants become dense.
        destination: the file to write.
        counts: values of each tensor, or of all.

    Returns:
        One entry for each tensor that shares values, in file order.

    Raises:
        FlatbufferError: ``source`` cannot be read.
        OutputError: ``destination`` cannot be written.
    """
    model = serde.read(source)
    decode_model(model)
    found = share(model, counts)
    serde.write_content(serde.serialize(model), destination, serde.archive_of(source))
    return found


def share(model: Model, counts: int | Counts) -> list[shared_values.Shared]:
    """Let the tensors of a parsed dense file share values; see :func:`write`."""
    found = []
    for graph, index in list(shared_values.shareable(model)):
        count = counts if isinstance(counts, int) else counts.get((graph.number, index))
        if count is not None:
            found.append(shared_values.apply(graph, index, count))
    return found


def alike(model: Model, tensors: Iterable[SharedTensor]) -> Counts:
    """Return the counts that give tensors of another file of the same model as many values as those of these names."""
    named = {tensor.name: tensor.values for tensor in tensors}
    return {
        (graph.number, index): named[name]
        for graph in graphs(model)
        for index in graph.uses()
        if (name := text(graph.tensor(index).name)) in named
    }


def in_report(
    asked: int | str,
    found: list[shared_values.Shared],
    names: Callable[[str], str] | None = None,
    corrected_layers: int = 0,
) -> SharedValues:
    """Return the entry of a report.

    Args:
        asked: the setting.
        found: the tensors.
        names: returns the layer of a tensor by its name. None: layers are not known.
        corrected_layers: layers whose biases were corrected.
    """
    return SharedValues(
        asked=asked,
        tensors=[
            SharedTensor(
                name=each.name,
                layer="" if names is None else names(each.name),
                kept=each.kept,
                values_before=each.values_before,
                values=each.values,
                error=each.error,
            )
            for each in found
        ],
        corrected_layers=corrected_layers,
    )
