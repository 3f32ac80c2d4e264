"""Measure what shared values cost on Fashion-MNIST, and what they save in files for microcontrollers.

python benchmarks/shared_values.py [--seeds N] [--work DIR] [--results FILE]

A plain and a separable CNN are pruned while they train, to two sparsities and for each seed; each is exported with each
number of shared values. Accuracy is that of the 10,000 test images.
"""

from __future__ import annotations

import contextlib
import datetime
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import results
import tflite_sparse
from tflite_sparse.pruning import MagnitudePruning
from tflite_sparse.results.export import Report
from tflite_sparse.sources import arrays, dataset, tensorflow_import
from tflite_sparse.sources.dataset import Dataset

_HEADING = "Shared values"
_SPARSITIES = (0.875, 0.95)
_COUNTS = (None, 16, 8)
_TRAINING_SAMPLES, _EPOCHS, _BATCH = 20_000, 6, 64
_LIMITS = {16: 0.1, 8: 0.4}  # points, in the mean


@dataclass(frozen=True, slots=True)
class Row:
    """One network, sparsity and number of values: the reports of all seeds."""

    net: str
    sparsity: float
    count: int | None
    reports: tuple[Report, ...]


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps models and reports; a later run resumes from it.",
)
@results.results_option("quantisation")
def main(seeds: int, work: Path | None, path: Path) -> None:
    """Train, export, print and record; missed targets are reported and do not fail the run."""
    data = dataset.load("fashion-mnist")
    part = slice(0, _TRAINING_SAMPLES)
    assert data.y_train is not None
    used = Dataset(
        f"{data.name}, {_TRAINING_SAMPLES:,} training images",
        arrays.take(data.x_train, part),
        arrays.take(data.y_train, part),
        data.x_test,
        data.y_test,
        data.labels,
        pixels=data.pixels,
    )
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        rows = list(_rows(used, seeds, root))
    section = _section(rows, seeds)
    results.write_section(path, _HEADING, section)
    click.echo(section)


def _net(keras: ModuleType, kind: str) -> Any:
    layers = keras.layers
    model = keras.Sequential([keras.Input((28, 28, 1), name="image")], name=f"{kind}_cnn")
    convolution = layers.Conv2D if kind == "plain" else layers.SeparableConv2D
    model.add(layers.Conv2D(32, 3, padding="same", activation="relu"))
    model.add(layers.MaxPooling2D())
    model.add(convolution(64, 3, padding="same", activation="relu"))
    model.add(layers.MaxPooling2D())
    model.add(convolution(96, 3, padding="same", activation="relu"))
    for layer in (layers.Flatten(), layers.Dense(96, activation="relu"), layers.Dense(10)):
        model.add(layer)
    return model


def _trained(kind: str, sparsity: float, seed: int, data: Dataset, path: Path) -> Path:
    """Train one network under masks; return its file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        keras = tensorflow_import.keras3()
        keras.utils.set_random_seed(seed)
        model = _net(keras, kind)
        model.compile(
            keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]
        )
        steps = _EPOCHS * -(-_TRAINING_SAMPLES // _BATCH)
        masks = MagnitudePruning(sparsity, begin=steps // 10, end=int(0.65 * steps), frequency=50)
        model.fit(data.x_train, data.y_train, batch_size=_BATCH, epochs=_EPOCHS, callbacks=[masks], verbose=0)
        model.save(path)
    return path


def _rows(data: Dataset, seeds: int, root: Path) -> Iterator[Row]:
    for kind in ("plain", "separable"):
        for sparsity in _SPARSITIES:
            folders = [root / f"{kind}-{sparsity:g}-{seed}" for seed in range(seeds)]
            models = [
                _trained(kind, sparsity, seed, data, folder / "model.keras") for seed, folder in enumerate(folders)
            ]
            for count in _COUNTS:
                found = [_exported(model, data, count, model.parent / f"shared-{count}") for model in models]
                yield Row(kind, sparsity, count, tuple(found))


def _exported(model: Path, data: Dataset, count: int | None, out: Path) -> Report:
    report = out / "report.json"
    if not report.exists():
        tflite_sparse.export(
            model, data, int8=True, finetune_epochs=0, target="micro", shared_values=count, max_accuracy_drop=1,
            alternatives="none", out=out,
        )  # fmt: skip
    return Report.model_validate_json(report.read_bytes())


def _section(rows: list[Row], seeds: int) -> str:
    table = [
        "| network, zeros | values | accuracy (%) | cost of sharing (points) | file (bytes) | gzip of dense int8 "
        "| float32 / file |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    verdicts = []
    for row in rows:
        name = f"{row.net}, {row.sparsity:.1%}"
        files = [report.models.sparse for report in row.reports]
        accuracy = statistics.mean(file.accuracy for file in files if file is not None and file.accuracy is not None)
        size = statistics.mean(file.file_bytes for file in files if file is not None)
        zipped = statistics.mean(each.models.dense_int8.gzip_bytes for each in row.reports if each.models.dense_int8)
        ratio = statistics.mean(report.ratios.vs_dense_float32 for report in row.reports if report.ratios)
        cost = "-"
        if row.count is not None:
            drops = [report.accuracy.drop_by_sharing for report in row.reports if report.accuracy]
            points = [100 * drop for drop in drops if drop is not None]
            cost = f"{statistics.mean(points):+.2f} ({min(points):+.2f} to {max(points):+.2f})"
            limit = _LIMITS[row.count]
            verdict = "pass" if statistics.mean(points) <= limit else "FAIL"
            verdicts.append(f"* {verdict}: {name}, {row.count} values: {cost}, at most {limit:g}")
        table.append(
            f"| {name} | {row.count or 'all'} | {100 * accuracy:.2f} | {cost} | {size:,.0f} | {zipped:,.0f} "
            f"| {ratio:.1f}x |"
        )
    about = (
        f"{datetime.date.today().isoformat()}, `python benchmarks/shared_values.py --seeds {seeds}`: Fashion-MNIST, "
        f"{_TRAINING_SAMPLES:,} training images, {_EPOCHS} epochs, pruned while training; accuracy on 10,000 test "
        f"images; means over {seeds} seeds, and the least and the greatest. Files for `--target micro` (DECODE). An "
        "interval of one accuracy reaches about 0.7 points to either side; the cost compares files on the same images."
    )
    return "\n".join([about, "", *table, "", *verdicts])


if __name__ == "__main__":
    main()
