"""Run files in LiteRT's runtimes, in a child process: native code prints on stderr and may crash on a bad file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.base import child
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, Use, graphs, indices, type_name
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.runtime import over_time, time_limit
from tflite_sparse.runtime.inputs_and_outputs import UNKNOWN_SIZE, InputDetails, Outputs, SeparateOutputs
from tflite_sparse.runtime.litert_kernels import ALL_KERNELS, KERNELS_TO_VERIFY, NAMES, Kernels
from tflite_sparse.runtime.litert_session import Session
from tflite_sparse.runtime.over_time import Feedback

__all__ = [
    "ALL_KERNELS",
    "BATCH",
    "KERNELS_TO_VERIFY",
    "NAMES",
    "UNKNOWN_SIZE",
    "InputDetails",
    "Kernels",
    "Outputs",
    "SeparateOutputs",
    "Session",
    "inputs",
    "inputs_here",
    "load_here",
    "refusal",
    "run",
    "run_here",
    "run_separately",
    "run_separately_here",
    "with_counts",
]

BATCH = 32
"""Number of samples in one batch if a file leaves the batch open."""

_SECONDS_TO_RUN = 60


def run(
    path: Path,
    samples: Sequence[np.ndarray] | np.ndarray,
    kernels: Kernels = "default",
    *,
    threads: int = 2,
    feedback: Feedback | None = None,
    on_step: Step = ignore_steps,
) -> Outputs:
    """Run every sample through a file.

    Args:
        path: the ``.tflite`` file.
        samples: one array for each input (a single array: the only input), ``(n, ...)``: real values, which are
            quantised for the input, or values of the file's dtype.
        kernels: the runtime.
        threads: of the interpreter; CompiledModel uses one.
        feedback: connections between outputs and inputs of a file that computes one time step. Samples are then a
            single array of sequences ``(n, steps, ...)``; the outputs are the results that it names.
        on_step: receives (samples done, all samples).

    Raises:
        ExecutionError: the runtime refused the file or the samples, or its process died.
    """
    inputs = (samples,) if isinstance(samples, np.ndarray) else tuple(samples)
    arguments = {"inputs": inputs, "kernels": kernels, "threads": threads, "feedback": feedback}
    found: Outputs = _in_child("run_here", path, NAMES[kernels], on_step, **arguments)
    return found


def run_separately(
    path: Path,
    samples: Sequence[Sequence[np.ndarray]],
    kernels: Kernels = "default",
    *,
    signature: str | None = None,
    threads: int = 2,
    at_once: int = 1,
    on_step: Step = ignore_steps,
) -> SeparateOutputs:
    """Run samples one by one, each from the state of a freshly loaded file.

    Variable tensors are reset before each sample; a file with resource variables, which no runtime resets, is loaded
    again for each.

    Args:
        path: the ``.tflite`` file.
        samples: for each sample one array for each input, in the input's whole shape (batch included) and dtype.
        kernels: the runtime.
        signature: key of the signature to run; None: the file's first graph, CompiledModel's first signature.
        threads: of the interpreter; CompiledModel uses one.
        at_once: number of samples with a batch of 1 to run as one batch. Applies to interpreters of a file with one
            input, whose batch is open, and outputs that have a batch as well.
        on_step: receives (samples done, all samples).

    Raises:
        ExecutionError: the runtime refused the file or the samples, or its process died.
    """
    arguments = {
        "samples": samples,
        "kernels": kernels,
        "signature": signature,
        "threads": threads,
        "at_once": at_once,
    }
    found: SeparateOutputs = _in_child("run_separately_here", path, NAMES[kernels], on_step, **arguments)
    return found


def inputs(path: Path, signature: str | None = None, *, model: Model | None = None) -> tuple[InputDetails, ...]:
    """Return the inputs of a file, in the order of the arrays for :func:`run` and :func:`run_separately`.

    Args:
        path: the ``.tflite`` file.
        signature: key of the signature; None: the first graph.
        model: the parsed file; None: read it.

    Raises:
        ExecutionError: the runtime refuses the file.
    """
    described: tuple[InputDetails, ...] = _in_child(
        "inputs_here", path, NAMES["default"], ignore_steps, signature=signature
    )
    return described if signature is not None else with_counts(model or serde.read(path), described)


def with_counts(model: Model, described: Sequence[InputDetails]) -> tuple[InputDetails, ...]:
    """Return the inputs of a parsed model's main graph with :attr:`InputDetails.counts` set from its operators."""
    graph = next(graphs(model))
    uses = graph.uses()
    return tuple(
        dataclasses.replace(detail, counts=_are_counts(graph, uses.get(index, [])))
        for detail, index in zip(described, indices(graph.subgraph.inputs), strict=True)
    )


