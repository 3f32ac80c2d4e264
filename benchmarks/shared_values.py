"""Measure what shared values cost on Fashion-MNIST, and what they save in files for microcontrollers.

python benchmarks/shared_values.py [--seeds N] [--only NAME] [--work DIR] [--results FILE]

A plain and a separable CNN are trained dense and, as long, while they are pruned to several sparsities, for each seed.
The int8 file of each pruned network shares values as an export makes it. Accuracy is that of the 10,000 test images in
LiteRT. Of networks of MLPerf Tiny with random weights, only the sizes are measured.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

import results
import shared_sizes
from architecture_models import SMALL
from models import SPARSITY, ModelRecipe
from shared_sizes import Sizes
from tflite_sparse.base.progress import Silent, Timed, ignore_steps
from tflite_sparse.planning import sharing
from tflite_sparse.pruning import MagnitudePruning
from tflite_sparse.pruning.masks import LEAST_PRUNABLE_SIZE
from tflite_sparse.runtime import litert
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays, dataset, keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import correct_biases
from tflite_sparse.stages.convert import Converter

COUNTS = (None, 16, 8)
TRAINING_SAMPLES, EPOCHS, BATCH = 20_000, 6, 64

_SPARSITIES = {"plain": (0.875, 0.95, 0.9), "separable": (0.875, 0.95, 0.9)}
_LIMITS = {16: 0.1, 8: 0.4}  # points that sharing costs, in the mean
_SMALLER = {0.875: (26, 0.5), 0.9: (32, None), 0.95: (45, 1.5)}  # times than float32, within so many points
_SMALLER_THAN_DECODE = {0.875: 1.6}  # times, without shared values there


@dataclass(frozen=True, slots=True)
class Measured:
    """Files with one number of shared values, or all, for each seed; ``right`` tells of each test image, bool (n,)."""

    right: list[np.ndarray] = field(default_factory=list)
    sizes: list[Sizes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One network and sparsity: for each seed the dense float32 file, and by number of values what was measured."""

    kind: str
    sparsity: float
    float_bytes: int
    float_right: list[np.ndarray]
    files: dict[int | None, Measured]


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="As plain-0.875 or ds-cnn; repeat it.  [default: all]")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps models and files; a later run resumes from it.",
)
@results.results_option("shared_values")
def main(seeds: int, only: tuple[str, ...], work: Path | None, path: Path) -> None:
    """Train, measure, print and record; missed targets are reported and do not fail the run."""
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        cases = _cases(seeds, root)
        unknown = set(only) - cases.keys()
        if unknown:
            raise click.BadParameter(f"{', '.join(sorted(unknown))}: it is one of {', '.join(cases)}.")
        for name in only or cases:
            heading, lines = cases[name]()
            section = "\n".join([f"## {heading}", "", *lines])
            results.write_section(path, heading, section)
            click.echo(section)


def _cases(seeds: int, root: Path) -> dict[str, Callable[[], tuple[str, list[str]]]]:
    """By name, what measures a network: heading and lines of its section."""
    of_trained = {
        f"{kind}-{sparsity:g}": partial(_trained_case, kind, sparsity, seeds, root)
        for kind, sparsities in _SPARSITIES.items()
        for sparsity in sparsities
    }
    return {**of_trained, **{recipe.key: partial(_untrained_case, recipe, root) for recipe in SMALL}}


def _trained_case(kind: str, sparsity: float, seeds: int, root: Path) -> tuple[str, list[str]]:
    return f"{kind.capitalize()} CNN, {sparsity:.1%} zeros", _section(
        _row(kind, sparsity, training_part(), seeds, root)
    )


