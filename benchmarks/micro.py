"""Measure a small pruned model on TensorFlow Lite Micro and Ethos-U, by codec: flash, memory, time.

python benchmarks/micro.py [--results FILE]
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import results
from tflite_sparse.commands import encode as encode_command
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import new_operator, new_tensor
from tflite_sparse.measurement import size
from tflite_sparse.results.files import EncodingReport
from tflite_sparse.results.micro import MicroReport
from tflite_sparse.runtime import vela

_HEADING = "Microcontrollers, CONV_2D and FULLY_CONNECTED"
_SPARSITY = 0.875
_IMAGE, _CHANNELS, _OUTPUTS = 8, 32, 64
_ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
_LARGEST_VELA_SHARE = 0.2
_PACKAGES = ("tflite-sparse", "tflite-micro", "ethos-u-vela")
_SAMPLES = 5
_ROUNDS = 100

_Codec = Literal["dense", "prune", "huffman", "lut", "auto"]
_Distribution = Literal["Laplace", "Gaussian"]
_DISTRIBUTIONS: tuple[_Distribution, ...] = ("Laplace", "Gaussian")
_LARGEST_SHARES: dict[_Codec, float] = {"prune": 0.29, "auto": 0.25}
_CODECS: tuple[_Codec, ...] = ("dense", "prune", "huffman", "lut", "auto")

# The files take turns, so that other work on the machine affects all alike.
_CHILD = """
import json, statistics, sys, time
from tflite_micro import runtime
rounds, paths = int(sys.argv[1]), sys.argv[2:]
interpreters = [runtime.Interpreter.from_file(path, arena_size=1 << 20) for path in paths]
seconds = [[] for _ in paths]
for _ in range(rounds):
    for interpreter, found in zip(interpreters, seconds):
        started = time.perf_counter()
        interpreter.invoke()
        found.append(time.perf_counter() - started)
print(json.dumps([1000 * statistics.median(found) for found in seconds]))
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One file for TensorFlow Lite Micro, verified there against the dense one."""

    codec: _Codec
    report: EncodingReport
    gzip_bytes: int
    invoke_milliseconds: float

    @property
    def micro(self) -> MicroReport:
        assert self.report.micro is not None  # the target is micro
        return self.report.micro


@dataclass(frozen=True, slots=True)
class Compiled:
    """Vela's results for the model before and after pruning."""

    before: vela.VelaResult
    after: vela.VelaResult

    @property
    def weights_share(self) -> float:
        return self.after.encoded_weight_bytes / self.before.encoded_weight_bytes


@dataclass(frozen=True, slots=True)
class Found:
    """The measurements of the model with one distribution of weights."""

    distribution: _Distribution
    stored: list[Stored]
    compiled: list[Compiled]

    @property
    def weights(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.stored[0].report.tensors)

    @property
    def bound_bytes(self) -> int:
        return sum(tensor.entropy_bytes for tensor in self.stored[0].report.tensors)


@click.command()
@results.results_option("microcontrollers")
def main(path: Path) -> None:
    """Measure, print and record; exit with 1 if a target is missed."""
    found = [_measure(distribution) for distribution in _DISTRIBUTIONS]
    section = _section(found)
    click.echo(section)
    results.write_section(path, _HEADING, section)
    if not all(verdict.passed for each in found for verdict in _verdicts(each)):
        sys.exit(1)


def _measure(distribution: _Distribution) -> Found:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pruned, unpruned = folder / "pruned.tflite", folder / "unpruned.tflite"
        serde.write(_model(distribution, _SPARSITY), pruned)
        serde.write(_model(distribution, 0.0), unpruned)
        compiled = [
            Compiled(*(vela.compile_file(each, folder=folder, accelerator=accelerator) for each in (unpruned, pruned)))
            for accelerator in _ACCELERATORS
        ]
        return Found(distribution, _stored(pruned, folder), compiled)


