"""Instructions of generated C by operator: counted in the emulator, else estimated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tflite_sparse.backends.in_c import generated, ports_of
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.instructions import CountedFile, CountedOperator
from tflite_sparse.runtime import cortex_m, cortex_m_model
from tflite_sparse.runtime.host_c import PortBytes
from tflite_sparse.standalone_c.files import Sources
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.targets import micro_costs, operator_costs


def count(path: Path, cpu: MicroCpu, seed: int = 0) -> CountedFile:
    """The instructions of one inference.

    Args:
        path: of a ``.tflite`` file, dense or with weights for the sparse kernels.
        cpu: that C is made for and runs on.
        seed: of the random input.

    Raises:
        FlatbufferError: the file cannot be read.
        ExecutionError: it has an operator that generated C does not have, or the emulated program failed.
    """
    sources = generated(path, Naming("model", "tflite-sparse", path.name), cpu)
    if cortex_m.is_available():
        instructions = emulated(sources, cpu, [sample(sources, np.random.default_rng(seed))]).instructions
        found = [
            CountedOperator(operator=step.operator, layer=step.layer, form=step.form, instructions=each)
            for step, each in zip(sources.program.steps, instructions, strict=True)
        ]
    else:
        found = [
            CountedOperator(
                operator=each.operator,
                layer=each.name,
                form="dense" if each.kernel is None else each.kernel.words,
                instructions=each.instructions,
            )
            for each in operator_costs.of(serde.read(path), micro_costs.of(cpu, "standalone")).operators
        ]
    return CountedFile(
        path=str(path),
        file_bytes=path.stat().st_size,
        counted=cortex_m.is_available(),
        instructions=sum(each.instructions for each in found),
        operators=found,
    )


def emulated(sources: Sources, cpu: MicroCpu, samples: list[list[np.ndarray]]) -> cortex_m_model.Counted:
    """Run a model in C on an emulated CPU; arguments as of :func:`tflite_sparse.runtime.cortex_m_model.run`."""
    steps = len(sources.program.steps)
    prefix = sources.naming.prefix
    return cortex_m_model.run(micro_costs.code_cpu(cpu), sources.files, prefix, ports_of(sources), steps, samples)


def sample(sources: Sources, rng: np.random.Generator) -> list[np.ndarray]:
    """Random inputs of a model."""
    return [_random(port, rng) for port in ports_of(sources)[0]]


def _random(port: PortBytes, rng: np.random.Generator) -> np.ndarray:
    if port.dtype == np.float32:
        return rng.normal(size=port.shape).astype(np.float32)
    return rng.integers(-128, 128, port.shape).astype(port.dtype)
