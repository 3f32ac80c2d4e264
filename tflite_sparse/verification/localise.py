"""Where two files part: the first tensor, in execution order, that a sample gives different values.

Both files are copied with every activation tensor that they have in common as a further output of the graph, and the
copies are run. A tensor that must be kept can keep a runtime from fusing the operators around it, so a difference of
the files may vanish in the copies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, signature_of, text
from tflite_sparse.runtime import litert
from tflite_sparse.verification.counterparts import partners
from tflite_sparse.verification.exactness import largest_difference, same_bits
from tflite_sparse.verification.observation import activations, graph_of, write_yielding

Run = Callable[[Path, Sequence[Sequence[np.ndarray]]], litert.SeparateOutputs]
"""Runs samples, one array for each input, through a file in one runtime."""


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first tensor that differs.

    Attributes:
        tensor: its name; None if it was not found.
        operator: the operator of the reference that yields it.
        largest: the largest difference in units of the dtype; None if the tensor was not found, or infinity or NaN
            stand against something else.
        note: why it was not found.
    """

    tensor: str | None = None
    operator: str | None = None
    largest: float | None = None
    note: str | None = None


def first_difference(
    path: Path,
    reference: Path,
    sample: Sequence[np.ndarray],
    kernels: litert.Kernels,
    *,
    signature: str | None = None,
    threads: int = 2,
) -> FirstDifference | None:
    """Find the first tensor in execution order that differs between two files, in one of LiteRT's runtimes.

    Args:
        path: the file in question.
        reference: the file that says how it must be, whose operators and order count.
        sample: one array for each input, as for :func:`tflite_sparse.runtime.litert.run_separately`.
        kernels: which runtime.
        signature: whose graph; None: the first.
        threads: of the interpreter.

    Returns:
        Where they part, or why that could not be found; None if all tensors that the files have in common are equal.
    """
    run = partial(litert.run_separately, kernels=kernels, signature=signature, threads=threads)
    return first_difference_in(run, path, reference, sample, signature=signature)


def first_difference_in(
    run: Run, path: Path, reference: Path, sample: Sequence[np.ndarray], *, signature: str | None = None
) -> FirstDifference | None:
    """Do as :func:`first_difference`, in the runtime that ``run`` stands for."""
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        folder = Path(name)
        try:
            first, second = serde.read(path), serde.read(reference)
            graph, other = graph_of(second, signature), graph_of(first, signature)
            yielded = activations(graph)
            known = partners(yielded, graph, activations(other), other, _alike)
            found = _observed(first, other, list(known.values()), folder, sample, run)
            expected = _observed(second, graph, list(known), folder, sample, run)
        except (ExecutionError, FlatbufferError) as error:
            reason = str(error).replace(f"{folder}/", "")
            return FirstDifference(note=f"copies that yield their intermediate tensors do not run: {reason}")
    producers = graph.producers()
    for index in yielded:
        if index in known and not same_bits(found[known[index]], expected[index]):
            largest = largest_difference(found[known[index]], expected[index])
            return FirstDifference(
                text(graph.tensor(index).name), graph.operator_name(producers[index]), largest, note=None
            )
    return None if known else FirstDifference(note="the files have no activation tensor in common")


def _alike(a: Any, b: Any) -> bool:
    return bool(a.type == b.type) and signature_of(a) == signature_of(b)


def _observed(
    model: Any, graph: Graph, wanted: list[int], folder: Path, sample: Sequence[np.ndarray], run: Run
) -> dict[int, np.ndarray]:
    """The values of these tensors (and of the graph's outputs) on a sample. Edits the model."""
    path = folder / "copy.tflite"
    write_yielding(model, graph, wanted, path)
    result = run(path, [sample])
    return dict(zip(result.indices, result.rows[0], strict=True))