def _model(distribution: _Distribution, sparsity: float) -> schema.ModelT:
    """Return CONV_2D 3x3, 32 to 64 channels of an 8x8 image, then FULLY_CONNECTED to 64: 280,576 weights.

    The weights are pruned by magnitude, then quantised by channel, as in a trained model.
    """
    generator = np.random.default_rng(0)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    graph.tensors, graph.operators = [], []

    def add(name: str, shape: tuple[int, ...], scales: np.ndarray, values: np.ndarray | None = None) -> int:
        kind = schema.TensorType.INT32 if values is not None and values.ndim == 1 else schema.TensorType.INT8
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = scales.astype(np.float32), np.zeros(scales.size, np.int64)
        graph.tensors.append(new_tensor(shape, kind, name, quantization))
        if values is not None:
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = values.reshape(-1).view(np.uint8)
            graph.tensors[-1].buffer = len(model.buffers) - 1
        return len(graph.tensors) - 1

    def layer(data: int, shape: tuple[int, ...], out: tuple[int, ...], code: int, kind: int, options: object) -> int:
        values, scales = _weights(shape, distribution, sparsity, generator)
        scale = np.float32(graph.tensors[data].quantization.scale[0])
        weight = add(f"weight {len(graph.operators)}", shape, scales, values)
        bias = add("bias", shape[:1], scale * scales, np.zeros(shape[0], np.int32))
        spread = np.array([scale * scales.mean() * 40 * math.sqrt(math.prod(shape[1:]))])
        result = add("output", out, spread)
        model.operatorCodes.append(schema.OperatorCodeT())
        model.operatorCodes[-1].builtinCode = model.operatorCodes[-1].deprecatedBuiltinCode = code
        model.operatorCodes[-1].version = 3
        graph.operators.append(
            new_operator(len(model.operatorCodes) - 1, [data, weight, bias], [result], kind, options)
        )
        return result

    x = add("input", (1, _IMAGE, _IMAGE, _CHANNELS), np.array([0.05]))
    conv = schema.Conv2DOptionsT()
    conv.padding, conv.strideH, conv.strideW = schema.Padding.SAME, 1, 1
    conv.dilationHFactor = conv.dilationWFactor = 1
    image = (1, _IMAGE, _IMAGE, _OUTPUTS)
    codes, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    middle = layer(x, (_OUTPUTS, 3, 3, _CHANNELS), image, codes.CONV_2D, kinds.Conv2DOptions, conv)
    full = schema.FullyConnectedOptionsT()
    flat = (_OUTPUTS, math.prod(image))
    y = layer(middle, flat, (1, _OUTPUTS), codes.FULLY_CONNECTED, kinds.FullyConnectedOptions, full)
    graph.inputs, graph.outputs = np.array([x], np.int32), np.array([y], np.int32)
    return model


