"""Measure whether training on shared values loses less than sharing them after the same training.

python benchmarks/trained_shared_values.py [--seeds N] [--work DIR] [--results FILE]

The pruned plain CNN of ``shared_values.py`` is trained for some more epochs: with each weight free under its mask, and
with the kept weights of a kernel on N values that are learned (the gradient of a value is the sum over the weights that
have it; Han, Mao and Dally, "Deep Compression", 2016). A value counts in units of its output channel's largest weight,
which is the scale of int8, so that the weights stay on N integers. Both ways end with the values of the int8 file
shared and its biases corrected, as an export does it.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import results
from shared_values import BATCH, cost, trained, training_part, with_counts
from tflite_sparse.codecs import clustering
from tflite_sparse.pruning import masks
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.kernels import kernels_and_variables

_HEADING = "Values learned in training"
_SPARSITY = 0.875
_COUNTS = (16, 8, 4)
_EPOCHS, _RATE = 2, 5e-4


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A pruned kernel in training.

    ``scales`` is the largest weight of each output channel, in a shape that broadcasts over the kernel, 0 where a
    weight is masked; ``values`` are the learned ones in units of it, ``places`` the one of each weight. Without shared
    values ``values`` is as large as the kernel.
    """

    variable: Any
    scales: Any
    values: Any
    places: Any


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps models and files, that of shared_values.py; a later run resumes from it.",
)
@results.results_option("shared_values")
def main(seeds: int, work: Path | None, path: Path) -> None:
    """Train, measure, print and record."""
    data = training_part()
    after: dict[int, list[np.ndarray]] = {count: [] for count in _COUNTS}
    learned: dict[int, list[np.ndarray]] = {count: [] for count in _COUNTS}
    free: list[np.ndarray] = []
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        for seed in range(seeds):
            start = trained("plain", _SPARSITY, seed, data, root)
            _, right = with_counts(_trained_further(start, None, seed, data), (None, *_COUNTS), data)
            free.append(right[None])
            for count in _COUNTS:
                after[count].append(right[count])
                _, found = with_counts(_trained_further(start, count, seed, data), (count,), data)
                learned[count].append(found[count])
                click.echo(
                    f"seed {seed}, {count}: {right[count].mean():.4f} afterwards, {found[count].mean():.4f} learned"
                )
    section = f"## {_HEADING}\n\n{_section(free, after, learned)}"
    results.write_section(path, _HEADING, section)
    click.echo(section)


def _trained_further(start: Path, count: int | None, seed: int, data: Dataset) -> Path:
    """Train a pruned model on, its kept weights free or on ``count`` values; return its file."""
    path = start.parent / ("free" if count is None else f"learned-{count}") / "model.keras"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    tf = tensorflow_import.tensorflow()
    source = keras_model.open_model(start)
    assert isinstance(source, KerasSource)
    source.keras.utils.set_random_seed(seed)
    pruned = masks.prunable_while_training(source.kernels())
    names = {kernel.name for kernel in pruned}
    held = [
        _held(variable, kernel, count)
        for variable, kernel in kernels_and_variables(source.model)
        if kernel.name in names
    ]
    step = _step(source, held, _EPOCHS * -(-len(data.x_train) // BATCH))
    order = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        places = order.permutation(len(data.x_train))
        for first in range(0, len(places), BATCH):
            batch = np.sort(places[first : first + BATCH])
            step(tf.constant(data.x_train[batch]), tf.constant(data.y_train[batch]))
    source.model.save(path)
    return path


def _held(variable: Any, kernel: Any, count: int | None) -> _Kernel:
    tf = tensorflow_import.tensorflow()
    weights = kernel.read().astype(np.float32)
    others = tuple(axis for axis in range(weights.ndim) if axis != weights.ndim - 1)
    largest = np.abs(weights).max(others, keepdims=True)
    units = weights / np.where(largest > 0, largest, 1)
    scales = tf.constant(np.where(weights != 0, largest, 0.0).astype(np.float32))
    if count is None:
        places = np.arange(weights.size).reshape(weights.shape)
        return _Kernel(variable, scales, tf.Variable(units.reshape(-1)), tf.constant(places))
    steps = np.rint(127 * units).astype(np.int64)
    kept = np.where((weights != 0) & (steps == 0), np.where(weights < 0, -1, 1), steps)[weights != 0]
    importance = np.broadcast_to(largest**2, weights.shape)[weights != 0]
    distinct, place = np.unique(kept, return_inverse=True)
    nearest = clustering.nearest_integers(distinct, np.bincount(place, importance), count)
    values, cluster = np.unique(nearest, return_inverse=True)
    places = np.zeros(weights.shape, np.int64)
    places[weights != 0] = cluster[place]
    return _Kernel(variable, scales, tf.Variable((values / 127).astype(np.float32)), tf.constant(places))


def _step(source: KerasSource, held: Sequence[_Kernel], steps: int) -> Callable[[Any, Any], None]:
    tf, keras, model = tensorflow_import.tensorflow(), source.keras, source.model
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    owned = {id(each.variable) for each in held}
    others = [each.value for each in model.trainable_variables if id(each) not in owned]
    rate = tf.Variable(_RATE)
    rates = keras.optimizers.schedules.CosineDecay(_RATE, steps)
    variables = [each.values for each in held] + others
    first, second = ([tf.Variable(tf.zeros_like(each)) for each in variables] for _ in range(2))
    number = tf.Variable(0.0)

    def write() -> None:
        for each in held:
            each.variable.assign(tf.gather(each.values, each.places) * each.scales)

    @tf.function
    def one(images: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, [each.variable.value for each in held] + others)
        for place, each in enumerate(held):  # the sum over the weights that have a value
            gradients[place] = tf.math.unsorted_segment_sum(
                tf.reshape(gradients[place] * each.scales, [-1]), tf.reshape(each.places, [-1]), tf.size(each.values)
            )
        number.assign_add(1.0)
        for variable, gradient, mean, square in zip(variables, gradients, first, second, strict=True):  # Adam
            mean.assign(0.9 * mean + 0.1 * gradient)
            square.assign(0.999 * square + 0.001 * gradient**2)
            change = mean / (1 - 0.9**number) / (tf.sqrt(square / (1 - 0.999**number)) + 1e-7)
            variable.assign_sub(rate * change)
        write()

    def run(images: Any, labels: Any) -> None:
        rate.assign(float(rates(int(number.numpy()))))
        one(images, labels)

    write()
    return run


def _section(
    free: Sequence[np.ndarray], after: dict[int, list[np.ndarray]], learned: dict[int, list[np.ndarray]]
) -> str:
    table = [
        "| values | shared afterwards (%) | learned (%) | learned loses less by (points) |",
        "| --- | --- | --- | --- |",
        f"| all | {100 * float(np.mean(free)):.2f} | - | - |",
    ]
    for count, found in learned.items():
        worse, half = cost(found, after[count])
        table.append(
            f"| {count} | {100 * float(np.mean(after[count])):.2f} | {100 * float(np.mean(found)):.2f} "
            f"| {worse:+.2f} ± {half:.2f} |"
        )
    about = (
        f"{datetime.date.today().isoformat()}, `python benchmarks/trained_shared_values.py --seeds {len(free)}`: the "
        f"plain CNN at {_SPARSITY:.1%} zeros, trained for {_EPOCHS} more epochs with Adam, once with free weights and "
        "once on N learned values for each kernel; int8 files, accuracy on 10,000 test images, means over "
        f"{len(free)} seeds, 95 % intervals of paired images."
    )
    return "\n".join([about, "", *table])


if __name__ == "__main__":
    main()
