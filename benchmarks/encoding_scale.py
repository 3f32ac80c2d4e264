"""Measure time and memory of encoding by file size: stacks of four int8 Dense layers of 1 to 100 million weights.

python benchmarks/encoding_scale.py [--results FILE] [--plot FILE.svg]
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import matplotlib as mpl
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import results
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import new_operator, new_tensor

_LAYERS = 4
_SIDES = (512, 880, 1600, 2816, 5120)
_DENSITY = 0.125
_PROCESSES = 3
_HEADING = "Encoding time and memory by number of weights"
_MOST_SECONDS, _MOST_MEMORY_RATIO = 10.0, 3.0

# A fresh process for each measurement: memory freed earlier would hide the present need.
_CHILD = """
import json, re, sys, time
from pathlib import Path
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.verification.weights import check_weights
from tflite_sparse.targets import litert
source, destination = map(Path, sys.argv[1:])
def peak():  # not ru_maxrss, which a child takes over from its parent
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
started = time.perf_counter()
encode_file(source, destination, litert.answer)
encoded = time.perf_counter()
memory = peak() - before
check_weights(destination, source)
print(json.dumps([encoded - started, time.perf_counter() - encoded, memory]))
"""


@dataclass(frozen=True, slots=True)
class Point:
    """Medians over processes: seconds of encoding and of the check of all weights, bytes that encoding added."""

    weights: int
    file_bytes: int
    encoded_bytes: int
    encoding_seconds: float
    checking_seconds: float
    added_memory_bytes: int

    @property
    def memory_ratio(self) -> float:
        """Memory beyond the file, relative to the file."""
        return (self.added_memory_bytes - self.file_bytes) / self.file_bytes


@click.command()
@results.results_option("size-and-speed")
@click.option("--plot", type=click.Path(path_type=Path), default=Path(__file__).with_name("encoding_scale.svg"))
def main(path: Path, plot: Path) -> None:
    """Measure, print and record; exit with 1 if the largest stack misses a target."""
    points = []
    for side in _SIDES:
        points.append(_measure(side))
        click.echo(" | ".join(_row(points[-1])))
    _draw(points, plot)
    results.write_section(path, _HEADING, _section(points, os.path.relpath(plot.resolve(), path.resolve().parent)))
    largest = points[-1]
    if largest.encoding_seconds > _MOST_SECONDS or largest.memory_ratio > _MOST_MEMORY_RATIO:
        sys.exit(1)


def _measure(side: int) -> Point:
    with tempfile.TemporaryDirectory() as folder:
        source, destination = Path(folder) / "dense.tflite", Path(folder) / "sparse.tflite"
        serde.write(_stack(side), source)
        runs = []
        for _ in range(_PROCESSES):
            command = [sys.executable, "-c", _CHILD, str(source), str(destination)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout))
        encoding, checking, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        sizes = source.stat().st_size, destination.stat().st_size
        return Point(_LAYERS * side * side, *sizes, encoding, checking, int(memory))


def _stack(side: int) -> schema.ModelT:
    """Return four FULLY_CONNECTED layers ``side`` to ``side`` with a scale for each channel and 87.5 % zeros."""
    generator = np.random.default_rng(0)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.operatorCodes = [code]
    graph.tensors, graph.operators = [_tensor((1, side), "x", np.full(1, 0.05))], []
    for layer in range(_LAYERS):
        values = generator.integers(-127, 128, (side, side), np.int8)
        values[generator.random((side, side), np.float32) >= _DENSITY] = 0
        weight = _tensor((side, side), f"layer {layer}", generator.uniform(0.001, 0.002, side))
        buffer = schema.BufferT()
        buffer.data = values.reshape(-1).view(np.uint8)
        model.buffers.append(buffer)
        weight.buffer = len(model.buffers) - 1
        graph.tensors += [weight, _tensor((1, side), f"y {layer}", np.full(1, 0.05))]
        inputs, output = [2 * layer, 2 * layer + 1, -1], 2 * layer + 2
        options = schema.FullyConnectedOptionsT()
        kind = schema.BuiltinOptions.FullyConnectedOptions
        graph.operators.append(new_operator(0, inputs, [output], kind, options))
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([2 * _LAYERS], np.int32)
    return model


def _tensor(shape: tuple[int, ...], name: str, scales: np.ndarray) -> schema.TensorT:
    quantization = schema.QuantizationParametersT()
    quantization.scale = scales.astype(np.float32)
    quantization.zeroPoint = np.zeros(scales.size, np.int64)
    return new_tensor(shape, schema.TensorType.INT8, name, quantization)


def _row(point: Point) -> tuple[str, ...]:
    return (
        f"{point.weights:,}",
        f"{point.file_bytes:,}",
        f"{point.encoded_bytes:,}",
        f"{point.encoding_seconds:.3f}",
        f"{point.weights / point.encoding_seconds / 1e6:.0f}",
        f"{point.checking_seconds:.3f}",
        f"{point.added_memory_bytes / 1e6:.0f}",
        f"{point.memory_ratio:.2f}",
    )


def _section(points: list[Point], picture: str) -> str:
    headings = (
        "weights",
        "dense file (bytes)",
        "encoded (bytes)",
        "encoding (s)",
        "million weights/s",
        "weight check (s)",
        "added memory (MB)",
        "memory beyond the file / file",
    )
    lines = [headings, ("---:",) * len(headings), *map(_row, points)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    smallest, largest = points[0], points[-1]
    growth = (largest.encoding_seconds / smallest.encoding_seconds) / (largest.weights / smallest.weights)
    millions = [point.weights / 1e6 for point in (largest, smallest)]
    per_weight = f"{millions[0]:.0f} million weights over that at {millions[1]:.0f} million: {growth:.2f}"
    fast, frugal = largest.encoding_seconds <= _MOST_SECONDS, largest.memory_ratio <= _MOST_MEMORY_RATIO
    return f"""## {_HEADING}

{datetime.date.today().isoformat()}; {results.machine()}; tflite-sparse {importlib.metadata.version("tflite-sparse")}.
Four int8 FULLY_CONNECTED layers, {1 - _DENSITY:.1%} zeros; medians of {_PROCESSES} fresh processes.
Reproduce: `python benchmarks/encoding_scale.py`

{table}

![seconds and memory over weights]({picture})

Time for each weight at {per_weight}.

- {_verdict(fast)}: largest stack in at most {_MOST_SECONDS:g} s: {largest.encoding_seconds:.2f} s
- {_verdict(frugal)}: memory beyond the file at most {_MOST_MEMORY_RATIO:g} x the file: {largest.memory_ratio:.2f} x
"""


def _verdict(passed: bool) -> str:
    return "pass" if passed else "FAIL"


def _draw(points: list[Point], path: Path) -> None:
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tflite-sparse"  # the same drawing for the same numbers
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    weights = [point.weights for point in points]
    axes.loglog(weights, [point.encoding_seconds for point in points], "o-", label="encoding (s)")
    axes.loglog(weights, [point.checking_seconds for point in points], "s-", label="weight check (s)")
    axes.loglog(weights, [point.added_memory_bytes / 1e9 for point in points], "^-", label="added memory (GB)")
    last = points[-1]
    line = [last.encoding_seconds * count / last.weights for count in weights]
    axes.loglog(weights, line, "k:", linewidth=1, label="proportional to the weights")
    axes.set_xlabel("int8 weights")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