def _untrained_case(recipe: ModelRecipe, root: Path) -> tuple[str, list[str]]:
    found = shared_sizes.untrained(recipe, COUNTS, root / recipe.key)
    lines = [
        f"{datetime.date.today().isoformat()}, `python benchmarks/shared_values.py --only {recipe.key}`: random "
        f"weights, so these are sizes only. {SPARSITY:.1%} zeros by magnitude in {recipe.pruned} and have "
        f"{LEAST_PRUNABLE_SIZE:,} weights or more. Dense, float32 takes {found.float_bytes:,} bytes and int8 "
        f"{found.int8_bytes:,}. {shared_sizes.ABOUT}",
        "",
        f"| values | {' | '.join(shared_sizes.COLUMNS)} | float32 / sparse kernels |",
        f"| --- |{' ---: |' * (1 + len(shared_sizes.COLUMNS))}",
    ]
    for count, sizes in found.files.items():
        ratio = found.float_bytes / sizes.sparse_bytes
        lines.append(f"| {count or 'all'} | {' | '.join(shared_sizes.cells([sizes]))} | {ratio:.1f}x |")
    of_one = {count: [sizes] for count, sizes in found.files.items()}
    return f"{recipe.title}, {SPARSITY:.1%} zeros, untrained", [*lines, "", *shared_sizes.bits_table(of_one)]


def training_part() -> Dataset:
    """Fashion-MNIST with the first :data:`TRAINING_SAMPLES` of its training images."""
    data = dataset.load("fashion-mnist")
    part = slice(0, TRAINING_SAMPLES)
    assert data.y_train is not None
    return Dataset(
        f"{data.name}, {TRAINING_SAMPLES:,} training images",
        arrays.take(data.x_train, part),
        arrays.take(data.y_train, part),
        data.x_test,
        data.y_test,
        data.labels,
        pixels=data.pixels,
    )


