"""Run files in TensorFlow Lite for Microcontrollers (TFLM) on this machine, in a child process.

The interpreter is that of the Python package ``tflite-micro``, with every operator registered. It prints errors on the
process's standard error only, does not check lengths inside a constant, and crashes if an arena is much too small.
"""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tflite_sparse.base import child, extras, scratch
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE, MOST_PIXELS_AT_ONCE, PIXELS_AT_ONCE
from tflite_sparse.errors import ExecutionError, OperatorRefusedError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import (
    Graph,
    custom_operators,
    dtype_of,
    graphs,
    indices,
    quantisation_of,
    shape_of,
    text,
    type_name,
)
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.runtime import micro_operators, micro_refusals, over_time, smallest_arena
from tflite_sparse.runtime.inputs_and_outputs import InputDetails, Outputs, SeparateOutputs
from tflite_sparse.runtime.over_time import Feedback

if TYPE_CHECKING:
    from tflite_micro.runtime import Interpreter

NAME = "TensorFlow Lite Micro"

MAX_ARENA_BYTES = 64 * 2**20
"""Largest arena, more than any microcontroller has; a file that needs more is refused."""

ARENA_ALIGNMENT = 16
"""TFLM aligns allocations in an arena to 16 bytes (micro_arena_constants.h)."""

_SECONDS = 60
_TRIAL_FAILED = 3


