"""Make training depend on its seed and the number of the epoch only, so that it can resume.

Order of samples and dropout are drawn for each epoch from (seed, epoch). The rest of the state, weights, optimizer and
masks, is saved after each epoch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from tflite_sparse.pruning.hooks import Hooks, Logs
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_types import KerasModel, Variable
from tflite_sparse.sources.kernels import flatten


def batches(x: object, y: object, batch_size: int, seed: int, epochs: range) -> object:
    """Return data for ``fit`` of either generation, to use with ``steps_per_epoch=steps(samples, batch_size)``.

    Every epoch yields every sample once, in an order given by ``(seed, epoch)``. All epochs form one sequence, so that
    batches fetched in advance are right.

    Args:
        x: samples: an array, or a list or mapping of them, as the model takes them.
        y: their labels, in the structure of the model's outputs.
        batch_size: samples of one step; the last batch of an epoch may be smaller.
        seed: of the order.
        epochs: numbers of the epochs, from 0.
    """
    tf = tensorflow_import.tensorflow()

    data = tuple(tuple(part) if isinstance(part, list) else part for part in (x, y))  # a list would become one tensor
    count = len(tf.nest.flatten(data)[0])

    def generate() -> Iterator[object]:
        for epoch in epochs:
            order = np.random.default_rng([seed, epoch]).permutation(count)
            for start in range(0, count, batch_size):
                chosen = order[start : start + batch_size]
                yield tf.nest.map_structure(lambda array, rows=chosen: array[rows], data)

    signature = tf.nest.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), data)
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)


def steps(samples: int, batch_size: int) -> int:
    """Return the number of steps of one epoch."""
    return math.ceil(samples / batch_size)


@contextlib.contextmanager
def seedable_layers(keras: ModuleType) -> Iterator[None]:
    """Make the random layers of models built inside of the block seedable; those of Keras 2 otherwise are not."""
    switches = getattr(keras.backend, "experimental", None)
    if switches is None or not hasattr(switches, "enable_tf_random_generator"):  # layers of Keras 3 always are
        yield
        return
    before = switches.is_tf_random_generator_enabled()
    switches.enable_tf_random_generator()
    try:
        yield
    finally:
        if not before:
            switches.disable_tf_random_generator()


class SeedEachEpoch(Hooks):
    """Sets the random generators of all layers at the start of each epoch."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Seed every generator from (seed, epoch, its index)."""
        del logs
        for place, reseed in enumerate(_generators(self.model)):
            reseed(np.random.SeedSequence([self._seed, epoch, place]).generate_state(2))


class AfterEachEpoch(Hooks):
    """Calls ``action`` with the number of epochs done and the loss of the last one."""

    def __init__(self, action: Callable[[int, float], None]) -> None:
        super().__init__()
        self._action = action

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """See the class."""
        self._action(epoch + 1, float((logs or {}).get("loss", np.nan)))


def _generators(model: KerasModel) -> list[Callable[[np.ndarray], object]]:
    states = [v for v in model.variables if str(getattr(v, "path", "")).endswith("seed_generator_state")]
    found: list[Callable[[np.ndarray], object]] = [_assign_state(state) for state in states]
    for layer in flatten(model):  # Keras 2
        generator = getattr(getattr(layer, "_random_generator", None), "_generator", None)
        reset_from_seed = getattr(generator, "reset_from_seed", None)
        if reset_from_seed is not None:
            found.append(_reset(reset_from_seed))
    return found


def _assign_state(state: Variable) -> Callable[[np.ndarray], object]:
    return lambda words: state.assign(words.astype(np.uint32))


def _reset(reset_from_seed: Callable[[int], object]) -> Callable[[np.ndarray], object]:
    return lambda words: reset_from_seed(int(words[0]))
