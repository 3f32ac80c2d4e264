"""Write a recurrent Keras model as one time step, with its states as further inputs and outputs.

This form suits sequences that are too long to be unrolled: the file holds one step, and the app feeds the states back.
A step may depend on earlier ones through states only. So the layers must form a line, and each must work on one time
step by itself or be recurrent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeGuard

import numpy as np

from tflite_sparse.errors import ModelError
from tflite_sparse.sources import arrays, layers, tensorflow_import
from tflite_sparse.sources.arrays import Arrays
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.keras_types import KerasLayer, RecurrentLayer, SymbolicTensor
from tflite_sparse.sources.kernels import flatten
from tflite_sparse.sources.source_model import AS_IT_IS, InputSpec, Kernel, Layer, Loops, OutputSpec, Trace
from tflite_sparse.sources.traced import TracedModel

INPUT, OUTPUT = "x", "y"

_STATE_NAMES = {"LSTM": ("h", "c"), "GRU": ("h",), "SimpleRNN": ("h",)}
_OF_ONE_STEP = frozenset(
    (
        "ActivityRegularization",
        "Activation",
        "AlphaDropout",
        "Dense",
        "Dropout",
        "ELU",
        "Embedding",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "LeakyReLU",
        "ReLU",
        "Rescaling",
        "SpatialDropout1D",
        "TimeDistributed",
    )
)
_OVER_LAST_AXIS = frozenset(("BatchNormalization", "LayerNormalization", "Normalization", "Softmax"))
_CURE = "shorten the sequences, take the layer out, or leave `int8` and `recurrent='step'` out"


@dataclass(frozen=True, slots=True)
class State:
    """One state of a recurrent layer.

    Attributes:
        name: of its input and of its output.
        units: its size.
        is_tanh: whether it is the output of a tanh; integer kernels give it a scale for all of [-1, 1).
    """

    name: str
    units: int
    is_tanh: bool = False


@dataclass(frozen=True, slots=True)
class TimeStep:
    """Inputs and outputs of a file that computes one time step.

    Attributes:
        steps: number of time steps of a sequence in the data, or in the model; None: any number.
        states: of the recurrent layers.
        every_step: whether the model has an output for each step, not only for the last one.
        words: why it was written so.
    """

    steps: int | None
    states: tuple[State, ...]
    every_step: bool
    words: str


_NODES = "_nodes_by_depth"  # of a model of either generation; no public equivalent


class _Node(Protocol):
    """A call of a layer in a model."""

    is_input: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """One layer of the line; if recurrent, its states and whether later layers get every step."""

    layer: KerasLayer
    states: tuple[State, ...] = ()
    every_step: bool = True


class TimeStepSource:
    """One time step of a Keras model, sharing its weights. Its batch is 1.

    Args:
        whole: the model that computes whole sequences.

    Raises:
        ModelError: the model cannot be written so; names the layer.

    Attributes:
        whole: the same.
        states: in the order of the inputs that follow the first one.
        every_step: whether the model has an output for each step, not only for the last one.
    """

    def __init__(self, whole: KerasSource) -> None:
        self.whole = whole
        self.name = whole.name
        self._pieces = _pieces(whole)
        self._paths = {id(layer): description.name for layer, description in layers.found_in(whole.model)}
        self.states = tuple(state for piece in self._pieces for state in piece.states)
        self.every_step = all(piece.every_step for piece in self._pieces)

    def inputs(self) -> tuple[InputSpec, ...]:
        """See :class:`SourceModel`: one step of the sequence, then the states."""
        (spec,) = self.whole.inputs()
        step = InputSpec(INPUT, (1, *spec.shape[2:]), spec.dtype)
        return (step, *(InputSpec(state.name, (1, state.units), np.dtype(np.float32)) for state in self.states))

    def outputs(self) -> tuple[OutputSpec, ...]:
        """See :class:`SourceModel`: the output of this step, then the states after it."""
        (spec,) = self.whole.outputs()
        shape = (1, *spec.shape[2 if self.every_step else 1 :])
        return (OutputSpec(OUTPUT, shape), *(OutputSpec(state.name, (1, state.units)) for state in self.states))

    def kernels(self) -> list[Kernel]:
        """See :class:`SourceModel`."""
        return self.whole.kernels()

    def layers(self) -> list[Layer]:
        """See :class:`SourceModel`; their operators are named after them in every form."""
        return self.whole.layers()

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """See :class:`SourceModel`."""
        return self.whole.variables()

    def layer_kinds(self) -> Counter[str]:
        """See :class:`SourceModel`."""
        return self.whole.layer_kinds()

    def loops(self) -> Loops:
        """See :class:`SourceModel`: there are none."""
        return Loops()

    def compute(self, x: Arrays) -> dict[str, np.ndarray]:
        """See :class:`SourceModel`; any number of samples, each ``(n, ...)``."""
        names = tuple(spec.name for spec in self.inputs())
        outputs = self._compiled(*arrays.ordered(x, names))
        return {name: np.asarray(output, np.float32) for name, output in outputs.items()}

    def compute_many(self, x: Arrays) -> dict[str, np.ndarray]:
        """See :class:`SourceModel`."""
        return self.compute(x)

    def compute_whole(self, x: np.ndarray) -> np.ndarray:
        """Return the whole model's output for sequences ``(n, steps, ...)``, each of which starts from zero states."""
        recurrent = [piece.layer for piece in self._pieces if _is_recurrent(piece.layer)]
        stateful = [layer for layer in recurrent if layer.stateful]
        if not stateful:
            return next(iter(self.whole.compute(x).values()))
        (spec,) = self.whole.inputs()
        rows = []
        for sequence in x:
            for layer in stateful:
                layer.reset_states() if hasattr(layer, "reset_states") else layer.reset_state()
            batch = np.repeat(sequence[np.newaxis], spec.shape[0] or 1, axis=0)
            rows.append(next(iter(self.whole.compute(batch).values()))[:1])
        return np.concatenate(rows)

    def zero_states(self, count: int) -> dict[str, np.ndarray]:
        """Return the states before the first step of ``count`` sequences."""
        return {state.name: np.zeros((count, state.units), np.float32) for state in self.states}

    def save_for_conversion(self, folder: Path, trace: Trace = AS_IT_IS) -> None:
        """See :class:`SourceModel`; the shapes are fixed, so ``trace`` has no effect."""
        del trace
        tf = tensorflow_import.tensorflow()
        specs = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in self.inputs()]
        TracedModel(tf.function(self._step, input_signature=specs).get_concrete_function()).save(folder)

    @cached_property
    def _compiled(self) -> Callable[..., Mapping[str, object]]:
        tf = tensorflow_import.tensorflow()
        specs = [tf.TensorSpec((None, *spec.shape[1:]), spec.dtype) for spec in self.inputs()]
        return tf.function(self._step, input_signature=specs)  # type: ignore[no-any-return]

    def _step(self, x: object, *states: object) -> dict[str, object]:
        """Compute one step of ``x`` ``(n, ...)``. Layers see a time axis of one step until a recurrent one drops it."""
        tf = tensorflow_import.tensorflow()
        given = dict(zip((state.name for state in self.states), states, strict=True))
        after: dict[str, object] = {}
        hidden, over_time = tf.expand_dims(x, 1), True
        for piece in self._pieces:
            with tf.name_scope(f"{self._paths[id(piece.layer)]}/"):
                if not _is_recurrent(piece.layer):
                    takes_training = _takes_training(piece.layer)
                    hidden = piece.layer(hidden, training=False) if takes_training else piece.layer(hidden)
                    continue
                before = [given[state.name] for state in piece.states]
                hidden, left = piece.layer.cell(tf.squeeze(hidden, 1), before, training=False)
                after.update(zip((state.name for state in piece.states), tf.nest.flatten(left), strict=True))
                over_time = piece.every_step
                hidden = tf.expand_dims(hidden, 1) if over_time else hidden
        return {OUTPUT: tf.squeeze(hidden, 1) if over_time else hidden, **after}