def is_available() -> bool:
    """Return whether the package ``tflite-micro`` is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


def run(
    path: Path,
    samples: Sequence[np.ndarray] | np.ndarray,
    *,
    arena_bytes: int | None = None,
    alternate_memory_bytes: int = 0,
    seconds_per_sample: int = _SECONDS,
    feedback: Feedback | None = None,
    on_step: Step = ignore_steps,
) -> Outputs:
    """Run every sample through a file, each from the state of a freshly loaded file.

    Args:
        path: the ``.tflite`` file.
        samples: one array for each input (a single array: the only input), ``(n, ...)``: real values, which are
            quantised for the input, or values of the file's dtype.
        arena_bytes: of the tensor arena; None: up to :data:`MAX_ARENA_BYTES`.
        alternate_memory_bytes: of a separate memory for decoded weights (``SetDecompressionMemory``); 0: they are in
            the arena.
        seconds_per_sample: time limit.
        feedback: as :func:`tflite_sparse.runtime.litert.run`.
        on_step: receives (samples done, all samples).

    Raises:
        FlatbufferError: the file cannot be read or is damaged.
        ExecutionError: the runtime is not installed, refused the file or the samples, took too long, or its process
            died; or the file has sparse tensors, for which it would silently compute wrong outputs.
    """
    inputs = (samples,) if isinstance(samples, np.ndarray) else tuple(samples)
    found: Outputs = _in_child(
        "run_here",
        path,
        on_step,
        inputs=inputs,
        arena_bytes=arena_bytes,
        alternate_memory_bytes=alternate_memory_bytes,
        seconds=seconds_per_sample,
        feedback=feedback,
    )
    return found


def run_separately(
    path: Path,
    samples: Sequence[Sequence[np.ndarray]],
    *,
    arena_bytes: int | None = None,
    alternate_memory_bytes: int = 0,
    seconds_per_sample: int = _SECONDS,
    on_step: Step = ignore_steps,
) -> SeparateOutputs:
    """Run samples, each one array per input in the input's whole shape (batch included) and dtype; see :func:`run`.

    Raises:
        FlatbufferError: as :func:`run`.
        ExecutionError: as :func:`run`.
    """
    found: SeparateOutputs = _in_child(
        "run_separately_here",
        path,
        on_step,
        samples=samples,
        arena_bytes=arena_bytes,
        alternate_memory_bytes=alternate_memory_bytes,
        seconds=seconds_per_sample,
    )
    return found


def inputs(path: Path) -> tuple[InputDetails, ...]:
    """Return the inputs of a file, in the order of the arrays for :func:`run`, without running it.

    Raises:
        FlatbufferError: the file cannot be read or is damaged.
    """
    graph = next(graphs(serde.read(path)))
    return tuple(_details(str(path), graph, index) for index in indices(graph.subgraph.inputs))


def arena(
    path: Path,
    *,
    alternate_memory_bytes: int = 0,
    pixels_at_once: int = MOST_PIXELS_AT_ONCE,
    seconds_per_run: int = _SECONDS,
) -> int:
    """Return the bytes of the smallest arena in which a file loads and runs once, found by trial; a multiple of 16.

    The runtime's own figure (``arena_used_bytes``) leaves out memory that only loading needs: for FULLY_CONNECTED with
    1000 scales it is 10,992 where 17,312 are needed. Kernels are the reference ones with 64-bit pointers: on a 32-bit
    microcontroller the same file needs less, except for scratch memory of optimised kernels (CMSIS-NN).

    Args:
        path: the ``.tflite`` file.
        alternate_memory_bytes: as :func:`run`; not counted in the result.
        pixels_at_once: for which sparse kernels ask memory, on the CPU that runs the file; without it, an arena for
            any CPU.
        seconds_per_run: time limit of one run.

    Raises:
        FlatbufferError: as :func:`run`.
        ExecutionError: as :func:`run`; also if :data:`MAX_ARENA_BYTES` are not enough.
    """
    arguments = {"alternate_memory_bytes": alternate_memory_bytes, "seconds": seconds_per_run}
    found: int = _in_child("arena_here", path, ignore_steps, pixels_at_once, **arguments)
    return found


def run_here(
    path: str,
    log: str,
    inputs: Sequence[np.ndarray],
    arena_bytes: int | None,
    alternate_memory_bytes: int,
    seconds: int,
    feedback: Feedback | None = None,
    operators: bytes | None = None,
    on_step: Step = ignore_steps,
) -> Outputs:
    """Execute :func:`run` in this process, with standard error redirected to the file ``log``."""
    _prepare_process(log, operators)
    session = _Session(path, arena_bytes, alternate_memory_bytes, seconds)
    quantised = [(each.scale, each.zero_point) for each in session.outputs]
    if feedback is not None:
        results = over_time.run(session.run, session.inputs, quantised, inputs[0], feedback, on_step)
        return Outputs.of(results, [quantised[position] for position in feedback.results])
    if len(session.inputs) != len(inputs):
        raise ExecutionError(f"{path} has {len(session.inputs)} inputs, {len(inputs)} were given.")
    prepared = [detail.quantised(array) for detail, array in zip(session.inputs, inputs, strict=True)]
    count = len(prepared[0])
    rows = []
    for sample in range(count):
        rows.append(session.run([array[sample : sample + 1] for array in prepared]))
        on_step(sample + 1, count)
    return Outputs.of([np.concatenate(column) for column in zip(*rows, strict=True)], quantised)


def run_separately_here(
    path: str,
    log: str,
    samples: Sequence[Sequence[np.ndarray]],
    arena_bytes: int | None,
    alternate_memory_bytes: int,
    seconds: int,
    operators: bytes | None = None,
    on_step: Step = ignore_steps,
) -> SeparateOutputs:
    """Execute :func:`run_separately` in this process, with standard error redirected to the file ``log``."""
    _prepare_process(log, operators)
    session = _Session(path, arena_bytes, alternate_memory_bytes, seconds)
    rows = []
    for done, sample in enumerate(samples, start=1):
        rows.append(session.run(sample))
        on_step(done, len(samples))
    return SeparateOutputs(tuple(each.name for each in session.outputs), session.output_indices, tuple(rows))


def arena_here(
    path: str,
    log: str,
    alternate_memory_bytes: int,
    seconds: int,
    operators: bytes | None = None,
    on_step: Step = ignore_steps,
) -> int:
    """Execute :func:`arena` in this process, with standard error redirected to the file ``log``."""
    del on_step
    _prepare_process(log, operators)
    session = _Session(path, None, alternate_memory_bytes, seconds)
    zeros = [np.zeros(detail.example_shape, detail.dtype) for detail in session.inputs]  # valid as indices too
    session.run(zeros)  # reports errors that are independent of the arena
    content = Path(path).read_bytes()

    def once(arena_bytes: int) -> None:
        interpreter = _load(content, arena_bytes, alternate_memory_bytes)
        for position, array in enumerate(zeros):
            interpreter.set_input(array, position)
        interpreter.invoke()

    def trial(arena_bytes: int) -> bool:
        return _succeeds(lambda: once(arena_bytes), seconds)

    guess = smallest_arena.announced(Path(log), session.print_allocations)
    return smallest_arena.search(trial, guess, ARENA_ALIGNMENT, MAX_ARENA_BYTES)


class _Session:
    """A file loaded in this process, ready to run.

    Attributes:
        inputs: in the order of the arrays of :meth:`run`.
        outputs: in the order of the graph.
        output_indices: of their tensors in the first graph, which is run.
    """

    def __init__(self, path: str, arena_bytes: int | None, alternate_memory_bytes: int, seconds: int) -> None:
        model = serde.read(Path(path))
        _refuse_sparse_tensors(path, model)
        graph = next(graphs(model))
        self.inputs = tuple(_details(path, graph, index) for index in indices(graph.subgraph.inputs))
        self.output_indices = tuple(indices(graph.subgraph.outputs))
        self.outputs = tuple(_details(path, graph, index) for index in self.output_indices)
        self._seconds = seconds
        signal.alarm(seconds)
        content = Path(path).read_bytes()
        self._interpreter = _load(content, arena_bytes or MAX_ARENA_BYTES, alternate_memory_bytes)

    def run(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the outputs for one array per input, computed from the state of a freshly loaded file."""
        if len(arrays) != len(self.inputs):
            raise RuntimeError(f"it has {len(self.inputs)} inputs, {len(arrays)} were given")
        self._interpreter.reset()
        for position, array in enumerate(arrays):
            self._interpreter.set_input(np.ascontiguousarray(array), position)
        self.invoke()
        return tuple(self._interpreter.get_output(position) for position in range(len(self.outputs)))

    def print_allocations(self) -> None:
        """Print what was allocated in the arena on standard error."""
        self._interpreter.print_allocations()

    def invoke(self) -> None:
        """Run once."""
        signal.alarm(self._seconds)  # native code cannot be stopped otherwise
        self._interpreter.invoke()
        signal.alarm(0)