def _weights(
    shape: tuple[int, ...], distribution: _Distribution, sparsity: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 values, of which the share ``sparsity`` is zero, and the scale of each output channel."""
    draw = generator.laplace if distribution == "Laplace" else generator.normal
    values = draw(0, 1 / math.sqrt(math.prod(shape[1:])), shape)
    magnitudes = np.abs(values)
    values[magnitudes < np.quantile(magnitudes, sparsity)] = 0
    scales = np.abs(values).reshape(shape[0], -1).max(axis=1) / 127
    return np.rint(values / scales.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8), scales


def _stored(dense: Path, folder: Path) -> list[Stored]:
    paths = {codec: folder / f"{codec}.tflite" for codec in _CODECS}
    reports = {
        codec: encode_command.encode(
            dense, path, target="micro", micro_codec=codec, verification_samples=_SAMPLES, seed=0
        )
        for codec, path in paths.items()
    }
    command = [sys.executable, "-c", _CHILD, str(_ROUNDS), *map(str, paths.values())]
    times = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [
        Stored(codec, reports[codec], size.gzip_bytes(path), milliseconds)
        for (codec, path), milliseconds in zip(paths.items(), times, strict=True)
    ]


def _verdicts(found: Found) -> list[results.Verdict]:
    sizes = {each.codec: each.report.file_bytes for each in found.stored}
    verdicts = []
    for codec, largest in _LARGEST_SHARES.items():
        share = sizes[codec] / sizes["dense"]
        words = f"{found.distribution}, {codec}: at most {largest:.0%} of the dense file"
        verdicts.append(results.Verdict(words, f"{share:.1%}", share <= largest))
    for each in found.compiled:
        words = f"{found.distribution}, {each.after.accelerator}: encoded weights at most a fifth of the unpruned ones"
        share = each.weights_share
        verdicts.append(results.Verdict(words, f"{share:.1%}", share <= _LARGEST_VELA_SHARE))
    return verdicts


def _section(found: list[Found]) -> str:
    dense = found[0].stored[0].report
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    decoder = found[0].stored[-1].micro.decoder_flash_bytes
    parts = [
        f"## {_HEADING}",
        f"{datetime.date.today().isoformat()}; {results.machine()}; {versions}.\n"
        f"CONV_2D 3x3x{_CHANNELS}x{_OUTPUTS} and FULLY_CONNECTED {_IMAGE * _IMAGE * _OUTPUTS:,} to {_OUTPUTS}: "
        f"{found[0].weights:,} int8 weights with a scale for each channel, {_SPARSITY:.1%} zeros by magnitude.\n"
        "Reproduce: `python benchmarks/micro.py`",
        f"Outputs are those of the dense file bit for bit on {dense.verification.samples} inputs in TensorFlow Lite "
        "Micro, with decoded weights in the arena and in a memory of their own. Arenas are the smallest that run, with "
        f"64-bit pointers and reference kernels. Times are medians of {_ROUNDS} rounds on this machine, with reference "
        "kernels: where optimised ones run, decoding takes a larger share. `AddDecode()` takes about "
        f"{decoder:,} bytes of flash in addition.",
    ]
    for each in found:
        bound = f"The entropy bound, each weight coded on its own: {each.bound_bytes:,} bytes."
        parts += [f"### {each.distribution} weights", _table(_micro_rows(each.stored)), bound]
        parts += [
            "What Vela makes of it before / after pruning; it compresses dense weights too:",
            _table(_vela_rows(each.compiled)),
        ]
    parts.append("\n".join(f"- {verdict.in_words()}" for each in found for verdict in _verdicts(each)))
    return "\n\n".join(parts) + "\n"


def _micro_rows(stored: list[Stored]) -> list[tuple[str, ...]]:
    dense = stored[0].report.file_bytes
    return [
        ("", *(each.codec for each in stored)),
        ("file (bytes)", *(f"{each.report.file_bytes:,}" for each in stored)),
        ("of the dense file", *(f"{each.report.file_bytes / dense:.1%}" for each in stored)),
        ("gzip (bytes)", *(f"{each.gzip_bytes:,}" for each in stored)),
        ("arena, weights decoded into it (bytes)", *(f"{each.micro.arena_decoded_bytes:,}" for each in stored)),
        (
            "arena beside decompression memory (bytes)",
            *(f"{each.micro.arena_with_alternate_bytes:,}" for each in stored),
        ),
        ("decompression memory (bytes)", *(f"{each.micro.alternate_memory_bytes:,}" for each in stored)),
        ("decoded at every invoke (bytes)", *(f"{each.micro.decoded_bytes_per_invoke:,}" for each in stored)),
        ("invoke on this machine (ms)", *(f"{each.invoke_milliseconds:.2f}" for each in stored)),
        ("weights", *("; ".join(sorted({tensor.layout for tensor in each.report.tensors})) for each in stored)),
    ]


def _vela_rows(compiled: list[Compiled]) -> list[tuple[str, ...]]:
    def both(attribute: str) -> tuple[str, ...]:
        return tuple(f"{getattr(each.before, attribute):,} / {getattr(each.after, attribute):,}" for each in compiled)

    return [
        ("", *(each.after.accelerator for each in compiled)),
        ("encoded weights (bytes)", *both("encoded_weight_bytes")),
        ("after / weights as int8", *(f"{_share_of_int8(each.after):.1%}" for each in compiled)),
        ("after / before", *(f"{each.weights_share:.1%}" for each in compiled)),
        ("flash (bytes)", *both("flash_bytes")),
        ("DRAM (bytes)", *both("dram_bytes")),
        ("SRAM (bytes)", *both("sram_bytes")),
        ("estimated cycles", *both("estimated_cycles")),
    ]


def _share_of_int8(compiled: vela.VelaResult) -> float:
    return compiled.encoded_weight_bytes / compiled.original_weight_bytes


def _table(rows: list[tuple[str, ...]]) -> str:
    headings, *others = rows
    lines = [headings, ("---", *["---:"] * (len(headings) - 1)), *others]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
