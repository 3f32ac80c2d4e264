"""Measure accuracy of int8 files with and without ``--bias-correction``, pruned without later training.

python benchmarks/bias_correction.py [--results FILE]
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

import results
from tflite_sparse.base.progress import Silent, Timed, ignore_steps
from tflite_sparse.pruning import masks
from tflite_sparse.runtime import litert
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays, dataset, keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import correct_biases
from tflite_sparse.stages.convert import Converter

_HEADING = "Bias correction"
_SPARSITIES = (0.0, 0.5, 0.75, 0.875)
_SEED = 1
_TRAINING_SAMPLES, _EPOCHS = 20_000, 3


def _net(keras: ModuleType) -> Any:
    layers = keras.layers
    model = keras.Sequential([keras.Input((28, 28, 1))], name="fashion_cnn")
    for channels in (16, 32, 64):
        convolution = layers.Conv2D(channels, 3, padding="same", use_bias=False)
        for part in (convolution, layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()):
            model.add(part)
    for part in (layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)):
        model.add(part)
    return model


@click.command()
@results.results_option("pruning")
def main(path: Path) -> None:
    """Train a network on Fashion-MNIST, prune it at once to each sparsity, and record the accuracy of every file."""
    rows = list(_rows(dataset.load("fashion-mnist")))
    results.write_section(path, _HEADING, _section(rows))


def _rows(data: Dataset) -> Iterator[tuple[str, ...]]:
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(_SEED)
    model = _net(keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    part = slice(0, _TRAINING_SAMPLES)
    model.fit(data.x_train[part], data.y_train[part], epochs=_EPOCHS, batch_size=128, verbose=2)
    source = keras_model.from_memory(model)
    plain = Converter(ExportSettings(int8=True), data, Timed(Silent()))
    with tempfile.TemporaryDirectory() as folder:
        original, path = Path(folder) / "original.tflite", Path(folder) / "file.tflite"
        plain.float32(source, original)
        best = _accuracy(original, data)
        samples = arrays.spread(data.x_train, plain.settings.calibration_samples)
        for sparsity in _SPARSITIES:
            masks.mask_to(masks.prunable(source), sparsity)
            reached = []
            for write in (plain.float32, plain.int8):
                write(source, path)
                reached.append(_accuracy(path, data))
            done = correct_biases.correct(path, original, samples, on_step=ignore_steps)
            reached.append(_accuracy(path, data))
            lost = best - reached[1]
            back = f"{(reached[2] - reached[1]) / lost:.0%}" if lost > 0 else "no drop"
            yield (f"{sparsity:.1%}", f"{best:.4f}", *(f"{each:.4f}" for each in reached), f"{done.share:g}", back)
            click.echo(f"{sparsity} {best} {reached} {done}", err=True)


def _accuracy(path: Path, data: Dataset) -> float:
    return float(np.mean(litert.run(path, data.x_test).real().argmax(-1) == data.y_test))


def _section(rows: list[tuple[str, ...]]) -> str:
    headings = (
        "zeros",
        "dense float32",
        "masked float32",
        "int8",
        "int8, corrected",
        "share taken",
        "of the drop, back",
    )
    lines = ["| " + " | ".join(each) + " |" for each in (headings, ("---:",) * 7, *rows)]
    return "\n".join(
        (
            f"## {_HEADING}",
            "",
            f"{datetime.date.today():%Y-%m-%d}, `python benchmarks/bias_correction.py`. Top-1 on the "
            "10,000 test images of Fashion-MNIST; masked by magnitude, nothing trained afterwards.",
            "",
            *lines,
        )
    )


if __name__ == "__main__":
    main()