def trained(kind: str, sparsity: float, seed: int, data: Dataset, root: Path) -> Path:
    """Train one network, under masks where ``sparsity`` is not 0; return its file, which a later call finds."""
    path = root / f"{kind}-{sparsity:g}-{seed}" / "model.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        keras = tensorflow_import.keras3()
        keras.utils.set_random_seed(seed)
        model = _net(keras, kind)
        model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        steps = EPOCHS * -(-TRAINING_SAMPLES // BATCH)
        masks = MagnitudePruning(sparsity, begin=steps // 10, end=int(0.65 * steps), frequency=50)
        callbacks = [masks] if sparsity else []
        model.fit(data.x_train, data.y_train, batch_size=BATCH, epochs=EPOCHS, callbacks=callbacks, verbose=0)
        model.save(path)
    return path


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


def with_counts(
    model: Path, counts: Sequence[int | None], data: Dataset
) -> tuple[dict[int | None, Path], dict[int | None, np.ndarray]]:
    """Return, by number of shared values, the dense int8 file and which test images it tells right, bool ``(n,)``.

    The files lie beside ``model``.
    """
    converter = Converter(ExportSettings(int8=True, target="micro"), data, Timed(Silent()))
    source = keras_model.open_model(model)
    unshared, files = model.with_name("int8.tflite"), {}
    if not unshared.exists():
        converter.int8(source, unshared)
    for count in counts:
        files[count] = unshared
        if count is not None:
            files[count] = model.with_name(f"int8-{count}.tflite")
            sharing.write(unshared, files[count], count)
            calibration = converter.calibration_samples(source)
            correct_biases.correct(files[count], unshared, calibration, on_step=ignore_steps)
    return files, {count: right_answers(file, data) for count, file in files.items()}


def right_answers(file: Path, data: Dataset) -> np.ndarray:
    """Return which test images a file tells right, bool ``(n,)``."""
    (images,) = arrays.columns(data.x_test)
    return np.asarray(litert.run(file, [images]).real(0).argmax(-1) == data.y_test)


def _row(kind: str, sparsity: float, data: Dataset, seeds: int, root: Path) -> Row:
    float_right, float_bytes = [], 0
    found: dict[int | None, Measured] = {count: Measured() for count in COUNTS}
    for seed in range(seeds):
        whole = trained(kind, 0.0, seed, data, root)
        float32 = whole.with_name("float32.tflite")
        if not float32.exists():
            converter = Converter(ExportSettings(), data, Timed(Silent()))
            converter.float32(keras_model.open_model(whole), float32)
        float_bytes = float32.stat().st_size
        float_right.append(right_answers(float32, data))
        files, right = with_counts(trained(kind, sparsity, seed, data, root), COUNTS, data)
        for count, file in files.items():
            found[count].right.append(right[count])
            found[count].sizes.append(shared_sizes.of(file))
    return Row(kind, sparsity, float_bytes, float_right, found)


def cost(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the points of accuracy lost, and half of their 95 % interval over all images and seeds, which are paired.

    Args:
        before: which images are told right, one array a seed, bool ``(n,)``.
        after: the same of the other files.
    """
    lost = np.concatenate(before).astype(float) - np.concatenate(after)
    return 100 * float(lost.mean()), 196 * float(lost.std()) / lost.size**0.5


def _section(row: Row) -> list[str]:
    columns = ("accuracy (%)", "cost of sharing (points)", "below dense float32 (points)", *shared_sizes.COLUMNS)
    table = [
        f"| values | {' | '.join(columns)} | float32 / sparse kernels |",
        f"| --- |{' ---: |' * (1 + len(columns))}",
    ]
    verdicts = []
    unshared = row.files[None].right
    for count, files in row.files.items():
        shared, half = cost(unshared, files.right)
        below, below_half = cost(row.float_right, files.right)
        table.append(
            f"| {count or 'all'} | {100 * float(np.mean(files.right)):.2f} "
            f"| {'-' if count is None else f'{shared:+.2f} ± {half:.2f}'} | {below:+.2f} ± {below_half:.2f} "
            f"| {' | '.join(shared_sizes.cells(files.sizes))} "
            f"| {row.float_bytes / shared_sizes.sparse_bytes(files.sizes):.1f}x |"
        )
        if count is not None:
            limit = _LIMITS[count]
            verdicts.append((f"{count} values cost at most {limit:g} points", f"{shared:+.2f}", shared <= limit))
    verdicts += _of_sizes(row)
    dense, seeds = 100 * float(np.mean(row.float_right)), len(row.float_right)
    about = (
        f"{datetime.date.today().isoformat()}, `python benchmarks/shared_values.py --seeds {seeds} --only "
        f"{row.kind}-{row.sparsity:g}`: Fashion-MNIST, {TRAINING_SAMPLES:,} training images, {EPOCHS} epochs from the "
        f"start, pruned while training; accuracy on 10,000 test images in LiteRT, means over {seeds} seeds, 95 % "
        f"intervals of paired images. The dense float32 file, trained as long, has {row.float_bytes:,} bytes and "
        f"{dense:.2f} %. {shared_sizes.ABOUT}"
    )
    bits = shared_sizes.bits_table({count: files.sizes for count, files in row.files.items()})
    told = [f"* {'pass' if passed else '**missed**'}: {what}: {found}" for what, found, passed in verdicts]
    return [about, "", *table, "", *bits, "", *told]


def _of_sizes(row: Row) -> list[tuple[str, str, bool]]:
    times, points = _SMALLER[row.sparsity]
    decoded = float(np.mean([each.decode_bytes for each in row.files[None].sizes]))
    found = []
    for count, files in row.files.items():
        if count is None:
            continue
        ratio = row.float_bytes / shared_sizes.sparse_bytes(files.sizes)
        below, _ = cost(row.float_right, files.right)
        what, words = f"{count} values: {times} times smaller than float32", f"{ratio:.1f}x"
        if points is not None:
            what, words = f"{what}, within {points:g} points of it", f"{words}, {below:+.2f} points"
        found.append((what, words, ratio >= times and (points is None or below <= points)))
        if row.sparsity in _SMALLER_THAN_DECODE:
            times_decode = _SMALLER_THAN_DECODE[row.sparsity]
            ratio = decoded / shared_sizes.sparse_bytes(files.sizes)
            what = f"{count} values: {times_decode:g} times smaller than DECODE without shared values"
            found.append((what, f"{ratio:.2f}x", ratio >= times_decode))
    return found


if __name__ == "__main__":
    main()
