"""Instructions of generated C by operator: counted in the emulator, else estimated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tflite_sparse.backends.in_c import generated, ports_of
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.errors import ExecutionError
from tflite_sparse.results.instructions import CountedFile, CountedOperator, Inference
from tflite_sparse.runtime import cortex_m, cortex_m_model
from tflite_sparse.runtime.host_c import PortBytes
from tflite_sparse.standalone_c import estimate
from tflite_sparse.standalone_c.files import Sources
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.targets import micro_costs


def count(path: Path, cpu: MicroCpu, seed: int = 0) -> CountedFile:
    """The instructions of one inference of a file.

    Args:
        path: of a ``.tflite`` file, dense or with weights for the sparse kernels.
        cpu: that C is made for and runs on.
        seed: of the random input.

    Raises:
        FlatbufferError: the file cannot be read.
        ExecutionError: it has an operator that generated C does not have, or weights for CPUs of another kind whose
            instructions can only be counted.
    """
    sources = generated(path, Naming("model", "tflite-sparse", path.name), cpu)
    try:
        found = inference(sources, cpu, seed)
    except ExecutionError as error:
        raise ExecutionError(f"{path}: {error}") from error
    return CountedFile(**dict(found), path=str(path), file_bytes=path.stat().st_size)


def inference(sources: Sources, cpu: MicroCpu, seed: int = 0) -> Inference:
    """The instructions of one inference of a model in C; arguments and errors as for :func:`count`.

    Where the emulator is not installed, or cannot run a model that is larger than its boards, they are estimated.
    """
    if not cortex_m.is_available():
        return _estimated(sources, cpu, cortex_m.MISSING)
    try:
        counted = emulated(sources, cpu, [sample(sources, np.random.default_rng(seed))])
    except ExecutionError as error:
        return _estimated(sources, cpu, str(error).splitlines()[0].rstrip("."))
    return Inference(
        cpu=cpu,
        counted=True,
        instructions=sum(counted.instructions),
        operators=_operators(sources, counted.instructions),
    )


def emulated(sources: Sources, cpu: MicroCpu, samples: list[list[np.ndarray]]) -> cortex_m_model.Counted:
    """Run a model in C on an emulated CPU; arguments as of :func:`tflite_sparse.runtime.cortex_m_model.run`."""
    steps = len(sources.program.steps)
    prefix = sources.naming.prefix
    return cortex_m_model.run(micro_costs.code_cpu(cpu), sources.files, prefix, ports_of(sources), steps, samples)


def sample(sources: Sources, rng: np.random.Generator) -> list[np.ndarray]:
    """Random inputs of a model."""
    return [_random(port, rng) for port in ports_of(sources)[0]]


def _estimated(sources: Sources, cpu: MicroCpu, reason: str) -> Inference:
    found = estimate.instructions(sources.program, cpu)
    return Inference(
        cpu=cpu,
        counted=False,
        reason=reason,
        error=micro_costs.of(cpu, "standalone").error,
        instructions=sum(found),
        operators=_operators(sources, found),
    )


def _operators(sources: Sources, instructions: list[int]) -> list[CountedOperator]:
    return [
        CountedOperator(operator=step.operator, layer=step.layer, form=step.form, instructions=each)
        for step, each in zip(sources.program.steps, instructions, strict=True)
    ]


def _random(port: PortBytes, rng: np.random.Generator) -> np.ndarray:
    if port.dtype == np.float32:
        return rng.normal(size=port.shape).astype(np.float32)
    return rng.integers(-128, 128, port.shape).astype(port.dtype)
