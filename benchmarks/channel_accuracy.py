"""Measure what it costs to prune channels: beside small networks from scratch, and together with unstructured zeros.

python benchmarks/channel_accuracy.py [--seeds N] [--epochs N] [--work DIR] [--results FILE]

Fashion-MNIST; a plain and a separable CNN. All runs of a network have the same epochs, batches and learning rates.
Accuracy is that of the int8 file on the 10,000 test images.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import re
import statistics
import tempfile
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
from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.conversion.convert import to_int8
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import operators
from tflite_sparse.pruning import MagnitudePruning, recipe_planner
from tflite_sparse.pruning.recipe import Recipe, Rule
from tflite_sparse.runtime import litert
from tflite_sparse.scoring.frontier import half_interval
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources import dataset, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource

_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert")
_TRAINING_SAMPLES, _BATCH, _RATE, _CALIBRATION_SAMPLES = 20_000, 64, 2e-3, 200
_LARGEST_FILE = 40 * 1024
_MOST_MULTIPLY_ADDS = 0.5


@dataclass(frozen=True, slots=True)
class Net:
    """A network.

    Attributes:
        name: in tables.
        build: makes one, given Keras and the numbers of channels.
        channels: of its layers.
    """

    name: str
    build: Callable[[ModuleType, Sequence[int]], Any]
    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """How a network is trained.

    Attributes:
        name: in tables.
        share: of the channels that the network is built with.
        rules: of a recipe; none: it is not pruned.
    """

    name: str
    share: float = 1.0
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One run: shares of right answers, sizes of the file as ``encode`` writes it."""

    float_accuracy: float
    int8_accuracy: float
    file_bytes: int
    multiply_adds: int


def _plain(keras: ModuleType, channels: Sequence[int]) -> Any:
    layers = keras.layers
    parts = [keras.Input((28, 28, 1), name="image")]
    for number, count in enumerate(channels[:2], 1):
        parts += [
            layers.Conv2D(count, 3, padding="same", use_bias=False, name=f"conv{number}"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.MaxPooling2D(),
        ]
    parts += [layers.Flatten(), layers.Dense(channels[2], activation="relu", name="dense"), layers.Dropout(0.3)]
    return keras.Sequential([*parts, layers.Dense(10, name="classes")])


def _separable(keras: ModuleType, channels: Sequence[int]) -> Any:
    layers = keras.layers
    x = image = keras.Input((28, 28, 1), name="image")

    def convolved(layer: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layer(x)))

    x = convolved(layers.Conv2D(channels[0], 3, strides=2, padding="same", use_bias=False, name="stem"))
    for number, (count, stride) in enumerate(zip(channels[1:], (1, 2, 1), strict=True), 1):
        x = convolved(
            layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"depthwise{number}")
        )
        x = convolved(layers.Conv2D(count, 1, use_bias=False, name=f"pointwise{number}"))
    return keras.Model(image, layers.Dense(10, name="classes")(layers.GlobalAveragePooling2D()(x)))


def _rule(layers: str = ".*", **changes: object) -> Rule:
    return Rule(f"rule for {layers}", re.compile(layers), changes=changes)


_NETS = (Net("plain", _plain, (16, 32, 160)), Net("separable", _separable, (16, 32, 64, 64)))
_HALF = Method("half of the channels pruned", rules=(_rule(block="channel", sparsity=0.5),))
_SMALL = Method("half as many from scratch", share=0.5)
_AT_HALF = (_HALF, _SMALL)
_CHANNELS = Method(
    "channels", rules=(_rule(block="channel", sparsity=0.5), _rule("dense", block="channel", sparsity=0.75))
)
_ZEROS = Method("unstructured zeros", rules=(_rule(sparsity=0.948),))
_BOTH = Method("both", rules=(_rule(block="channel", sparsity=0.5), _rule(sparsity=0.76)))
_AT_ONE_SIZE = (_BOTH, _CHANNELS, _ZEROS)


@click.command()
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps results; a later run resumes from it.",
)
@results.results_option("channels")
def main(seeds: int, epochs: int, work: Path | None, path: Path) -> None:
    """Train, measure, print and record; missed targets are reported and do not fail the run."""
    data = dataset.load("fashion-mnist")
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        studies = [(net, _AT_HALF, _at_half) for net in _NETS] + [(_NETS[0], _AT_ONE_SIZE, _at_one_size)]
        for net, methods, judge in studies:
            found: dict[Method, list[Result]] = {method: [] for method in methods}
            for seed in range(seeds):  # all methods of a seed, before the next one
                for method in methods:
                    found[method].append(_result(net, method, seed, epochs, data, root))
            heading, verdicts = judge(net, found)
            section = _section(heading, found, verdicts, epochs)
            results.write_section(path, heading, section)
            click.echo(section)


