"""Measure what dead channels cost: known networks, every second channel zeroed, with and without these channels.

python benchmarks/channels.py [--networks NAME,NAME] [--side PIXELS] [--results FILE]
"""

from __future__ import annotations

import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

import results
import tflite_sparse
from results import Verdict
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.measurement import operators
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.runtime import litert, micro, vela
from tflite_sparse.runtime.litert_kernels import KERNELS_TO_VERIFY, NAMES
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.verification import outputs

_HEADING = "Half of the channels of"
_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert", "tflite-micro", "ethos-u-vela")
_CLASSES, _SAMPLES, _ROUNDS = 1000, 100, 30
_STATISTICS_PASSES = 6
_LEAST_DISTINCT = 100
_VELA, _VELA_UNPRUNED = "Vela cycles", "Vela cycles, from the unpruned network"
_MOST = {"bytes": 0.32, "multiply-adds": 0.30, "arena": 0.6, _VELA: 0.45, _VELA_UNPRUNED: 0.45}
_MOST_SECONDS = {"MobileNetV2": 1.0, "EfficientNetB0": 3.0}
_NETWORKS = ("MobileNet", "MobileNetV2", "EfficientNetB0", "ResNet50")
_TARGETED = ("MobileNet", "MobileNetV2")
_WITH_KERNELS = ("CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True, slots=True)
class Point:
    """One network.

    Attributes:
        name: in ``keras.applications``.
        side: of its images, pixels.
        seconds: of the removal, in memory, median of three.
        numbers: with all channels and without the dead ones, by what is measured; None where it was not.
        equal: names of the runtimes whose outputs are equal bit for bit.
        unequal: the others.
        distinct: the fewest distinct outputs in any runtime.
        faster: latency with all channels over that without the dead ones, XNNPACK: int8, float32.
        last: bytes of the last kernel, whose outputs all stay, before and after.
    """

    name: str
    side: int
    seconds: float
    numbers: dict[str, tuple[int, int] | None]
    equal: tuple[str, ...]
    unequal: tuple[str, ...]
    distinct: int
    faster: tuple[float, float]
    last: tuple[int, int]

    def share(self, name: str) -> float | None:
        """What is left of a number."""
        found = self.numbers[name]
        return None if found is None else found[1] / found[0]

    @property
    def least_bytes(self) -> float:
        """Share of the bytes if half of the channels left all kernels but the last one, and nothing else was stored."""
        before, _ = self.numbers["bytes"] or (1, 1)
        return (self.last[1] + (before - self.last[0]) / 4) / before

    @property
    def heading(self) -> str:
        """Of its section."""
        return f"{_HEADING} {self.name}, {self.side} pixels"


@click.command()
@results.results_option("channels")
@click.option("--networks", default=",".join(_NETWORKS), show_default=True, help="Which, of keras.applications.")
@click.option("--side", type=click.IntRange(32), default=96, show_default=True, help="Width of the images, pixels.")
def main(path: Path, networks: str, side: int) -> None:
    """Measure, print and record; exit with 1 if outputs differ or a target is missed."""
    passed = True
    for name in networks.split(","):
        point = _measure(name, side)
        verdicts = list(_verdicts(point))
        click.echo("\n".join([" | ".join(_row(point)), *(verdict.in_words() for verdict in verdicts)]))
        results.write_section(path, point.heading, _section(point, verdicts))
        passed = passed and all(verdict.passed for verdict in verdicts)
    sys.exit(not passed)


def _measure(name: str, side: int) -> Point:
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / f"{kind}.tflite" for kind in ("int8", "float32")}
        without = {kind: Path(folder) / f"{kind}-without.tflite" for kind in files}
        keras = tensorflow_import.keras3()
        model = _network(keras, name, side, halved=True)
        samples = _images(_SAMPLES, side, seed=2)
        for kind, file in files.items():
            file.write_bytes(_converted(model, _images(30, side, seed=1), int8=kind == "int8"))
            parsed = serde.read(file)
            removal.remove(parsed)
            serde.write(parsed, without[kind])
        pair = files["int8"], without["int8"]
        unpruned = Path(folder) / "unpruned.tflite"
        unpruned.write_bytes(
            _converted(_network(keras, name, side, halved=False), _images(30, side, seed=1), int8=True)
        )
        equal, unequal, distinct = [], [], []
        for runtime, run in _runtimes(pair[0], samples):
            try:
                one, two = (run(file) for file in pair)
            except ExecutionError as error:
                click.echo(f"{name}, {runtime}: not compared, {error}")
                continue
            (unequal if outputs.differences(two, one) else equal).append(runtime)
            distinct.append(outputs.distinct(one))
        return Point(
            name,
            side,
            statistics.median(_seconds(pair[0]) for _ in range(3)),
            {
                "bytes": (pair[0].stat().st_size, pair[1].stat().st_size),
                "multiply-adds": _pair(pair, _multiply_adds),
                "arena": _pair(pair, micro.arena),
                _VELA: _pair(pair, lambda file: _cycles(file, Path(folder))),
                _VELA_UNPRUNED: _pair((unpruned, pair[1]), lambda file: _cycles(file, Path(folder))),
            },
            tuple(equal),
            tuple(unequal),
            min(distinct),
            (_faster(*pair), _faster(files["float32"], without["float32"])),
            (_last_kernel(pair[0]), _last_kernel(pair[1])),
        )