def _in_child(function: str, path: Path, on_step: Step, pixels_at_once: int = PIXELS_AT_ONCE, **arguments: Any) -> Any:
    with scratch.folder() as folder:
        log = folder / "log.txt"
        log.touch()
        try:
            arguments["operators"] = _operators(path, pixels_at_once)
            return child.call(f"{__name__}:{function}", on_step=on_step, path=str(path), log=str(log), **arguments)
        except child.ChildDiedError as death:
            raise ExecutionError(f"{NAME} {death.how} on {path}. {_logged(log)}".rstrip()) from death
        except RuntimeError as error:
            raise _refused(path, _logged(log) or one_line(error)) from error


def _operators(path: Path, pixels_at_once: int) -> bytes | None:
    """The library of the operators that the runtime lacks for a file; None where it has all of them."""
    return micro_operators.library(pixels_at_once) if CUSTOM_CODE in custom_operators(serde.read(path)) else None


def _refused(path: Path, words: str) -> ExecutionError:
    found = micro_refusals.in_log(words, serde.read(path))
    if found is None:
        return ExecutionError(f"{NAME} refuses {path}: {words}")
    return OperatorRefusedError(f"{NAME} refuses {path}: {words.rstrip('.')}. That is {found}.", (found.tensors,))


def _logged(log: Path) -> str:
    """Return the messages of the runtime, in one line."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return "; ".join(line.strip() for line in lines if line.strip())[:300]


def _prepare_process(log: str, operators: bytes | None) -> None:
    """Redirect native standard error to ``log``, disable core files of crashed trials, load a library of operators."""
    import resource  # missing on Windows, as is the runtime

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _redirect_standard_error(log)
    if operators is not None:
        micro_operators.load(operators)


def _redirect_standard_error(path: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 2)
    os.close(handle)


def _load(content: bytes, arena_bytes: int, alternate_memory_bytes: int) -> Interpreter:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise ExecutionError(
            f"{NAME} cannot be loaded ({one_line(error)}): {extras.install_command('micro')}"
        ) from error
    return runtime.Interpreter.from_bytes(
        content,
        custom_op_registerers=micro_operators.registerers(),
        arena_size=arena_bytes,
        alt_decompression_memory_size=alternate_memory_bytes,
    )


def _refuse_sparse_tensors(path: str, model: Model) -> None:
    for graph in graphs(model):
        for tensor in graph.subgraph.tensors:
            if tensor.sparsity is not None:
                raise ExecutionError(
                    f"{path} is not for {NAME}: it takes the packed values of {text(tensor.name)!r} for dense ones and "
                    "would compute garbage. Encode the file for the target micro."
                )


def _details(path: str, graph: Graph, index: int) -> InputDetails:
    tensor = graph.tensor(index)
    dtype = dtype_of(tensor)
    if dtype is None:
        raise ExecutionError(
            f"{path}: {text(tensor.name)!r} is of type {type_name(tensor)}, which cannot be fed or read."
        )
    return InputDetails(text(tensor.name), shape_of(tensor), dtype, *quantisation_of(tensor))


def _succeeds(action: Callable[[], object], seconds: int) -> bool:
    """Return whether ``action`` ends without an exception, in a fork of this process, which it may crash."""
    process = os.fork()
    if process == 0:
        try:
            _redirect_standard_error(os.devnull)
            signal.alarm(seconds)
            action()
        except BaseException:  # noqa: BLE001 - the fork must end here after any exception
            os._exit(_TRIAL_FAILED)
        os._exit(0)
    return os.waitpid(process, 0)[1] == 0
