"""Follow channels through the layers of a Keras model: which weights make, carry and read each.

A channel whose weights are zero must be exactly zero in each tensor up to the layers that read it. A gate is the
exception: a constant may be multiplied onto a tensor that is zero there. So each layer class has a rule here, and a
layer without one refuses the channels that it takes and makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tflite_sparse.pruning.channel_ties import Ties
from tflite_sparse.sources.calls import Call, CallGraph, Tensor
from tflite_sparse.sources.keras_types import Variable

_ZERO_AT_ZERO = frozenset(
    ("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "hard_silu")
) | frozenset(("hard_swish", "tanh", "hard_tanh", "softsign", "hard_shrink", "soft_shrink", "tanh_shrink"))
_CONSTANT_AT_ZERO = frozenset(("sigmoid", "hard_sigmoid", "log_sigmoid", "softplus", "exponential"))
_OF_KERAS = ("keras", "tf_keras", "tensorflow")  # modules of activations that are what their names say
_IS_OUTPUT = 1  # outranks other reasons: the user knows that layer


@dataclass(frozen=True, eq=False)
class Channels:
    """The labels of a tensor's last axis, and whether a masked channel is zero in it; else it is another constant."""

    labels: np.ndarray
    is_zero: bool = True


@dataclass(frozen=True, eq=False)
class Weight:
    """A variable along one axis of which channels lie.

    Attributes:
        call: of its layer.
        variable: the weight.
        axis: negative.
        labels: of the entries along that axis.
    """

    call: Call
    variable: Variable
    axis: int
    labels: np.ndarray


@dataclass(eq=False)
class Flow:
    """What was found: weights that make channels, that carry them on, and that read them.

    Attributes:
        ties: which channels are the same.
        filters: kernels with the channels that they make; each is a filter.
        carriers: biases, normalisation and depthwise kernels: they must be zero too.
        readers: kernels with the channels that they read.
    """

    ties: Ties = field(default_factory=Ties)
    filters: list[Weight] = field(default_factory=list)
    carriers: list[Weight] = field(default_factory=list)
    readers: list[Weight] = field(default_factory=list)

    def refused(self, call: Call, inputs: Sequence[Channels], reason: str) -> list[Channels]:
        """Refuse the channels that a call takes and makes."""
        made = [Channels(self.ties.fresh(_width(tensor))) for tensor in call.outputs]
        for each in (*inputs, *made):
            self.ties.refuse(each.labels, reason)
        return made


def follow(graph: CallGraph) -> Flow:
    """Return what the layers of a model do with its channels."""
    flow = Flow()
    known: dict[Tensor, Channels] = {}
    for tensor in graph.inputs:
        known[tensor] = Channels(flow.ties.fresh(_width(tensor)))
        flow.ties.refuse(known[tensor].labels, "channels are tied to an input of the model", _IS_OUTPUT)
    times = Counter(id(call.layer) for call in graph.calls)
    for call in graph.calls:
        inputs = [known[tensor] for tensor in call.inputs]
        is_shared = times[id(call.layer)] > 1 and bool(getattr(call.layer, "weights", ()))
        known |= zip(call.outputs, _made(flow, call, inputs, is_shared=is_shared), strict=True)
    for tensor in graph.outputs:
        flow.ties.refuse(known[tensor].labels, "channels reach an output of the model", _IS_OUTPUT)
    return flow


def _made(flow: Flow, call: Call, inputs: Sequence[Channels], *, is_shared: bool) -> list[Channels]:
    if is_shared:
        return flow.refused(call, inputs, f"{call.name} is called more than once")
    rule = _RULES.get(call.kind)
    is_last = getattr(call.layer, "data_format", None) in (None, "channels_last")
    if rule is not None and is_last and len(call.outputs) == 1:
        made = rule(flow, call, inputs)
        if made is not None and made.labels.size == _width(call.outputs[0]):
            return [made]
    return flow.refused(call, inputs, f"channels meet {call.name} ({type(call.layer).__name__})")


