"""Train a trained model while it becomes sparse: a few epochs, of a length that is measured before."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.pruning import curve as training_curve
from tflite_sparse.pruning import repeatable
from tflite_sparse.pruning.callback import AfterEachStep, MagnitudePruning
from tflite_sparse.pruning.hooks import Hooks, Logs
from tflite_sparse.pruning.plan import Plan, Span
from tflite_sparse.pruning.schedule import Frozen, PolynomialSchedule, Schedule
from tflite_sparse.pruning.training import BATCH_SIZE, labels_of, loss_for, naming_model_and_data
from tflite_sparse.results.prune import Curve
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.arrays import take
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.keras_types import Optimizer
from tflite_sparse.sources.source_model import Kernel

_RATE = 1e-3
_RAMP_SHARE = 0.4  # of the steps: the masks are final after two of five epochs, and the rest recovers
_UPDATES = 60
_WARM_UP = 2  # steps: the first traces the training step, the second still fills caches and memory pools
_LEAST_TIMED, _MOST_TIMED, _ENOUGH_SECONDS = 2, 20, 2.0
_SLOW = 0.9  # quantile of the measured steps that an estimate counts on
_BESIDE_STEPS = 1.25  # factor for the scores and checks after each epoch


@dataclass(frozen=True)
class Method:
    """How a model is trained.

    Attributes:
        loss: in the structure of the model's outputs.
        optimizer: makes an optimizer whose learning rate falls along a cosine to zero over so many steps.
        words: loss, optimizer, highest learning rate, and where they come from.
    """

    loss: object
    optimizer: Callable[[int], Optimizer]
    words: str


def method_of(source: KerasSource, data: Dataset) -> Method:
    """Return the loss and the optimizer that a model was compiled with; else those that suit outputs and labels.

    Raises:
        DataError: there are no labels, or they do not fit the model's output.
    """
    keras, found = source.keras, source.compiled
    loss = None if found is None else found.loss_of(keras)
    origin = "as the model was compiled"
    if loss is None or not _suits(loss, source, data):
        loss, origin = loss_for(source, data), "chosen from labels and outputs"
    rate = (None if found is None else found.rate) or _RATE

    def optimizer(steps: int) -> Optimizer:
        falling = keras.optimizers.schedules.CosineDecay(rate, steps)
        own = None if found is None else found.optimizer_of(keras, falling)
        made: Optimizer = own or keras.optimizers.Adam(falling)
        return made

    name = type(optimizer(1)).__name__
    own = "its own" if found is not None and found.optimizer == name else "chosen"
    return Method(
        loss, optimizer, f"loss {_loss_name(loss)} ({origin}), optimizer {name} ({own}) from a rate of {rate:g}"
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of a training, in seconds: until its warm-up is done, of a slow step after that, and of new masks."""

    start: float
    step: float
    masks: float = 0.0

    def seconds(self, steps: int) -> float:
        """Return a bound of the time of so many steps, with a start each for training and scoring."""
        ramp = _ramp(steps)
        return 2 * self.start + steps * self.step + ramp / _steps_between_masks(ramp) * self.masks


def pace_of(source: KerasSource, data: Dataset, target: Plan, method: Method) -> Pace:
    """Measure a few training steps of :data:`BATCH_SIZE` samples, each followed by new masks; the weights stay.

    Raises:
        ModelError: Keras cannot train the model.
    """
    model, before = source.model, source.model.get_weights()
    steps = _MOST_TIMED + _WARM_UP
    timer = _Timer(time.perf_counter())
    pruning = _pruning_to(target, steps)
    model.compile(optimizer=method.optimizer(steps), loss=method.loss)
    chosen = take_labelled(data, steps * BATCH_SIZE)
    try:
        with naming_model_and_data(source, data), contextlib.suppress(_EnoughError):
            model.fit(
                source.fed(chosen.x_train),
                source.labelled(labels_of(chosen)),
                batch_size=BATCH_SIZE,
                epochs=math.ceil((_LEAST_TIMED + _WARM_UP) / repeatable.steps(chosen.train_samples, BATCH_SIZE)),
                verbose=0,
                callbacks=[timer.of_steps, pruning, timer.of_masks],
            )
    finally:
        pruning.release()
        model.set_weights(before)
    step, new_masks = (float(np.quantile(each, _SLOW)) for each in (timer.steps, timer.masks))
    return Pace(timer.start, _BESIDE_STEPS * step, new_masks)


def take_labelled(data: Dataset, most: int) -> Dataset:
    """Return the data with the first ``most`` training samples at most."""
    rows = slice(0, most)
    return Dataset(data.name, take(data.x_train, rows), take(labels_of(data), rows), data.x_test, data.y_test)


@dataclass(frozen=True)
class Done:
    """A training that ended.

    Attributes:
        epochs: how many were done; a part of one if the training was interrupted.
        was_interrupted: whether Ctrl-C ended it; masks are then not final.
        curve: of the planned training.
    """

    epochs: float
    was_interrupted: bool
    curve: Curve


