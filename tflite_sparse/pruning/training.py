"""Train while pruning: the demo network from scratch, or a user's model so that a run can resume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.errors import DataError, ModelError, SettingsError, TfliteSparseError, one_line
from tflite_sparse.pruning import masks, repeatable
from tflite_sparse.pruning.callback import AfterEachStep, MagnitudePruning
from tflite_sparse.pruning.plan import KernelPlan, Plan, Span
from tflite_sparse.pruning.schedule import PolynomialSchedule
from tflite_sparse.settings import PruneSettings
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.arrays import Arrays, take
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.keras_types import Optimizer
from tflite_sparse.sources.labels import Kind, check_labels
from tflite_sparse.sources.source_model import Kernel, check_finite

BATCH_SIZE = 64
SCRATCH_EPOCHS = 30

_SCRATCH_RATE = 2e-3
# Pruning starts once the weights are meaningful and ends while the rate, a cosine, is still above a quarter of its
# peak: later masks are not compensated (Zhu and Gupta 2017, section 3).
_PRUNE_FROM, _PRUNE_TO = 0.1, 0.65
_UPDATES = 60


def train_from_scratch(
    source: KerasSource, data: Dataset, sparsity: float, *, seed: int, on_step: Step, epochs: int = SCRATCH_EPOCHS
) -> Plan | None:
    """Train a new model on labelled data while pruning it to ``sparsity`` (0: plain training).

    Returns:
        The plan of the pruning; None without pruning.
    """
    steps = scratch_steps(data, epochs)
    pruning = None
    if sparsity > 0:
        begin, end = round(steps * _PRUNE_FROM), round(steps * _PRUNE_TO)
        schedule = PolynomialSchedule(0.0, sparsity, begin, end, max((end - begin) // _UPDATES, 1))

        def planner(kernels: Sequence[Kernel], span: Span) -> Plan:
            del span
            return Plan(tuple(KernelPlan(kernel, schedule) for kernel in masks.prunable_of(kernels)))

        pruning = MagnitudePruning(planner=planner)
    _fit(source, data, epochs, _SCRATCH_RATE, pruning, seed, on_step)
    return None if pruning is None else pruning.plan


def scratch_steps(data: Dataset, epochs: int = SCRATCH_EPOCHS) -> int:
    """Return the number of steps of :func:`train_from_scratch`."""
    return epochs * math.ceil(data.train_samples / BATCH_SIZE)


def span_of(settings: PruneSettings, samples: int) -> Span:
    """Return the length of a training on so many samples."""
    per_epoch = repeatable.steps(samples, settings.batch_size)
    return Span(settings.epochs * per_epoch, per_epoch)


def train_repeatably(
    source: KerasSource,
    data: Dataset,
    settings: PruneSettings,
    pruning: MagnitudePruning | None,
    *,
    on_step: Step,
    resume: Callable[[], int] = lambda: 0,
    after_epoch: Callable[[int, float], None],
) -> None:
    """Train on labelled data so that the result depends on the seed only, and a run can resume.

    Args:
        source: the model; it is compiled here.
        data: the training data.
        settings: epochs, batch size, optimizer, the highest learning rate and the seed.
        pruning: the callback that prunes. None: plain training.
        on_step: receives (steps done, all steps).
        resume: called when model and optimizer are built; it may set an earlier state, and returns the number of epochs
            done in that state.
        after_epoch: receives the number of epochs done and the loss of the last one.

    Raises:
        DataError: there are no labels, or they do not fit the model's output.
        SettingsError: Keras has no such optimizer.
        ModelError: Keras cannot train the model, or a weight became NaN or infinite.
    """
    keras, model = source.keras, source.model
    span = span_of(settings, data.train_samples)
    keras.utils.set_random_seed(settings.seed)
    compile_for(source, data, _optimizer(keras, settings, span.steps))
    model.optimizer.build(model.trainable_variables)
    first = resume()
    callbacks = [
        *([] if pruning is None else [pruning]),
        repeatable.SeedEachEpoch(settings.seed),
        repeatable.AfterEachEpoch(after_epoch),
        AfterEachStep(lambda done: on_step(first * span.steps_per_epoch + done, span.steps)),
    ]
    epochs = range(first, settings.epochs)
    x, y = source.fed(data.x_train), source.labelled(labels_of(data))
    try:
        with naming_model_and_data(source, data):
            model.fit(
                repeatable.batches(x, y, settings.batch_size, settings.seed, epochs),
                initial_epoch=first,
                epochs=settings.epochs,
                steps_per_epoch=span.steps_per_epoch,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )
    finally:
        if pruning is not None:
            pruning.release()
    check_finite(source)


def compile_for(source: KerasSource, data: Dataset, optimizer: Optimizer | str) -> None:
    """Compile a model with the loss that suits its outputs and the labels of ``data``.

    Raises:
        DataError: there are no labels, or they do not fit the model's output.
    """
    source.model.compile(optimizer=optimizer, loss=loss_for(source, data))


def loss_for(source: KerasSource, data: Dataset) -> object:
    """Return the loss that suits a model's outputs and the labels of ``data``, in the structure of the outputs.

    Raises:
        DataError: there are no labels, or they do not fit the model's output.
    """
    labels = labels_of(data)
    outputs = tensorflow_import.tensorflow().nest.flatten(
        source.model(source.fed(take(data.x_train, slice(BATCH_SIZE))), training=False)
    )
    names = [spec.name for spec in source.outputs()]
    by_name = labels if isinstance(labels, Mapping) else {names[0]: labels}
    losses = {}
    for name, output in zip(names, outputs, strict=True):
        if name not in by_name:
            raise DataError(f"{data.name} has no labels for the output {name!r}: training needs some for each.")
        sample = np.asarray(output)
        kind = check_labels(sample.shape, by_name[name])
        if kind is None:
            raise DataError(
                f"{source.name}: the shape of its output {sample.shape} is not known well enough to train it."
            )
        losses[name] = _loss(source.keras, kind, sample, by_name[name])
    return source.labelled(losses) if len(names) > 1 else losses[names[0]]


def labels_of(data: Dataset) -> Arrays:
    """Return the labels of the training part.

    Raises:
        DataError: there are none.
    """
    if data.y_train is None:
        raise DataError(f"{data.name} has no labels: training needs some (y).")
    return data.y_train


def _fit(
    source: KerasSource,
    data: Dataset,
    epochs: int,
    rate: float,
    pruning: MagnitudePruning | None,
    seed: int,
    on_step: Step,
) -> None:
    keras, model = source.keras, source.model
    steps = scratch_steps(data, epochs)
    keras.utils.set_random_seed(seed)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    compile_for(source, data, keras.optimizers.Adam(schedule))
    callbacks = [*([] if pruning is None else [pruning]), AfterEachStep(lambda done: on_step(done, steps))]
    with naming_model_and_data(source, data):
        history = model.fit(
            source.fed(data.x_train),
            source.labelled(labels_of(data)),
            batch_size=BATCH_SIZE,
            epochs=epochs,
            verbose=0,
            callbacks=callbacks,
        )
    if not np.isfinite(history.history["loss"][-1]):
        raise ModelError(f"{source.name}: the loss became NaN while training; check the range of the data.")


@contextmanager
def naming_model_and_data(source: KerasSource, data: Dataset) -> Iterator[None]:
    """Turn exceptions of Keras while it trains into an error that names model and data."""
    try:
        yield
    except TfliteSparseError:
        raise
    except Exception as error:
        raise ModelError(f"{source.name} cannot be trained on {data.name}: {one_line(error)}") from error


def _optimizer(keras: ModuleType, settings: PruneSettings, steps: int) -> Optimizer:
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    try:
        optimizer = keras.optimizers.get({"class_name": settings.optimizer, "config": {}})
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"`optimizer={settings.optimizer!r}`: Keras has none of that name; try adam or sgd."
        ) from error
    config = optimizer.get_config() | {"learning_rate": rate}
    made: Optimizer = type(optimizer).from_config(config)
    return made


def _loss(keras: ModuleType, kind: Kind, outputs: np.ndarray, labels: np.ndarray) -> object:
    """Return the loss that suits a model's outputs, with or without a final activation."""
    if kind == "r2":
        return keras.losses.MeanSquaredError()
    if kind == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=bool(outputs.min() < 0 or outputs.max() > 1))
    from_logits = not np.allclose(outputs.sum(-1), 1, atol=1e-3)
    if labels.shape[1:] == outputs.shape[1:]:
        return keras.losses.CategoricalCrossentropy(from_logits=from_logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