def _pieces(source: KerasSource) -> list[_Piece]:
    found: list[_Piece] = []
    names: Counter[str] = Counter()
    over_time = True
    if len(source.inputs()) != 1 or len(source.outputs()) != 1:
        raise _refusal(source, "it has several inputs or outputs", "give it one of each")
    for layer in flatten(source.model):
        if type(layer).__name__ == "Masking" or getattr(layer, "mask_zero", False):
            raise _refusal(
                source,
                f"layer {layer.name!r} ({type(layer).__name__}) masks steps",
                "build it without the mask, load the weights, and feed only the steps that count",
            )
    for layer, rank in _layers_in_line(source, source.model):
        kind = type(layer).__name__
        if not _is_recurrent(layer):
            if over_time and (why := _mixes_steps(layer, kind, rank)):
                raise _refusal(source, f"layer {layer.name!r} ({kind}) {why}")
            found.append(_Piece(layer))
            continue
        if why := _has_other_states(layer, kind, over_time):
            raise _refusal(source, f"layer {layer.name!r} ({kind}) {why}")
        over_time = bool(layer.return_sequences)
        names[layer.name] += 1
        prefix = _identifier(layer.name if names[layer.name] == 1 else f"{layer.name}_{names[layer.name]}")
        sizes = [int(size) for size in tensorflow_import.tensorflow().nest.flatten(layer.cell.state_size)]
        is_tanh = kind == "SimpleRNN" and getattr(layer.cell.activation, "__name__", "") == "tanh"
        states = (
            State(f"{prefix}_{name}", size, is_tanh) for name, size in zip(_STATE_NAMES[kind], sizes, strict=True)
        )
        found.append(_Piece(layer, tuple(states), over_time))
    if not any(piece.states for piece in found):
        raise _refusal(source, "it has no recurrent layer", "leave `recurrent` out")
    return found