def retrain(
    source: KerasSource,
    data: Dataset,
    target: Plan,
    method: Method,
    epochs: int,
    *,
    seed: int,
    on_step: Step,
    is_enough: Callable[[], bool] = lambda: False,
) -> Done:
    """Train on labelled data while masks rise to those of a plan, for ``epochs`` at most.

    Args:
        source: the model; it is compiled here.
        data: the training part is used.
        target: the kernels and their sparsity in the end.
        method: see :func:`method_of`.
        epochs: at most; schedule and learning rate are laid out for as many.
        seed: of the order of samples, and of dropout.
        on_step: receives (steps done, all steps).
        is_enough: called after each epoch with final masks; True ends the training.

    Raises:
        ModelError: Keras cannot train the model, or the loss became NaN.
    """
    keras, model = source.keras, source.model
    steps_per_epoch = repeatable.steps(data.train_samples, BATCH_SIZE)
    steps = epochs * steps_per_epoch
    ramp = _ramp(steps)
    keras.utils.set_random_seed(seed)
    pruning = _pruning_to(target, ramp)
    model.compile(optimizer=method.optimizer(steps), loss=method.loss)
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done = number
        on_step(number, steps)

    was_interrupted = False
    try:
        with naming_model_and_data(source, data):
            model.fit(
                source.fed(data.x_train),
                source.labelled(labels_of(data)),
                batch_size=BATCH_SIZE,
                epochs=epochs,
                verbose=0,
                callbacks=[
                    pruning,
                    repeatable.SeedEachEpoch(seed),
                    AfterEachStep(count),
                    _StopWhen(lambda: done >= ramp and is_enough()),
                ],
            )
    except KeyboardInterrupt:
        was_interrupted = True
    finally:
        pruning.release()
    curve = training_curve.of(pruning.plan, model.optimizer, steps)
    return Done(done / steps_per_epoch, was_interrupted, curve)


def _ramp(steps: int) -> int:
    """Return the number of steps over which masks rise."""
    return max(round(steps * _RAMP_SHARE), 1)


def _steps_between_masks(ramp: int) -> int:
    return max(ramp // _UPDATES, 1)


def _pruning_to(target: Plan, ramp: int) -> MagnitudePruning:
    """Return a callback whose masks rise to those of a plan over ``ramp`` steps."""
    names = {each.kernel.name: each for each in target.kernels}

    def planner(kernels: Sequence[Kernel], span: Span) -> Plan:
        del span
        return Plan(
            tuple(
                replace(names[kernel.name], kernel=kernel, schedule=_rising(names[kernel.name].schedule, ramp))
                for kernel in kernels
                if kernel.name in names
            ),
            target.scope,
            groups=tuple(replace(each, schedule=_rising(each.schedule, ramp)) for each in target.groups),
        )

    # The rate falls from its peak while masks rise; advice about schedules of one's own does not apply.
    return MagnitudePruning(planner=planner, warn=lambda _: None)


def _rising(planned: Schedule, ramp: int) -> Schedule:
    """Return a schedule that rises from 0 to the end of ``planned`` over ``ramp`` steps. Zeros stay."""
    if planned.final == 0:
        return Frozen()
    return PolynomialSchedule(0.0, planned.final, 0, ramp, _steps_between_masks(ramp))


def _suits(loss: object, source: KerasSource, data: Dataset) -> bool:
    """Return whether a loss yields a finite number on some training samples."""
    sample = take_labelled(data, BATCH_SIZE)
    model = source.model
    try:
        model.compile(optimizer="sgd", loss=loss)
        found = model.evaluate(
            source.fed(sample.x_train), source.labelled(labels_of(sample)), batch_size=BATCH_SIZE, verbose=0
        )
    except Exception:  # noqa: BLE001 - a loss of the user's may raise anything; another one is chosen then, and told
        return False
    return bool(np.isfinite(tensorflow_import.tensorflow().nest.flatten(found)).all())


def _loss_name(loss: object) -> str:
    if isinstance(loss, str):
        return loss
    if isinstance(loss, dict):
        return ", ".join(map(_loss_name, loss.values()))
    if isinstance(loss, list | tuple):
        return ", ".join(map(_loss_name, loss))
    return getattr(loss, "__name__", type(loss).__name__)


class _EnoughError(Exception):
    """Ends a training that only measures."""


class _Timer:
    """Times each training step and the new masks after it, apart from the warm-up; ends the training after enough.

    Attributes:
        start: seconds until the end of the warm-up.
        steps: seconds of each step after that.
        masks: seconds of the masks after each of them.
        of_steps: the callback to put before the one that prunes.
        of_masks: the callback to put after it.
    """

    def __init__(self, now: float) -> None:
        self.start = 0.0
        self.steps: list[float] = []
        self.masks: list[float] = []
        self.of_steps = _AfterBatch(self._end_step)
        self.of_masks = _AfterBatch(self._end_masks)
        self._first = self._last = now
        self._warm_up = _WARM_UP

    def _end_step(self) -> None:
        now = time.perf_counter()
        if not self._warm_up:
            self.steps.append(now - self._last)
        self._last = now

    def _end_masks(self) -> None:
        now = time.perf_counter()
        if self._warm_up:
            self._warm_up -= 1
            self.start = now - self._first
        else:
            self.masks.append(now - self._last)
        self._last = now
        if len(self.masks) >= _MOST_TIMED or (
            len(self.masks) >= _LEAST_TIMED and sum(self.steps) + sum(self.masks) > _ENOUGH_SECONDS
        ):
            raise _EnoughError


class _AfterBatch(Hooks):
    """Calls ``action`` at the end of each training step."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self._action = action

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """See the class."""
        del batch, logs
        self._action()


class _StopWhen(Hooks):
    """Ends the training after an epoch for which ``condition`` holds."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._condition = condition

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """See the class."""
        del epoch, logs
        if self._condition():
            self.model.stop_training = True
