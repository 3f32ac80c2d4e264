"""Measure what shared values cost on Fashion-MNIST, and what they save in files for microcontrollers.

python benchmarks/shared_values.py [--seeds N] [--only NAME] [--work DIR] [--results FILE]

A plain and a separable CNN are trained dense and, as long, while they are pruned to several sparsities, for each seed.
The int8 file of each pruned network shares values as an export makes it. Accuracy is that of the 10,000 test images in
LiteRT.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

import results
import tflite_sparse
from tflite_sparse.base.progress import Silent, Timed, ignore_steps
from tflite_sparse.measurement import size
from tflite_sparse.planning import sharing
from tflite_sparse.pruning import MagnitudePruning
from tflite_sparse.runtime import litert
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays, dataset, keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import correct_biases
from tflite_sparse.stages.convert import Converter

KINDS = ("plain", "separable")
COUNTS = (None, 16, 8)
TRAINING_SAMPLES, EPOCHS, BATCH = 20_000, 6, 64

_SPARSITIES = {"plain": (0.875, 0.95, 0.9), "separable": (0.875, 0.95)}
_LIMITS = {16: 0.1, 8: 0.4}  # points that sharing costs, in the mean
_SMALLER = {("plain", 0.875): (26, 0.5), ("plain", 0.9): (32, None), ("plain", 0.95): (45, 1.5)}  # times, points
_CPU = "cortex-m4"


@dataclass(frozen=True, slots=True)
class Measured:
    """One network with one number of shared values, or all; ``right`` tells of each test image, bool ``(n,)``."""

    right: np.ndarray
    decode_bytes: int
    sparse_bytes: int
    gzip_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One network and sparsity: for each seed the dense float32 file, and what its number of values measured."""

    kind: str
    sparsity: float
    float_bytes: int
    float_right: tuple[np.ndarray, ...]
    files: dict[int | None, tuple[Measured, ...]]


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="As plain-0.875; repeat it.  [default: all]")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps models and files; a later run resumes from it.",
)
@results.results_option("shared_values")
def main(seeds: int, only: tuple[str, ...], work: Path | None, path: Path) -> None:
    """Train, measure, print and record; missed targets are reported and do not fail the run."""
    data = training_part()
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        for kind in KINDS:
            for sparsity in _SPARSITIES[kind]:
                name = f"{kind}-{sparsity:g}"
                if only and name not in only:
                    continue
                heading = f"{kind.capitalize()} CNN, {sparsity:.1%} zeros"
                section = f"## {heading}\n\n{_section(_row(kind, sparsity, data, seeds, root), seeds)}"
                results.write_section(path, heading, section)
                click.echo(section)


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
    converter = Converter(ExportSettings(int8=True), data, Timed(Silent()))
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
    found: dict[int | None, list[Measured]] = {count: [] for count in COUNTS}
    dense, float_bytes = [], 0
    for seed in range(seeds):
        whole = trained(kind, 0.0, seed, data, root)
        float32 = whole.with_name("float32.tflite")
        if not float32.exists():
            converter = Converter(ExportSettings(), data, Timed(Silent()))
            converter.float32(keras_model.open_model(whole), float32)
        float_bytes = float32.stat().st_size
        dense.append(right_answers(float32, data))
        files, right = with_counts(trained(kind, sparsity, seed, data, root), COUNTS, data)
        for count, file in files.items():
            found[count].append(_measured(file, right[count]))
    return Row(kind, sparsity, float_bytes, tuple(dense), {count: tuple(each) for count, each in found.items()})


def _measured(file: Path, right: np.ndarray) -> Measured:
    decode, sparse = (file.with_name(f"{file.stem}-{kernels}.tflite") for kernels in ("tflm", "sparse"))
    tflite_sparse.encode(file, decode, target="micro")
    tflite_sparse.encode(file, sparse, target="micro", micro_kernels="sparse", micro_cpu=_CPU)
    return Measured(right, decode.stat().st_size, sparse.stat().st_size, size.measure(file).gzip_bytes)


def cost(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the points of accuracy lost, and half of their 95 % interval over all images and seeds, which are paired.

    Args:
        before: which images are told right, one array a seed, bool ``(n,)``.
        after: the same of the other files.
    """
    lost = np.concatenate(before).astype(float) - np.concatenate(after)
    return 100 * float(lost.mean()), 196 * float(lost.std()) / lost.size**0.5


def _section(row: Row, seeds: int) -> str:
    table = [
        "| values | accuracy (%) | cost of sharing (points) | below dense float32 (points) | DECODE (bytes) "
        "| sparse kernels (bytes) | gzip of dense int8 | float32 / sparse kernels |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    verdicts = []
    unshared = [each.right for each in row.files[None]]
    for count, files in row.files.items():
        right = [each.right for each in files]
        shared, half = cost(unshared, right)
        below, below_half = cost(row.float_right, right)
        sparse = float(np.mean([each.sparse_bytes for each in files]))
        decode = float(np.mean([each.decode_bytes for each in files]))
        table.append(
            f"| {count or 'all'} | {100 * float(np.mean(right)):.2f} "
            f"| {'-' if count is None else f'{shared:+.2f} ± {half:.2f}'} | {below:+.2f} ± {below_half:.2f} "
            f"| {decode:,.0f} | {sparse:,.0f} | {np.mean([each.gzip_bytes for each in files]):,.0f} "
            f"| {row.float_bytes / sparse:.1f}x |"
        )
        if count is not None:
            limit = _LIMITS[count]
            verdicts.append((f"{count} values cost at most {limit:g} points", f"{shared:+.2f}", shared <= limit))
    verdicts += _of_sizes(row)
    dense = 100 * float(np.mean(row.float_right))
    about = (
        f"{datetime.date.today().isoformat()}, `python benchmarks/shared_values.py --seeds {seeds} --only "
        f"{row.kind}-{row.sparsity:g}`: Fashion-MNIST, {TRAINING_SAMPLES:,} training images, {EPOCHS} epochs from the "
        f"start, pruned while training; accuracy on 10,000 test images in LiteRT, means over {seeds} seeds, 95 % "
        f"intervals of paired images. The dense float32 file, trained as long, has {row.float_bytes:,} bytes and "
        f"{dense:.2f} %. Files of `--target micro`, with `--micro-kernels tflm` and `sparse` (`--micro-cpu {_CPU}`)."
    )
    told = [f"* {'pass' if passed else '**missed**'}: {what}: {found}" for what, found, passed in verdicts]
    return "\n".join([about, "", *table, "", *told])


def _of_sizes(row: Row) -> list[tuple[str, str, bool]]:
    if (row.kind, row.sparsity) not in _SMALLER:
        return []
    times, points = _SMALLER[row.kind, row.sparsity]
    found = []
    for count in (each for each in row.files if each is not None):
        files = row.files[count]
        ratio = row.float_bytes / float(np.mean([each.sparse_bytes for each in files]))
        below, _ = cost(row.float_right, [each.right for each in files])
        what, words = f"{count} values: {times} times smaller than float32", f"{ratio:.1f}x"
        if points is not None:
            what, words = f"{what}, within {points:g} points of it", f"{words}, {below:+.2f} points"
        found.append((what, words, ratio >= times and (points is None or below <= points)))
    return found


if __name__ == "__main__":
    main()
