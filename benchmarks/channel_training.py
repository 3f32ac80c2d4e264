"""Train networks with fewer channels and zeros on Fashion-MNIST, and measure what their files take.

All runs of a network have the same batches and learning rates. What was trained and measured is kept.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

import tflite_sparse
from tflite_sparse.base.atomic_files import publish, write_bytes
from tflite_sparse.conversion.convert import to_int8
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import operators
from tflite_sparse.pruning import MagnitudePruning, recipe_planner
from tflite_sparse.pruning.recipe import Recipe, Rule
from tflite_sparse.runtime import litert
from tflite_sparse.settings import EncodeOptions, PruningSettings
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource

TRAINING_SAMPLES, RATE = 20_000, 2e-3
_BATCH, _CALIBRATION_SAMPLES = 64, 200
_ALL = ".*"


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

    def in_words(self) -> str:
        """The rules, of which later ones win: what of which layers becomes zero."""
        return ", ".join(
            f"{100 * rule.changes['sparsity']:g} % of the {'channels' if 'block' in rule.changes else 'weights'} of "
            f"{'all layers that are pruned' if rule.place == _ALL else rule.place}"
            for rule in self.rules
        )


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What files are encoded for.

    Attributes:
        name: in sentences.
        suffix: of the names of kept results.
        packages: that make and run them, beside the usual ones.
        options: of ``encode``.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    options: EncodeOptions


@dataclass(frozen=True, slots=True)
class Result:
    """One run: shares of right answers, sizes of the file as ``encode`` writes it.

    Attributes:
        float_accuracy: of the Keras model.
        int8_accuracy: of the int8 file.
        file_bytes: of the encoded file.
        multiply_adds: of one run, with all weights of the channels that are left.
        instructions: of FULLY_CONNECTED and CONV_2D in one run, by the model of costs; None: not for a microcontroller.
        arena_bytes: of TensorFlow Lite Micro; None likewise.
    """

    float_accuracy: float
    int8_accuracy: float
    file_bytes: int
    multiply_adds: int
    instructions: int | None = None
    arena_bytes: int | None = None


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


def rule(layers: str = _ALL, **changes: object) -> Rule:
    """Return a rule of a recipe, for layers of which the pattern matches the whole name."""
    return Rule(layers, re.compile(layers), changes=changes)


PLAIN = Net("plain", _plain, (16, 32, 160))
SEPARABLE = Net("separable", _separable, (16, 32, 64, 64))


def result(net: Net, method: Method, form: Form, seed: int, epochs: int, data: Dataset, root: Path) -> Result:
    """Train and measure, unless an earlier run did and left what it found in ``root``."""
    name = f"{net.name}-{method.name.replace(' ', '-')}-{seed}"
    kept = root / f"{epochs}-epochs" / f"{name}{form.suffix}.json"
    if kept.exists():
        return Result(**json.loads(kept.read_text("utf-8")))
    kept.parent.mkdir(parents=True, exist_ok=True)
    keras = tensorflow_import.keras3()
    model = kept.with_name(f"{name}.keras")
    if not model.exists():
        with tempfile.TemporaryDirectory(dir=model.parent) as folder:
            whole = Path(folder) / model.name
            _trained(keras, net, method, seed, epochs, data).save(whole)
            publish(whole, model)
    source = KerasSource(keras.models.load_model(model, compile=False), keras, method.name)
    found = _measured(source, form, data)
    write_bytes(kept, json.dumps(dataclasses.asdict(found), indent=2).encode())
    click.echo(f"{net.name}, {method.name}, {form.name}, seed {seed}: {found}", err=True)
    return found


def _trained(keras: ModuleType, net: Net, method: Method, seed: int, epochs: int, data: Dataset) -> Any:
    keras.utils.set_random_seed(seed)
    model = net.build(keras, [round(count * method.share) for count in net.channels])
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * -(-TRAINING_SAMPLES // _BATCH))
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = []
    if method.rules:
        recipe = Recipe(method.name, {}, method.rules)
        callbacks.append(MagnitudePruning(planner=recipe_planner.planner(recipe, PruningSettings(frequency=50))))
    assert isinstance(data.x_train, np.ndarray)
    assert isinstance(data.y_train, np.ndarray)
    x, y = data.x_train[:TRAINING_SAMPLES], data.y_train[:TRAINING_SAMPLES]
    model.fit(x, y, batch_size=_BATCH, epochs=epochs, callbacks=callbacks, verbose=0)
    return model


def _measured(source: KerasSource, form: Form, data: Dataset) -> Result:
    """Return accuracies on the test images, and what the file takes.

    Those of the int8 file are the dense file's: ``encode`` compares the outputs of both bit for bit.
    """
    with tempfile.TemporaryDirectory() as folder:
        dense, file = Path(folder) / "dense.tflite", Path(folder) / "file.tflite"
        assert isinstance(data.x_train, np.ndarray)
        assert isinstance(data.x_test, np.ndarray)
        dense.write_bytes(to_int8(source, data.x_train[:_CALIBRATION_SAMPLES], "int8"))
        report = tflite_sparse.encode(dense, file, **form.options)
        if report.channels is not None and not report.channels.removed:
            raise click.ClickException(f"{source.name}: dead channels stay, because {report.channels.reason}")
        answers = np.asarray(source.model.predict(data.x_test, batch_size=256, verbose=0)).argmax(-1)
        micro = report.micro
        return Result(
            float_accuracy=float(np.mean(answers == data.y_test)),
            int8_accuracy=float(np.mean(litert.run(dense, data.x_test).real().argmax(-1) == data.y_test)),
            file_bytes=file.stat().st_size,
            multiply_adds=sum(each.multiply_adds or 0 for each in operators.of_model(serde.read(file))),
            instructions=None if micro is None or micro.on_cpu is None else micro.on_cpu.instructions,
            arena_bytes=None if micro is None else micro.ram_bytes,
        )