_Rule = Callable[[Flow, Call, Sequence[Channels]], Channels | None]
"""Returns the channels of the output; None where the layer is of no known form, before it changes the flow."""


def _convolution(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    layer: Any = call.layer
    return _filters(flow, call, inputs, layer.kernel, (-1, -2))


def _transposed(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    layer: Any = call.layer
    return _filters(flow, call, inputs, layer.kernel, (-2, -1))


def _filters(
    flow: Flow, call: Call, inputs: Sequence[Channels], kernel: Variable, axes: tuple[int, int]
) -> Channels | None:
    """Apply a kernel whose output and input channels lie along ``axes``, then bias and activation.

    A kernel of a convolution in groups reads fewer channels than there are: it is of no known form.
    """
    read = inputs[0]
    if read.labels.size != kernel.shape[axes[1]]:
        return None
    _needs_zero(flow, call, read)
    flow.readers.append(Weight(call, kernel, axes[1], read.labels))
    made = Channels(flow.ties.fresh(int(kernel.shape[axes[0]])))
    flow.filters.append(Weight(call, kernel, axes[0], made.labels))
    return _with_bias(flow, call, made)


def _depthwise(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    layer: Any = call.layer
    kernel = layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel  # Keras 2, Keras 3
    made = _multiplied(flow, call, inputs[0], kernel)
    return None if made is None else _with_bias(flow, call, made)


def _separable(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    layer: Any = call.layer
    between = _multiplied(flow, call, inputs[0], layer.depthwise_kernel)
    return None if between is None else _filters(flow, call, [between], layer.pointwise_kernel, (-1, -2))


def _multiplied(flow: Flow, call: Call, read: Channels, kernel: Variable) -> Channels | None:
    """Apply a depthwise kernel ``(..., channels, multiplier)``: output ``c * multiplier + m`` is made of channel c."""
    if read.labels.size != kernel.shape[-2]:
        return None
    _needs_zero(flow, call, read)
    flow.carriers.append(Weight(call, kernel, -2, read.labels))
    return Channels(read.labels.repeat(kernel.shape[-1]))


def _with_bias(flow: Flow, call: Call, made: Channels) -> Channels:
    layer: Any = call.layer
    if getattr(layer, "bias", None) is not None:
        flow.carriers.append(Weight(call, layer.bias, -1, made.labels))
    return _activated(flow, call, made, getattr(layer, "activation", None))


def _normalised(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    """Apply batch normalisation. With ``gamma`` zero the output is ``beta``; without one it needs a zero mean as well.

    The moving mean of a channel that is zero stays zero once it is.
    """
    layer: Any = call.layer
    axes = [int(axis) for axis in np.atleast_1d(layer.axis)]
    read = inputs[0]
    if axes not in ([-1], [len(call.inputs[0].shape) - 1]):
        return None
    if layer.gamma is None:
        _needs_zero(flow, call, read)
    weights = (layer.moving_mean if layer.gamma is None else layer.gamma, layer.beta)
    flow.carriers += [Weight(call, weight, -1, read.labels) for weight in weights if weight is not None]
    return Channels(read.labels)


def _activation(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels:
    layer: Any = call.layer
    return _activated(flow, call, inputs[0], getattr(layer, "activation", layer))


def _activated(flow: Flow, call: Call, channels: Channels, activation: object) -> Channels:
    name = _name_of(activation)
    if name in _ZERO_AT_ZERO:
        return channels
    if name in _CONSTANT_AT_ZERO:
        return Channels(channels.labels, is_zero=False)
    flow.ties.refuse(channels.labels, f"channels pass the activation {name} of {call.name}")
    return channels


def _name_of(activation: Any) -> str:
    """Return the name of an activation, of a function or a layer; a function of the user's is ``own ...``."""
    if activation is None:
        return "linear"
    kind = type(activation).__name__
    own = activation if hasattr(activation, "__name__") else type(activation)
    if str(own.__module__).partition(".")[0] not in _OF_KERAS:
        return f"own {own.__name__}"
    if kind == "Activation":
        return _name_of(activation.activation)
    if kind == "ReLU":
        return "relu with a threshold" if activation.threshold else "relu"
    return {"LeakyReLU": "leaky_relu", "ELU": "elu", "Softmax": "softmax"}.get(kind, str(own.__name__))


def _tied(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    """Add or subtract tensors of equal channels. With a constant as the other operand a zero becomes a constant."""
    if len({each.labels.size for each in inputs}) != 1:
        return None
    if len(inputs) == 1:
        return Channels(inputs[0].labels, is_zero=False)
    for each in inputs:
        _needs_zero(flow, call, each)
        flow.ties.tie(inputs[0].labels, each.labels)
    return inputs[0]


def _gated(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    """Multiply tensors or a constant: zero where one of them is. An operand of one channel is multiplied onto all."""
    widest = max((each.labels.size for each in inputs), default=0)
    wide = [each for each in inputs if each.labels.size == widest]
    if not inputs or any(each.labels.size not in (1, widest) for each in inputs):
        return None
    for each in inputs:
        if each.labels.size != widest:
            flow.ties.refuse(each.labels, f"one channel is multiplied onto all in {call.name}")
    for each in wide:
        flow.ties.tie(wide[0].labels, each.labels)
    return Channels(wide[0].labels, is_zero=any(each.is_zero for each in wide))


def _concatenated(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    layer: Any = call.layer
    if len(inputs) < 2 or not isinstance(getattr(layer, "axis", None), int):
        return None
    if layer.axis not in (-1, len(call.inputs[0].shape) - 1):
        return _tied(flow, call, inputs)
    for each in inputs:
        _needs_zero(flow, call, each)
    return Channels(np.concatenate([each.labels for each in inputs]))


def _passed(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels:
    del flow, call
    return inputs[0]


def _padded(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels:
    _needs_zero(flow, call, inputs[0])
    return inputs[0]


def _reshaped(flow: Flow, call: Call, inputs: Sequence[Channels]) -> Channels | None:
    """Flatten, or reshape so that whole rows of channels follow each other: feature i is channel i mod C."""
    del flow
    read, width = inputs[0], _width(call.outputs[0])
    if not read.labels.size or not width or width % read.labels.size:
        return None
    return Channels(np.tile(read.labels, width // read.labels.size), read.is_zero)


def _needs_zero(flow: Flow, call: Call, channels: Channels) -> None:
    if not channels.is_zero:
        flow.ties.refuse(channels.labels, f"masked channels reach {call.name} as a constant other than zero")


def _width(tensor: Tensor) -> int:
    """Return the number of channels of a tensor; 0 if it is open, or has no axis but the batch."""
    return (tensor.shape[-1] or 0) if len(tensor.shape) > 1 else 0


_DIMENSIONS = ("1D", "2D", "3D")
_RULES: dict[str, _Rule] = {
    "Dense": _convolution,
    **{f"Conv{d}": _convolution for d in _DIMENSIONS},
    **{f"Conv{d}Transpose": _transposed for d in _DIMENSIONS},
    **{f"DepthwiseConv{d}": _depthwise for d in _DIMENSIONS},
    **{f"SeparableConv{d}": _separable for d in _DIMENSIONS},
    "BatchNormalization": _normalised,
    **dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"), _activation),
    **dict.fromkeys(("Add", "Subtract"), _tied),
    "Multiply": _gated,
    "Concatenate": _concatenated,
    **dict.fromkeys(("Flatten", "Reshape"), _reshaped),
    **dict.fromkeys(("Dropout", "GaussianDropout", "ActivityRegularization", "Identity"), _passed),
    **{f"SpatialDropout{d}": _passed for d in _DIMENSIONS},
    **{f"{kind}Pooling{d}": _passed for d in _DIMENSIONS for kind in ("Max", "Average", "GlobalMax", "GlobalAverage")},
    **{f"{kind}{d}": _padded for d in _DIMENSIONS for kind in ("ZeroPadding", "Cropping", "UpSampling")},
    "Resizing": _passed,
}
"""What layers do, by class, and operations such as ``a + b``: see ``Call.kind``."""
