"""What an app must know of a classifier, in the classifier's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tflite_sparse.flatbuffer import metadata, serde

if TYPE_CHECKING:  # not imported by every command on files
    from tflite_sparse.sources.dataset import Dataset


def describe(sparse: Path, dense: Path, samples: Dataset | None) -> None:
    """Write the names of a classifier's classes into its sparse file, unless that would become larger than dense.

    Args:
        sparse: the file; it is replaced, all or nothing.
        dense: the file that it stands for.
        samples: where the names are from; without any, or with several inputs, the file stays as it is.
    """
    if samples is None or not samples.labels or isinstance(samples.x_train, Mapping):
        return
    graph = serde.read(dense).subgraphs[0]
    if len(graph.outputs) == 1 and int(graph.tensors[graph.outputs[0]].shape[-1]) == len(samples.labels):
        x = samples.x_train
        span = float(x.min()), float(x.max())
        metadata.describe(sparse, samples.labels, span, most_bytes=dense.stat().st_size)