def _are_counts(graph: Graph, readers: Sequence[Use]) -> bool:
    return bool(readers) and all(
        graph.operator_name(use.operator) == "CAST"
        and type_name(graph.tensor(int(use.operator.outputs[0]))) in ("int32", "int64")
        for use in readers
    )


def refusal(
    path: Path,
    kernels: Kernels,
    shapes: Sequence[tuple[int, ...]] | None = None,
    *,
    seconds: int = _SECONDS_TO_RUN,
) -> str | None:
    """Return why a runtime does not load a file and run it once within a time limit, in one line; None if it does.

    Args:
        path: the file.
        kernels: the runtime.
        shapes: of its inputs; None: a batch of 1, and :data:`UNKNOWN_SIZE` for other open sizes.
        seconds: of wall time.
    """
    try:
        child.call(f"{__name__}:load_here", path=str(path), kernels=kernels, shapes=shapes, seconds=seconds)
    except child.ChildDiedError as death:
        return f"it {death.how}. {_last_line(death.log)}".rstrip()
    except RuntimeError as error:
        return one_line(error)
    return None


def run_here(
    path: str,
    inputs: Sequence[np.ndarray],
    kernels: Kernels,
    threads: int,
    feedback: Feedback | None = None,
    on_step: Step = ignore_steps,
) -> Outputs:
    """Execute :func:`run` in this process."""
    session = Session(path, kernels, threads)
    if feedback is not None:
        quantised = session.output_quantisation
        results = over_time.run(session.run, session.inputs, quantised, inputs[0], feedback, on_step)
        return Outputs.of(results, [quantised[position] for position in feedback.results])
    if len(session.inputs) != len(inputs):
        raise ExecutionError(f"{path} has {len(session.inputs)} inputs, {len(inputs)} were given.")
    prepared = [detail.quantised(array) for detail, array in zip(session.inputs, inputs, strict=True)]
    batch = BATCH if session.takes_batches else 1
    count = len(prepared[0])
    rows: list[tuple[np.ndarray, ...]] = []
    for start in range(0, count, batch):
        rows.append(session.run([array[start : start + batch] for array in prepared]))
        on_step(min(start + batch, count), count)
    arrays = tuple(np.concatenate(column) for column in zip(*rows, strict=True))
    return Outputs.of(arrays, session.output_quantisation)


def run_separately_here(
    path: str,
    samples: Sequence[Sequence[np.ndarray]],
    kernels: Kernels,
    signature: str | None,
    threads: int,
    at_once: int = 1,
    on_step: Step = ignore_steps,
) -> SeparateOutputs:
    """Execute :func:`run_separately` in this process."""
    session = Session(path, kernels, threads, signature)
    size = at_once if session.takes_batches else 1
    rows: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(samples), size):
        rows += _run_together(session, samples[start : start + size])
        on_step(len(rows), len(samples))
    return SeparateOutputs(session.output_names, session.output_indices, tuple(rows))


def _run_together(session: Session, samples: Sequence[Sequence[np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
    """Return the outputs for each sample; run several samples, each with a batch of 1, as one batch if possible."""
    if len(samples) > 1:
        outputs = session.run([np.concatenate(column) for column in zip(*samples, strict=True)])
        if all(output.shape[:1] == (len(samples),) for output in outputs):
            return [tuple(output[at : at + 1] for output in outputs) for at in range(len(samples))]
    return [session.run(sample) for sample in samples]


def inputs_here(path: str, signature: str | None = None, on_step: Step = ignore_steps) -> tuple[InputDetails, ...]:
    """Execute :func:`inputs` in this process."""
    del on_step
    return Session(path, "default", 1, signature).inputs


def load_here(
    path: str,
    kernels: Kernels,
    shapes: Sequence[tuple[int, ...]] | None,
    seconds: int,
    on_step: Step = ignore_steps,
) -> None:
    """Load a file in this process and run it once on zeros: CompiledModel loads even operators that it cannot run."""
    del on_step
    with time_limit.at_most(seconds):
        session = Session(path, kernels, 1)
        if all(detail.dtype.kind in "biuf" for detail in session.inputs):  # zeros cannot stand for text
            wanted = [detail.example_shape for detail in session.inputs] if shapes is None else shapes
            session.run([np.zeros(shape, each.dtype) for shape, each in zip(wanted, session.inputs, strict=True)])


def _in_child(function: str, path: Path, runtime: str, on_step: Step, **arguments: Any) -> Any:
    try:
        return child.call(f"{__name__}:{function}", on_step=on_step, path=str(path), **arguments)
    except child.ChildDiedError as death:
        raise ExecutionError(f"{runtime} {death.how} on {path}. {_last_line(death.log)}") from death
    except RuntimeError as error:
        raise ExecutionError(f"{runtime} refuses {path}: {one_line(error)}") from error


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