def _network(keras: ModuleType, name: str, side: int, *, halved: bool) -> Any:
    """A network with logits, random weights and statistics of its own activations; every second channel may be 0."""
    keras.utils.set_random_seed(0)
    options = {"weights": None, "input_shape": (side, side, 3), "classes": _CLASSES, "classifier_activation": None}
    model = getattr(keras.applications, name)(**options)
    for layer in model.layers[:-1]:
        kind = type(layer).__name__
        if halved and kind in ("Conv2D", "Dense", "DepthwiseConv2D", "BatchNormalization"):
            weights = [np.array(each) for each in layer.get_weights()]
            axis = 2 if kind == "DepthwiseConv2D" else -1
            dead = np.arange(weights[0].shape[axis]) % 2 == 1
            for each in weights[:2] if kind == "BatchNormalization" else weights:
                np.moveaxis(each, axis if each.ndim > 1 else -1, 0)[dead] = 0
            layer.set_weights(weights)
        if kind == "BatchNormalization":
            layer.momentum = 0.5
    for seed in range(_STATISTICS_PASSES):  # without them the outputs of random networks are constant
        model(_images(16, side, seed), training=True)
    return model


def _images(count: int, side: int, seed: int) -> np.ndarray:
    """Images of different brightness and contrast, float32 (count, side, side, 3) in 0..1."""
    generator = np.random.default_rng(seed)
    level, contrast = (generator.uniform(low, high, (count, 1, 1, 3)) for low, high in ((0.2, 0.8), (0.05, 0.4)))
    return np.clip(generator.normal(level, contrast, (count, side, side, 3)), 0, 1).astype(np.float32)


def _converted(model: Any, images: np.ndarray, *, int8: bool) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function
    def run(image: Any) -> Any:  # a batch of 1: TensorFlow Lite Micro and Vela plan memory from the shapes
        return model(image, training=False)

    spec = tf.TensorSpec((1, *images.shape[1:]), tf.float32)
    frozen = convert_variables_to_constants_v2(run.get_concrete_function(spec))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _runtimes(file: Path, images: np.ndarray) -> Iterator[tuple[str, Callable[[Path], litert.SeparateOutputs]]]:
    """Each runtime's name, and what runs a file in it on the images."""
    (detail,) = litert.inputs(file)
    samples = [[image[None]] for image in detail.quantised(images)]
    for kernels in KERNELS_TO_VERIFY:
        yield NAMES[kernels], lambda path, kernels=kernels: litert.run_separately(path, samples, kernels, threads=1)
    yield micro.NAME, lambda path: micro.run_separately(path, samples)


def _seconds(file: Path) -> float:
    parsed = serde.read(file)
    started = time.perf_counter()
    removal.remove(parsed)
    return time.perf_counter() - started


def _pair(files: Sequence[Path], measure: Callable[[Path], int]) -> tuple[int, int] | None:
    """A number of both files; None where one cannot be measured."""
    try:
        one, two = (measure(file) for file in files)
    except ExecutionError as error:
        click.echo(f"not measured: {error}")
        return None
    return one, two


