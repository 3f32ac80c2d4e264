"""Run models in TensorFlow Lite Micro in a child process: it writes errors to the C stderr, and may abort."""

from __future__ import annotations

import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models

ARENA_BYTES = 8 << 20
ALTERNATE_BYTES = 1 << 20
LINUX_WHEELS_ONLY = (sys.platform, platform.machine()) != ("linux", "x86_64")
needed = pytest.mark.skipif(LINUX_WHEELS_ONLY, reason="tflite-micro has wheels for x86-64 Linux only")

_CHILD = """
import pickle, sys
from tflite_micro import runtime
jobs, arena, alternate = pickle.load(sys.stdin.buffer)
results = []
for content, samples, outputs in jobs:
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena, alt_decompression_memory_size=alternate)
    rows = []
    for sample in samples:
        for position, value in enumerate(sample):
            interpreter.set_input(value, position)
        interpreter.invoke()
        rows.append([interpreter.get_output(position) for position in range(outputs)])
    results.append(rows)
sys.stdout.buffer.write(pickle.dumps(results))
"""


class RefusedError(Exception):
    """The runtime refused a model; the message is its output."""


def run(jobs, arena_bytes=ARENA_BYTES, alternate_bytes=0):
    """Return all outputs of all models: ``jobs`` are (bytes, samples), a sample being the arrays of all inputs.

    The result has for each model and each sample the list of its outputs.
    """
    packed = []
    for content, samples in jobs:
        graph = schema.Model.GetRootAs(bytes(content), 0).Subgraphs(0)
        packed.append((bytes(content), samples, graph.OutputsLength()))
    command = [sys.executable, "-W", "ignore", "-c", _CHILD]
    job = pickle.dumps((packed, arena_bytes, alternate_bytes))
    child = subprocess.run(command, input=job, capture_output=True, check=False, timeout=300)
    if child.returncode:
        raise RefusedError(child.stderr.decode("utf-8", "replace"))
    return pickle.loads(child.stdout)  # noqa: S301 - written by the child above


def same(found, expected):
    """Return whether two results of :func:`run` are equal bit for bit."""
    pairs = [
        (a, b)
        for model_a, model_b in zip(found, expected, strict=True)
        for row_a, row_b in zip(model_a, model_b, strict=True)
        for a, b in zip(row_a, row_b, strict=True)
    ]
    return all(a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8)) for a, b in pairs)


def decoded(items):
    """Return the outputs of the runtime's DECODE for each (Decodable, shape, dtype, Channels) of ``items``."""
    tiny = tiny_models.Tiny()
    ends = []
    for encoded, shape, dtype, channels in items:
        pair = [tiny.constant("", vector.view(np.int8)) for vector in (encoded.encoded, encoded.ancillary)]
        for index in pair:
            tiny.graph.tensors[index].type = schema.TensorType.UINT8
        count = 1 if channels.axis is None else shape[channels.axis]
        quantized = tiny_models.quantization(np.full(count, 0.5), axis=channels.axis or 0)
        quantized.zeroPoint = np.array(np.broadcast_to(channels.zero_points, count), np.int64)
        ends.append(tiny.tensor("", shape, str(dtype), quantized))
        operator = tiny.operator(schema.BuiltinOperator.CUSTOM, 1, pair, ends[-1:])
        tiny.model.operatorCodes[operator.opcodeIndex].customCode = "TFLM_DECODE"
    model = tiny.finished([], ends)
    (rows,) = run([(tiny_models.to_bytes(model), [[]])])
    return rows[0]
