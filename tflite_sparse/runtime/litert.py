"""LiteRT's runtimes, in a child process: the native code prints on stderr and may crash on a bad file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tflite_sparse import child
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.progress import Step, ignore_steps

Kernels = Literal["default", "builtin", "compiled_model"]
"""``default``: the interpreter as apps get it, with XNNPACK; ``builtin``: without any delegate; ``compiled_model``: the
API of LiteRT 2, which the Android library offers as its standard one."""

ALL_KERNELS: tuple[Kernels, ...] = ("default", "builtin", "compiled_model")

NAMES: dict[Kernels, str] = {
    "default": "LiteRT interpreter, default (XNNPACK)",
    "builtin": "LiteRT interpreter, built-in kernels",
    "compiled_model": "LiteRT CompiledModel (CPU)",
}

_BATCH = 32


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model yields for a set of samples.

    Attributes:
        arrays: one array for each output, ``(n, ...)``, in the dtype of the file.
        scales: of each output; 0 where it is not quantised.
        zero_points: of each output.
    """

    arrays: tuple[np.ndarray, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    def real(self, index: int = 0) -> np.ndarray:
        """Output ``index`` as real numbers, float32: ``scale * (q - zero point)``."""
        array, scale = self.arrays[index], self.scales[index]
        if scale == 0:
            return array.astype(np.float32)
        return ((array.astype(np.float32) - self.zero_points[index]) * np.float32(scale)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class InputDetails:
    """One input of a file: name, shape with -1 for a size that may change, dtype, quantisation (scale 0: none)."""

    name: str
    signature: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def quantised(self, samples: np.ndarray) -> np.ndarray:
        """Real-valued ``samples`` in the dtype of the file: ``round(x / scale) + zero point``, clipped."""
        if self.scale == 0 or samples.dtype == self.dtype:
            return samples.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        values = np.round(samples / self.scale) + self.zero_point
        return np.clip(values, limits.min, limits.max).astype(self.dtype)


def run(
    path: Path,
    samples: Sequence[np.ndarray] | np.ndarray,
    kernels: Kernels = "default",
    *,
    threads: int = 2,
    on_step: Step = ignore_steps,
) -> Outputs:
    """Run every sample through a file.

    Args:
        path: the ``.tflite`` file.
        samples: one array for each input (an array alone: the only input), ``(n, ...)``: real values, which are
            quantised as the input asks, or values of the file's own dtype.
        kernels: which runtime.
        threads: of the interpreter.
        on_step: told (samples done, samples in all).

    Raises:
        ExecutionError: the runtime refused the file or the samples, or its process died.
    """
    inputs = (samples,) if isinstance(samples, np.ndarray) else tuple(samples)
    return _in_child("run_here", path, NAMES[kernels], on_step, inputs=inputs, kernels=kernels, threads=threads)  # type: ignore[no-any-return]


def inputs(path: Path) -> tuple[InputDetails, ...]:
    """The inputs of a file, in the order that :func:`run` takes them.

    Raises:
        ExecutionError: the runtime refuses the file.
    """
    return _in_child("inputs_here", path, NAMES["default"], ignore_steps)  # type: ignore[no-any-return]


def run_here(
    path: str, inputs: Sequence[np.ndarray], kernels: Kernels, threads: int, on_step: Step = ignore_steps
) -> Outputs:
    """:func:`run` in this process."""
    interpreter = _interpreter(path, kernels, threads)
    details = _input_details(interpreter)
    if len(details) != len(inputs):
        raise ExecutionError(f"{path} has {len(details)} inputs, {len(inputs)} were given.")
    prepared = [detail.quantised(array) for detail, array in zip(details, inputs, strict=True)]
    if kernels == "compiled_model":
        arrays = _run_compiled_model(path, prepared, interpreter, on_step)
    else:
        arrays = _run_interpreter(interpreter, prepared, details, on_step)
    quantisation = [output["quantization"] for output in interpreter.get_output_details()]
    return Outputs(
        arrays, tuple(float(scale) for scale, _ in quantisation), tuple(int(zero) for _, zero in quantisation)
    )


def inputs_here(path: str, on_step: Step = ignore_steps) -> tuple[InputDetails, ...]:
    """:func:`inputs` in this process."""
    del on_step
    return _input_details(_interpreter(path, "default", 1))


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


def _interpreter(path: str, kernels: Kernels, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.AUTO if kernels != "builtin" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        return Interpreter(path, experimental_op_resolver_type=resolver, num_threads=threads)
    except ValueError as error:  # what the binding raises for a file that its verifier refuses
        raise RuntimeError(str(error)) from error


def _input_details(interpreter: Any) -> tuple[InputDetails, ...]:
    return tuple(
        InputDetails(
            detail["name"],
            tuple(int(size) for size in detail["shape_signature"]),
            np.dtype(detail["dtype"]),
            float(detail["quantization"][0]),
            int(detail["quantization"][1]),
        )
        for detail in interpreter.get_input_details()
    )


def _run_interpreter(
    interpreter: Any, inputs: list[np.ndarray], details: tuple[InputDetails, ...], on_step: Step
) -> tuple[np.ndarray, ...]:
    # With several inputs nothing says that all batches move together, so only a single one is batched.
    free_batch = len(details) == 1 and details[0].signature[:1] == (-1,)
    batch = min(_BATCH, len(inputs[0])) if free_batch else 1
    indices = [detail["index"] for detail in interpreter.get_input_details()]
    results: list[list[np.ndarray]] = []
    size = 0
    for start in range(0, len(inputs[0]), batch):
        part = [array[start : start + batch] for array in inputs]
        if len(part[0]) != size:
            size = len(part[0])
            for index, detail, array in zip(indices, details, part, strict=True):
                if -1 in detail.signature[1:] or free_batch:
                    interpreter.resize_tensor_input(index, array.shape)
            interpreter.allocate_tensors()
        for index, array in zip(indices, part, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.reset_all_variables()  # a fused LSTM carries its state from call to call
        interpreter.invoke()
        results.append([interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()])
        on_step(start + size, len(inputs[0]))
    return tuple(np.concatenate(column) for column in zip(*results, strict=True))


def _run_compiled_model(path: str, inputs: list[np.ndarray], interpreter: Any, on_step: Step) -> tuple[np.ndarray, ...]:
    from ai_edge_litert.compiled_model import CompiledModel

    # One sample at a time: in 2.3.0 the output buffers keep the old size when an input is resized.
    model = CompiledModel.from_file(path)
    key = next(iter(model.get_signature_list()))
    names = model.get_signature_list()[key]
    order = _signature_order(interpreter, key, names)
    input_buffers, output_buffers = model.create_input_buffers(0), model.create_output_buffers(0)
    outputs = [interpreter.get_output_details()[i] for i in order.outputs]
    results: list[list[np.ndarray]] = []
    for sample in range(len(inputs[0])):
        for buffer, position in zip(input_buffers, order.inputs, strict=True):
            buffer.write(np.ascontiguousarray(inputs[position][sample : sample + 1]))
        model.run_by_index(0, input_buffers, output_buffers)
        row: list[np.ndarray] = [np.empty(0)] * len(outputs)
        for buffer, position, detail in zip(output_buffers, order.outputs, outputs, strict=True):
            shape = tuple(int(size) for size in detail["shape"])
            row[position] = np.asarray(buffer.read(int(np.prod(shape)), detail["dtype"])).reshape(shape)
        results.append(row)
        on_step(sample + 1, len(inputs[0]))
    return tuple(np.concatenate(column) for column in zip(*results, strict=True))


@dataclass(frozen=True, slots=True)
class _Order:
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _signature_order(interpreter: Any, key: str, names: dict[str, list[str]]) -> _Order:
    """For each buffer of a CompiledModel, the position of its tensor among the interpreter's inputs or outputs.

    A CompiledModel orders them as the signature does, the interpreter as the graph does.
    """
    if len(names["inputs"]) == 1 and len(names["outputs"]) == 1:
        return _Order((0,), (0,))
    runner = interpreter.get_signature_runner(key)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    input_indices = [detail["index"] for detail in interpreter.get_input_details()]
    output_indices = [detail["index"] for detail in interpreter.get_output_details()]
    return _Order(
        tuple(input_indices.index(inputs[name]["index"]) for name in names["inputs"]),
        tuple(output_indices.index(outputs[name]["index"]) for name in names["outputs"]),
    )