def _result(net: Net, method: Method, seed: int, epochs: int, data: Dataset, root: Path) -> Result:
    """Train and measure, unless an earlier run did."""
    kept = root / f"{epochs}-epochs" / f"{net.name}-{method.name.replace(' ', '-')}-{seed}.json"
    if kept.exists():
        return Result(**json.loads(kept.read_text("utf-8")))
    kept.parent.mkdir(parents=True, exist_ok=True)
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(seed)
    model = net.build(keras, [round(count * method.share) for count in net.channels])
    rate = keras.optimizers.schedules.CosineDecay(_RATE, epochs * -(-_TRAINING_SAMPLES // _BATCH))
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = []
    if method.rules:
        recipe = Recipe(method.name, {}, method.rules)
        callbacks.append(MagnitudePruning(planner=recipe_planner.planner(recipe, PruningSettings(frequency=50))))
    assert isinstance(data.x_train, np.ndarray)
    assert isinstance(data.y_train, np.ndarray)
    x, y = data.x_train[:_TRAINING_SAMPLES], data.y_train[:_TRAINING_SAMPLES]
    model.fit(x, y, batch_size=_BATCH, epochs=epochs, callbacks=callbacks, verbose=0)
    found = _measured(KerasSource(model, keras, method.name), data)
    write_bytes(kept, json.dumps(dataclasses.asdict(found), indent=2).encode())
    click.echo(f"{net.name}, {method.name}, seed {seed}: {found}", err=True)
    return found


def _measured(source: KerasSource, data: Dataset) -> Result:
    """Accuracies on the test images, and the sizes of the file."""
    with tempfile.TemporaryDirectory() as folder:
        dense, file = Path(folder) / "dense.tflite", Path(folder) / "file.tflite"
        assert isinstance(data.x_train, np.ndarray)
        assert isinstance(data.x_test, np.ndarray)
        dense.write_bytes(to_int8(source, data.x_train[:_CALIBRATION_SAMPLES], "int8"))
        report = tflite_sparse.encode(dense, file)
        if report.channels is not None and not report.channels.removed:
            raise click.ClickException(f"{source.name}: dead channels stay, because {report.channels.reason}")
        answers = np.asarray(source.model.predict(data.x_test, batch_size=256, verbose=0)).argmax(-1)
        return Result(
            float_accuracy=float(np.mean(answers == data.y_test)),
            int8_accuracy=float(np.mean(litert.run(file, data.x_test).real().argmax(-1) == data.y_test)),
            file_bytes=file.stat().st_size,
            multiply_adds=sum(each.multiply_adds or 0 for each in operators.of_model(serde.read(file))),
        )


Found = dict[Method, list[Result]]


def _at_half(net: Net, found: Found) -> tuple[str, list[Verdict]]:
    lead = _Lead.of(found[_HALF], found[_SMALL])
    target = f"{net.name}: at least as accurate as the small network from scratch"
    return f"Half of the channels of a {net.name} CNN", [Verdict(target, lead.in_words(), lead.mean >= 0)]


def _at_one_size(net: Net, found: Found) -> tuple[str, list[Verdict]]:
    best = max((_CHANNELS, _ZEROS), key=lambda method: _mean(found[method]))
    lead = _Lead.of(found[_BOTH], found[best])
    both, zeros = (statistics.mean(each.multiply_adds for each in found[method]) for method in (_BOTH, _ZEROS))
    largest = max(each.file_bytes for runs in found.values() for each in runs)
    return f"Channels and unstructured zeros in {_LARGEST_FILE:,} bytes", [
        Verdict(f"{net.name}: files of at most {_LARGEST_FILE:,} bytes", f"{largest:,}", largest <= _LARGEST_FILE),
        Verdict(f"{net.name}: both at least as accurate as {best.name} alone", lead.in_words(), lead.mean >= 0),
        Verdict(
            f"{net.name}: both with at most {_MOST_MULTIPLY_ADDS:g} of the multiply-adds of all channels",
            f"{both / zeros:.2f}",
            both <= _MOST_MULTIPLY_ADDS * zeros,
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Lead:
    """Mean difference of accuracy of two methods, seed by seed, and half of its 95 % interval (Student), in points."""

    mean: float
    half: float

    @classmethod
    def of(cls, one: Sequence[Result], two: Sequence[Result]) -> _Lead:
        pairs = zip(one, two, strict=True)
        return cls(*_interval([100 * (a.int8_accuracy - b.int8_accuracy) for a, b in pairs]))

    def in_words(self) -> str:
        return f"{self.mean:+.2f} points, 95 % interval {self.mean - self.half:+.2f} to {self.mean + self.half:+.2f}"


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval over seeds (Student)."""
    return statistics.mean(values), half_interval(values) or float("nan")


def _mean(runs: Sequence[Result]) -> float:
    return statistics.mean(each.int8_accuracy for each in runs)


def _rows(found: Found) -> Iterator[tuple[str, ...]]:
    yield "method", "int8 accuracy (%)", "of each seed", "float32", "file (bytes)", "multiply-adds"
    yield "---", *["---:"] * 5
    for method, runs in found.items():
        mean, half = _interval([100 * each.int8_accuracy for each in runs])
        yield (
            method.name,
            f"{mean:.2f} ± {half:.2f}",
            ", ".join(f"{100 * each.int8_accuracy:.2f}" for each in runs),
            f"{100 * statistics.mean(each.float_accuracy for each in runs):.2f}",
            f"{statistics.mean(each.file_bytes for each in runs):,.0f}",
            f"{statistics.mean(each.multiply_adds for each in runs):,.0f}",
        )


def _section(heading: str, found: Found, verdicts: Sequence[Verdict], epochs: int) -> str:
    runs = {len(each) for each in found.values()}
    parts = [
        f"## {heading}",
        f"Measured on {datetime.date.today().isoformat()}, {results.machine()}; {results.versions(_PACKAGES)}. "
        f"Command: `python benchmarks/channel_accuracy.py --seeds {max(runs)} --epochs {epochs}`.",
        f"Fashion-MNIST, {_TRAINING_SAMPLES:,} training images, {epochs} epochs, Adam from a rate of {_RATE:g} along a "
        "cosine. Pruned while they train, by the defaults. Accuracy on 10,000 test images: mean over seeds and 95 % "
        "interval of this mean (Student). File and multiply-adds: as `encode` writes it for LiteRT.",
        "\n".join(f"| {' | '.join(row)} |" for row in _rows(found)),
        "\n".join(f"- {verdict.in_words()}" for verdict in verdicts),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
