"""Train the model of an export while it becomes sparse: how long, with what, and what that gave."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import DataError, ModelError
from tflite_sparse.pruning import masks, repeatable, retraining, sensitivity
from tflite_sparse.pruning.plan import Plan
from tflite_sparse.pruning.planned_masks import PlannedMasks
from tflite_sparse.pruning.retraining import Method, Pace
from tflite_sparse.pruning.training import BATCH_SIZE
from tflite_sparse.report.text import command
from tflite_sparse.results.prune import Curve
from tflite_sparse.scoring import keras_score
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.scorer import Scored, Scorer, make_scorer
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import DEFAULT_DROP, ExportSettings
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource

MOST_EPOCHS = 5
"""Epochs that ``finetune_epochs="auto"`` trains at most."""
MOST_SECONDS = 180.0
"""Time that it trains at most, by the measured time of a step."""

_MINUTES_FROM = 120.0
_SHARE_OF_GATE = 0.5  # of the allowed drop that may be left when training ends: int8 takes its part too


@dataclass(frozen=True)
class Trained:
    """A training that was done.

    Attributes:
        epochs: how many; a part of one if it was interrupted.
        curve: the planned sparsity and learning rate.
    """

    epochs: float
    curve: Curve


@dataclass(frozen=True)
class Training:
    """Trains the model of an export.

    Attributes:
        settings: of the export.
        metric: how outputs are scored.
        progress: receives stages and notes.
    """

    settings: ExportSettings
    metric: Name | UserMetric
    progress: Timed

    def run(self, source: KerasSource, samples: Dataset, target: Plan) -> Trained | None:
        """Train ``source`` while its masks rise to those of ``target``; its weights change.

        Returns:
            None if ``finetune_epochs="auto"`` and the model cannot be trained, or not in the time allowed. Its weights
            are then as before.

        Raises:
            DataError: a number of epochs was given, and labels are missing or do not fit.
            ModelError: likewise, and Keras cannot train the model.
        """
        epochs = self.settings.finetune_epochs
        if epochs != "auto":
            method = retraining.method_of(source, samples)
            self.progress.note(f"training: {method.words}")
            return self._train(source, samples, target, method, epochs, lambda: False)
        before = source.model.get_weights()
        try:
            return self._automatic(source, samples, target)
        except (DataError, ModelError) as error:
            source.model.set_weights(before)
            self.progress.warn(f"not trained: {str(error).rstrip('.')}; masks are made at once, which costs accuracy.")
            return None

    def _automatic(self, source: KerasSource, samples: Dataset, target: Plan) -> Trained | None:
        x, y, x_held, y_held = sensitivity.held_out(samples, seed=self.settings.seed)
        known = Dataset(samples.name, x, y, x_held, y_held)
        method = retraining.method_of(source, known)
        with self.progress.stage("measure a training step"):
            pace = retraining.pace_of(source, known, target, method)
        steps = repeatable.steps(known.train_samples, BATCH_SIZE)
        epochs = next((count for count in range(MOST_EPOCHS, 0, -1) if pace.seconds(count * steps) <= MOST_SECONDS), 0)
        if epochs == 0:
            self.progress.warn(self._too_long(source, samples, pace, steps))
            return None
        about = _duration(pace.seconds(epochs * steps))
        self.progress.note(
            f"pruning while training: {epochs} epoch{'s' * (epochs > 1)} at most, about {about} at "
            f"{1000 * pace.step:.1f} ms a step. Ctrl-C goes on with what is there; `finetune_epochs=0` masks at once"
        )
        self.progress.note(f"training: {method.words}")
        watch = _Watch.of(source, known, self.metric, self._allowed_drop())
        done = self._train(source, known, target, method, epochs, watch)
        if watch.best is not None:
            source.model.set_weights(watch.best)
        if watch.drops:
            self.progress.note(
                f"pruned while training: {watch.scorer.metric} on held-out training samples is lower by "
                f"{min(watch.drops):.4f} after {done.epochs:.2g} epochs"
            )
        return done

    def _train(
        self,
        source: KerasSource,
        samples: Dataset,
        target: Plan,
        method: Method,
        epochs: int,
        is_enough: Callable[[], bool],
    ) -> Trained:
        with self.progress.stage("prune while training") as on_step:
            done = retraining.retrain(
                source, samples, target, method, epochs, seed=self.settings.seed, on_step=on_step, is_enough=is_enough
            )
        if done.was_interrupted:
            self.progress.warn(
                f"training was interrupted after {done.epochs:.1f} of {epochs} epochs: what was there is exported."
            )
        return Trained(done.epochs, done.curve)

    def _allowed_drop(self) -> float:
        return _SHARE_OF_GATE * min(self.settings.max_accuracy_drop, DEFAULT_DROP)

    def _too_long(self, source: KerasSource, samples: Dataset, pace: Pace, steps: int) -> str:
        sparsity = self.settings.sparsity
        cure = f"`finetune_epochs={MOST_EPOCHS}` trains for about {_duration(pace.seconds(MOST_EPOCHS * steps))}"
        if sparsity is not None and Path(source.name).exists():
            given = self.settings.model_dump(mode="json")
            cure += f", and so does {command.prune(source.name, samples.name, given, epochs=MOST_EPOCHS)}"
        return (
            f"not trained: an epoch takes about {_duration(pace.seconds(steps))}, and {_duration(MOST_SECONDS)} are "
            f"allowed; masks are made at once, which costs accuracy. {cure}."
        )


@dataclass
class _Watch:
    """Scores a model on held-out samples after an epoch, and keeps its best weights.

    Attributes:
        source: the model.
        held: its test part is held out of the training.
        scorer: how outputs are scored.
        reference: the scores before the training.
        allowed: the drop from them that is small enough.
        drops: after each epoch.
        best: the weights with the smallest drop.
    """

    source: KerasSource
    held: Dataset
    scorer: Scorer
    reference: Scored
    allowed: float
    drops: list[float]
    best: list[np.ndarray] | None = None

    @classmethod
    def of(cls, source: KerasSource, held: Dataset, metric: Name | UserMetric, allowed: float) -> _Watch:
        """Score the model as it is."""
        outputs = keras_score.predicted(source, held.x_test)
        scorer = make_scorer(outputs, held.y_test, metric)
        return cls(source, held, scorer, scorer.scored(outputs), allowed, [])

    def __call__(self) -> bool:
        """Return whether accuracy needs no further epoch."""
        drop = self.scorer.scored(keras_score.predicted(self.source, self.held.x_test)).drop_from(self.reference)
        if not self.drops or drop < min(self.drops):
            self.best = self.source.model.get_weights()
        self.drops.append(drop)
        return drop <= self.allowed


def asks_for_more(target: Plan) -> bool:
    """Return whether a plan makes zeros that its kernels and channels do not hold yet."""
    channels = PlannedMasks(replace(target, kernels=()), {})
    held = channels.kept()
    channels.finish()
    if any(kept.sum() < held[group].sum() for group, kept in channels.kept().items()):
        return True
    target = replace(target, groups=())
    if target.scope == "global":
        now = masks.sparsity_of([each.kernel for each in target.kernels])
        return round(target.sparsity_at(target.end) * now.weights) > now.zeros
    return any(
        round(each.schedule.final * each.kernel.size) > masks.sparsity_of([each.kernel]).zeros
        for each in target.kernels
    )


def _duration(seconds: float) -> str:
    """Return an estimate in words, rounded up: a training that takes longer than it was told annoys."""
    return f"{seconds:.0f} s" if seconds < _MINUTES_FROM else f"{math.ceil(seconds / 60)} min"
