"""Prune by magnitude inside ``model.fit``, in Keras 2 and Keras 3."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import Unpack

from tflite_sparse.errors import ModelError, SettingsError
from tflite_sparse.pruning import masks, stopped_gradients
from tflite_sparse.pruning.hooks import Hooks, Logs
from tflite_sparse.pruning.learning_rate import advice
from tflite_sparse.pruning.plan import KernelPlan, Plan, Planner, Span, of_settings
from tflite_sparse.settings import PruningOptions, PruningSettings, ScheduleOptions
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources import kernels, tensorflow_import
from tflite_sparse.sources.keras_types import KerasModel, Variable


@dataclass(frozen=True, eq=False)
class _Masked:
    """One kernel in training.

    Attributes:
        variable: the weight.
        plan: how it is pruned.
        mask: the mask as a variable that the training step reads.
        origin: the weights that are not zero at the start; the others stay zero, also within a block that is kept.
        held: the share of weights in units (blocks) that are zero at the start; the sparsity never falls below it.
    """

    variable: Variable
    plan: KernelPlan
    mask: Variable
    origin: np.ndarray
    held: float

    def read(self) -> np.ndarray:
        """Return the mask, bool."""
        return np.asarray(self.mask.numpy())

    def values(self) -> np.ndarray:
        """Return the weights.

        Raises:
            ModelError: one is NaN or infinite, so that they have no order.
        """
        return masks.finite(self.plan.kernel)

    def keep_origin(self, mask: np.ndarray) -> np.ndarray:
        """Return ``mask`` without the weights that were zero from the start."""
        return mask & self.origin if self.plan.structure.block == (1, 1) else mask


class MagnitudePruning(Hooks):
    """A callback that prunes a model while it trains, after Zhu and Gupta (2017).

    Masks follow a schedule and the absolute values of the weights. Masked weights are zero and stay zero: the training
    step stops their gradients, and the optimizer's momenta for them are zero. When ``fit`` returns, model and optimizer
    are as before, apart from the zeros.

        history = model.fit(x, y, epochs=20, callbacks=[MagnitudePruning(0.875)])
        history.history["sparsity"]  # of all pruned kernels after each epoch, in [0, 1]

    TensorBoard, CSVLogger and other callbacks log the sparsity if they come later in the list.

    Args:
        sparsity: share of zeros that every pruned kernel gets, in [0, 1).
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
        self._masked: list[_Masked] = []
        self._restored: dict[str, np.ndarray] = {}
        self._undo: Callable[[], None] | None = None
        self._is_prepared = False
        self._steps_before = 0
        self._step = 0

    @property
    def plan(self) -> Plan:
        """The kernels that are pruned; empty before ``fit``."""
        return self._plan

    @property
    def step(self) -> int:
        """Number of training steps done, including earlier calls of ``fit``."""
        return self._step

    def masks(self) -> dict[str, np.ndarray]:
        """Return the present masks, bool, by kernel name, in the shape of the kernel."""
        return {each.plan.kernel.name: each.read() for each in self._masked}

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
        self._masked = []
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
        due = [each for each in self._masked if any(map(each.plan.schedule.updates_at, passed))]
        if due:
            with self._releasing_on_error():
                self._update(due)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Check that the loss is finite and that masked weights are zero; log the share of zeros as ``sparsity``."""
        with self._releasing_on_error():
            loss = float(np.asarray((logs or {}).get("loss", 0.0)))
            if not np.isfinite(loss):
                raise ModelError(
                    f"{self.model.name}: the loss is {loss:g} after epoch {epoch + 1}: training diverged. Use a lower "
                    "learning rate, and check the range of the data."
                )
            kept = weights = 0
            for each in self._masked:
                values = each.values()
                kept, weights = kept + int(np.count_nonzero(values)), weights + values.size
                if np.any(values[~each.read()]):
                    optimizer = type(self.model.optimizer).__name__
                    raise ModelError(
                        f"{each.plan.kernel.name}: masked weights do not stay zero: {optimizer} or a constraint moves "
                        "weights whose gradient is zero. Use Adam, SGD or another that works weight by weight."
                    )
            if logs is not None and weights:
                logs["sparsity"] = 1 - kept / weights

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
        return {id(each.variable): each.mask for each in self._masked}

    def _prepare(self) -> None:
        found = kernels.kernels_and_variables(self.model)
        variables = {kernel.name: variable for variable, kernel in found}
        with self._releasing_on_error():
            span = self._span()
            self._plan = self._planner([kernel for _, kernel in found], span)
            for sentence in advice(self.model.optimizer, self._plan, span, self._step):
                self._warn(sentence)
            with strategy_scope(self.model):
                self._masked = [self._start(variables[plan.kernel.name], plan) for plan in self._plan.kernels]
        for each in self._masked:
            self._apply(each, each.read())

    def _start(self, variable: Variable, plan: KernelPlan) -> _Masked:
        values = masks.finite(plan.kernel)
        origin = masks.trained_mask(values)
        units = masks.unit_scores(origin, plan.structure, plan.kernel.axes)
        held = float(units.sizes[units.scores == 0].sum() / values.size)
        mask = self._restored.get(plan.kernel.name, origin)
        tf = tensorflow_import.tensorflow()
        return _Masked(variable, plan, tf.Variable(mask, trainable=False, dtype=tf.bool), origin, held)

    def _update(self, due: Sequence[_Masked]) -> None:
        for each, mask in zip(due, self._new_masks(due), strict=True):
            each.mask.assign(mask)
            self._apply(each, mask)

    def _apply(self, masked: _Masked, mask: np.ndarray) -> None:
        masks.apply_mask(masked.plan.kernel, mask)
        stopped_gradients.clear_momenta(self.model.optimizer, masked.variable, mask)

    def _new_masks(self, due: Sequence[_Masked]) -> list[np.ndarray]:
        if self._plan.scope == "global":
            held = sum(each.held * each.plan.kernel.size for each in due) / sum(each.plan.kernel.size for each in due)
            kernels = [(each.values(), each.plan.structure, each.plan.kernel.axes) for each in due]
            found = masks.global_masks(kernels, max(due[0].plan.schedule.sparsity_at(self._step), held))
        else:
            found = [
                masks.magnitude_mask(
                    each.values(),
                    max(each.plan.schedule.sparsity_at(self._step), each.held),
                    each.plan.structure,
                    each.plan.kernel.axes,
                )
                for each in due
            ]
        return [each.keep_origin(mask) for each, mask in zip(due, found, strict=True)]

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