def _multiply_adds(file: Path) -> int:
    return sum(each.multiply_adds or 0 for each in operators.of_model(serde.read(file)))


def _last_kernel(file: Path) -> int:
    """Bytes of the last constant of rank 2 or more that an operator multiplies with."""
    graph = next(graphs(serde.read(file)))
    kernels = [operator for operator in graph.operators if graph.operator_name(operator) in _WITH_KERNELS]
    values = graph.constant(int(kernels[-1].inputs[1]))
    return 0 if values is None else values.nbytes


def _cycles(file: Path, folder: Path) -> int:
    return int(vela.compile_file(file, folder=folder).estimated_cycles)


def _faster(one: Path, two: Path) -> float:
    return 1 / tflite_sparse.bench([one, two], rounds=_ROUNDS).files[1].ratios.latency


def _verdicts(point: Point) -> Iterator[Verdict]:
    """The targets of one network."""
    good = not point.unequal and point.distinct >= _LEAST_DISTINCT
    result = (
        f"{len(point.equal)} runtimes, {point.distinct} distinct outputs; unequal: {', '.join(point.unequal) or 'none'}"
    )
    yield Verdict(f"{point.name}: bit-equal with {_LEAST_DISTINCT} distinct outputs", result, good)
    smaller = point.share("bytes")
    yield Verdict(f"{point.name}: no larger", f"{smaller:.3f}", smaller is not None and smaller <= 1)
    if point.name in _MOST_SECONDS:
        limit = _MOST_SECONDS[point.name]
        yield Verdict(f"{point.name}: removal in {limit:g} s", f"{point.seconds:.3f} s", point.seconds <= limit)
    for name, most in _MOST.items() if point.name in _TARGETED else ():
        found = point.share(name)
        words = "not measured" if found is None else f"{found:.3f}"
        yield Verdict(f"{point.name}: {name} at most {most:g}", words, found is not None and found <= most)
    if point.name == "MobileNet":
        for kind, least, found in zip(("int8", "float32"), (1.5, 2.5), point.faster, strict=True):
            yield Verdict(f"{point.name}: XNNPACK {kind} {least:g} times as fast", f"{found:.2f}", found >= least)


def _row(point: Point) -> tuple[str, ...]:
    cells = []
    for found in point.numbers.values():
        cells.append("-" if found is None else f"{found[0]:,} to {found[1]:,} ({found[1] / found[0]:.2f})")
    fast = [f"{each:.2f}x" for each in point.faster]
    equal = f"{len(point.equal)} of {len(point.equal) + len(point.unequal)}"
    return (point.name, *cells, *fast, f"{1000 * point.seconds:.0f} ms", equal, str(point.distinct))


def _section(point: Point, verdicts: Sequence[Verdict]) -> str:
    headings = ("network", *_MOST, "int8 faster", "float32 faster", "removal", "bit-equal in", "distinct outputs")
    rows = [headings, ("---", *["---:"] * (len(headings) - 1)), _row(point)]
    parts = [
        f"## {point.heading}",
        f"Measured on {datetime.date.today().isoformat()}, {results.machine()}; "
        f"{results.versions(_PACKAGES)}. "
        f"Command: `python benchmarks/channels.py --networks {point.name} --side {point.side}`.",
        f"{_CLASSES} classes, logits, random weights; every second channel of each layer but "
        "the last is zeroed: filter, bias, gamma, beta, depthwise kernel. Dense int8 files, with the zeros and without "
        "these channels; Vela compresses zeros, so that its cycles are also compared with those of the same network "
        "without zeros. Arena: TensorFlow Lite "
        f"Micro. Vela: Ethos-U55-128. Latency: default interpreter (XNNPACK), one thread, {_ROUNDS} rounds. Equality "
        f"on {_SAMPLES} images, one thread.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        f"The last kernel has all {_CLASSES} outputs before and after: {point.last[0]:,} to {point.last[1]:,} bytes. "
        f"If all other bytes became a quarter, the file would be {point.least_bytes:.3f} of the former one.",
        "\n".join(f"- {verdict.in_words()}" for verdict in verdicts),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
