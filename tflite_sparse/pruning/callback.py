"""Prune by magnitude inside ``model.fit``, in Keras 2 and Keras 3."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from typing_extensions import Unpack

from tflite_sparse.errors import ModelError, SettingsError
from tflite_sparse.pruning import channel_plan, masks, stopped_gradients
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.hooks import Hooks, Logs
from tflite_sparse.pruning.learning_rate import advice
from tflite_sparse.pruning.plan import Plan, Planner, Span, of_settings
from tflite_sparse.pruning.planned_masks import PlannedMasks
from tflite_sparse.settings import PruningOptions, PruningSettings, ScheduleOptions
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources import kernels, tensorflow_import
from tflite_sparse.sources.keras_types import KerasModel, Variable
from tflite_sparse.sources.source_model import Kernel


@dataclass(frozen=True, eq=False)
class _Masked:
    """One weight in training: the variable, and its mask as a variable that the training step reads."""

    weight: Kernel
    variable: Variable
    mask: Variable

    def read(self) -> np.ndarray:
        """Return the mask, bool."""
        return np.asarray(self.mask.numpy())


class MagnitudePruning(Hooks):
    """A callback that prunes a model while it trains, after Zhu and Gupta (2017).

    Masks follow a schedule and the absolute values of the weights. Masked weights are zero and stay zero: the training
    step stops their gradients, and the optimizer's momenta for them are zero. When ``fit`` returns, model and optimizer
    are as before, apart from the zeros.

        history = model.fit(x, y, epochs=20, callbacks=[MagnitudePruning(0.875)])
        history.history["sparsity"]  # of all pruned kernels after each epoch, in [0, 1]

    TensorBoard, CSVLogger and other callbacks log the sparsity if they come later in the list.

    Args:
        sparsity: share of zeros that every pruned kernel gets, in [0, 1); with ``block="channel"`` share of channels.
        planner: what becomes of which kernel, instead of ``sparsity`` and ``settings``.
        warn: told what the learning rate says against the schedule, before training starts (of a model that its first
            step builds: after that).
        **settings: see the constructor; ``block="1x16", end=2000``.

    Raises:
        SettingsError: a setting is unknown or out of range; in ``fit``: it does not fit the model or its training.
        ModelError: in ``fit``: the loss or a weight became NaN, or masked weights do not stay zero.
    """

    @takes(PruningSettings, PruningOptions)
    def __init__(
        self,
        sparsity: float | None = None,
        *,
        planner: Planner | None = None,
        warn: Callable[[str], None] = warnings.warn,
        **settings: Unpack[ScheduleOptions],
    ) -> None:
        super().__init__()
        self._planner = planner or of_settings(PruningSettings(sparsity=sparsity, **settings))
        self._warn = warn
        self._plan = Plan(())
        self._planned: PlannedMasks | None = None
        self._masked: dict[str, _Masked] = {}
        self._restored: dict[str, np.ndarray] = {}
        self._undo: Callable[[], None] | None = None
        self._is_prepared = False
        self._steps_before = 0
        self._step = 0

    @property
    def plan(self) -> Plan:
        """The kernels and groups of channels that are pruned; empty before ``fit``."""
        return self._plan

    @property
    def kept_channels(self) -> dict[ChannelGroup, np.ndarray]:
        """The channels of each group that are kept, bool; empty before ``fit``."""
        return {} if self._planned is None else self._planned.kept()

    @property
    def step(self) -> int:
        """Number of training steps done, including earlier calls of ``fit``."""
        return self._step

    def masks(self) -> dict[str, np.ndarray]:
        """Return the present masks, bool: of each weight in its shape, and of each group of channels; by name."""
        return {} if self._planned is None else self._planned.masks()

    def restore(self, step: int, found: Mapping[str, np.ndarray]) -> None:
        """Resume from a checkpoint, before ``fit``: ``found`` is the result of :meth:`masks` after ``step`` steps."""
        self._steps_before = self._step = step
        self._restored = dict(found)

    def set_model(self, model: KerasModel) -> None:
        """See :class:`Hooks`."""
        super().set_model(model)
        model.train_function = None  # an earlier trace does not stop gradients

    def on_train_begin(self, logs: Logs = None) -> None:
        """Prepare the optimizer, and warn if the learning rate does not suit the schedule."""
        del logs
        self._masked, self._planned = {}, None
        self._undo = stopped_gradients.patch(self.model.optimizer, self._masks_by_variable)
        self._is_prepared = self.model.built
        if self._is_prepared:
            self._prepare()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Record the step at which the epoch starts; Keras numbers batches within an epoch."""
        del epoch, logs
        self._steps_before = self._step

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Make new masks where a schedule demands it."""
        del logs
        last, self._step = self._step, self._steps_before + batch + 1
        passed = range(last + 1, self._step + 1)
        if not self._is_prepared:  # the first step built the model, so no zeros had to be kept in it
            self._is_prepared = True
            self._prepare()
            self.model.make_train_function(force=True)
        if self._planned is not None:
            with self._releasing_on_error():
                for name in self._planned.update(self._step, passed):
                    self._apply(self._masked[name], self._planned.mask(name))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Check that the loss is finite and that masked weights are zero; log the share of zeros as ``sparsity``."""
        with self._releasing_on_error():
            loss = float(np.asarray((logs or {}).get("loss", 0.0)))
            if not np.isfinite(loss):
                raise ModelError(
                    f"{self.model.name}: the loss is {loss:g} after epoch {epoch + 1}: training diverged. Use a lower "
                    "learning rate, and check the range of the data."
                )
            for each in self._masked.values():
                values = masks.finite(each.weight)
                if np.any(values[~each.read()]):
                    optimizer = type(self.model.optimizer).__name__
                    raise ModelError(
                        f"{each.weight.name}: masked weights do not stay zero: {optimizer} or a constraint moves "
                        "weights whose gradient is zero. Use Adam, SGD or another that works weight by weight."
                    )
            now = masks.sparsity_of(self._plan.pruned)
            if logs is not None and now.weights:
                logs["sparsity"] = now.share

    def on_train_end(self, logs: Logs = None) -> None:
        """Restore the optimizer."""
        del logs
        self.release()

    def release(self) -> None:
        """Restore the optimizer. ``fit`` does so itself, unless an exception from outside of this class ends it."""
        if self._undo is not None:
            self._undo()
            self._undo = None
            self.model.train_function = None

    @contextlib.contextmanager
    def _releasing_on_error(self) -> Iterator[None]:
        """Release on an exception, after which ``fit`` does not call ``on_train_end``."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.release)
            yield
            stack.pop_all()

    def _masks_by_variable(self) -> dict[int, Variable]:
        return {id(each.variable): each.mask for each in self._masked.values()}

    def _prepare(self) -> None:
        found = kernels.kernels_and_variables(self.model)
        variables = {kernel.name: variable for variable, kernel in found}
        with self._releasing_on_error():
            span = self._span()
            self._plan = channel_plan.bound(self._planner([kernel for _, kernel in found], span), self.model, found)
            for sentence in advice(self.model.optimizer, self._plan, span, self._step):
                self._warn(sentence)
            variables |= {part.name: part.variable for each in self._plan.groups for part in each.group.masked}
            self._planned = planned = PlannedMasks(self._plan, self._restored)
            tf = tensorflow_import.tensorflow()
            with strategy_scope(self.model):
                for name, weight in planned.weights.items():
                    mask = tf.Variable(planned.mask(name), trainable=False, dtype=tf.bool)
                    self._masked[name] = _Masked(weight, variables[name], mask)
        for each in self._masked.values():
            self._apply(each, each.read())

    def _apply(self, masked: _Masked, mask: np.ndarray) -> None:
        masked.mask.assign(mask)
        masks.apply_mask(masked.weight, mask)
        stopped_gradients.clear_momenta(self.model.optimizer, masked.variable, mask)

    def _span(self) -> Span:
        epochs, steps = self.params.get("epochs"), self.params.get("steps")
        if not epochs or not steps:
            raise SettingsError(
                "the number of steps of an epoch is not known before the data were seen once: give fit() "
                "steps_per_epoch, or a data set of known length."
            )
        return Span(epochs * steps, steps)


def strategy_scope(model: KerasModel) -> contextlib.AbstractContextManager[object]:
    """Return the scope in which variables of a model under ``tf.distribute`` must be made."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


class AfterEachStep(Hooks):
    """A callback that passes the number of training steps done to ``action`` after each execution."""

    def __init__(self, action: Callable[[int], None]) -> None:
        super().__init__()
        self._action = action
        self._steps_before = self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Record the step at which the epoch starts."""
        del epoch, logs
        self._steps_before = self._steps

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call ``action``."""
        del logs
        self._steps = self._steps_before + batch + 1
        self._action(self._steps)