def _layers_in_line(source: KerasSource, model: KerasLayer) -> Iterator[tuple[KerasLayer, int]]:
    """Yield the layers of a model and its nested models in order, each with the rank of its input."""
    graph = getattr(model, "_functional", None) or model  # the graph inside a Sequential model of Keras 3
    by_depth: Mapping[int, Sequence[_Node]] = getattr(graph, _NODES)
    for depth in sorted(by_depth, reverse=True):
        nodes = [node for node in by_depth[depth] if not node.is_input]
        if not nodes and len(by_depth[depth]) == 1:
            continue
        inputs = _inputs_of(nodes[0]) if nodes else []
        if len(by_depth[depth]) != 1 or len(inputs) != 1:
            names = ", ".join(repr(_layer_of(node).name) for node in by_depth[depth])
            raise _refusal(source, f"its layers are not in a line, at {names}")
        layer = _layer_of(nodes[0])
        if hasattr(layer, _NODES) or hasattr(layer, "_functional"):
            yield from _layers_in_line(source, layer)
        else:
            yield layer, len(inputs[0].shape)


def _inputs_of(node: _Node) -> Sequence[SymbolicTensor]:
    """Return the input tensors of a node of either generation."""
    return list(getattr(node, "input_tensors" if _is_of_keras3(node) else "keras_inputs"))


def _layer_of(node: _Node) -> KerasLayer:
    layer: KerasLayer = getattr(node, "operation" if _is_of_keras3(node) else "layer")
    return layer


def _is_of_keras3(node: _Node) -> bool:
    return hasattr(node, "operation")


def _is_recurrent(layer: KerasLayer) -> TypeGuard[RecurrentLayer]:
    return hasattr(layer, "cell")


def _mixes_steps(layer: KerasLayer, kind: str, rank: int) -> str | None:
    """Return why a layer does not work on each time step by itself; None if it does."""
    if kind == "PReLU":
        shared = getattr(layer, "shared_axes", None) or ()
        return None if 1 in shared else "has weights for each step; share them (shared_axes=[1])"
    if kind in _OVER_LAST_AXIS:
        axis = getattr(layer, "axis", None)
        axes = [axis] if isinstance(axis, int) else list(axis or ())
        return None if all(each in (-1, rank - 1) for each in axes) else "works over several steps (axis)"
    return None if kind in _OF_ONE_STEP else "does not work on each time step by itself"


def _has_other_states(layer: RecurrentLayer, kind: str, over_time: bool) -> str | None:
    """Return why the states of a recurrent layer cannot be inputs and outputs; None if they can."""
    if kind not in _STATE_NAMES:
        return "is none of LSTM, GRU and SimpleRNN"
    if not over_time:
        return "reads what an earlier layer made of the whole sequence"
    if layer.go_backwards:
        return "reads the sequence backwards"
    if layer.return_state:
        return "yields its states (return_state)"
    return "takes steps first (time_major)" if getattr(layer, "time_major", False) else None


def _takes_training(layer: KerasLayer) -> bool:
    return bool(getattr(layer, "_call_has_training_arg", False) or getattr(layer, "_expects_training_arg", False))


def _refusal(source: KerasSource, why: str, cure: str = _CURE) -> ModelError:
    return ModelError(f"{source.name} cannot be written as one time step: {why}; {cure}.")


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)
