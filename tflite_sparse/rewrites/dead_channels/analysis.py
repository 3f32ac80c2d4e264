"""What an analysis of a graph's channels collects, operator by operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tflite_sparse.flatbuffer.graph import Graph, indices, shape_of, signature_of
from tflite_sparse.flatbuffer.types import Operator
from tflite_sparse.rewrites.dead_channels.channels import Channels, components, rebuilt_constants
from tflite_sparse.rewrites.dead_channels.kernels import Constant, Constants, Kernel
from tflite_sparse.rewrites.dead_channels.numbers import Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """An operator that sums over the channels of its source: convolution, transposed convolution, fully connected.

    Attributes:
        kernel: of the operator; output channels on its first axis, features on its last one.
        source: the activation that it reads.
        result: the activation that it yields.
        reads: whether an output needs a channel of the source, bool (outputs, channels): a weight is not 0, and the
            channel is no constant that the bias can take.
        folded: by feature, what a constant that the bias takes adds to each weight's factor, int64.
        alike: sets of channels of the source that have one value, whose weights can be added up; int64.
    """

    kernel: Kernel
    source: int
    result: int
    reads: np.ndarray
    folded: np.ndarray
    alike: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Depthwise:
    """A depthwise convolution, whose kernel is cut with its result.

    Attributes:
        kernel: of the operator; output channels on its last axis.
        source: the activation that it reads.
        result: the activation that it yields.
    """

    kernel: Kernel
    source: int
    result: int


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A constant with a value for each channel of an activation on its last axis, as of an ADD.

    Attributes:
        operator: that reads it.
        constant: the operand.
        result: the activation whose channels it follows.
    """

    operator: Operator
    constant: Constant
    result: int


@dataclass(frozen=True, slots=True, eq=False)
class SizeOperand:
    """The constant that holds the number of channels of an activation, such as the shape of a RESHAPE.

    Attributes:
        operator: that reads it: a RESHAPE, a TRANSPOSE_CONV, or the PACK or CONCATENATION in front of either.
        position: which input it is.
        result: the activation.
    """

    operator: Operator
    position: int
    result: int


Edit = Product | Depthwise | Operand | SizeOperand


@dataclass(slots=True, eq=False)
class Analysis:
    """What is known of the channels of a graph; filled in execution order, before anything is edited.

    Attributes:
        graph: the graph.
        channels: their numbers.
        staying: channels that must stay and whose value counts as not known, int64, by activation.
        constants: finds kernels.
        producers: the operator that yields each tensor.
        value: the stored value of each channel if it is constant, float64; NaN if it is not or is not known.
        alike: sets of channels, by activation: those of a set have one value that kernels do not agree on.
        least: sets of channels, and how many of each must stay, for the sums of weights of those that go.
        blocked: whether a channel must stay, for a reason outside of the table of operators.
        keepers: blocked channels, and what keeps them: the kind of an operator, or other words.
        ties: pairs of arrays of channels that can only go together.
        edits: the operators that are edited if channels of their activations go.
        multiples: the number of channels that a built-in kernel computes together, by its result: it rounds those that
            are left over in another way, so that a channel must not move from one part to the other.
    """

    graph: Graph
    channels: Channels
    staying: Mapping[int, np.ndarray] = field(default_factory=dict)
    constants: Constants = field(init=False)
    producers: dict[int, Operator] = field(init=False)
    numbers: dict[int, Numbers | None] = field(init=False)
    value: np.ndarray = field(init=False)
    blocked: np.ndarray = field(init=False)
    keepers: list[tuple[np.ndarray, str]] = field(default_factory=list)
    alike: dict[int, list[np.ndarray]] = field(default_factory=dict)
    least: list[tuple[np.ndarray, int]] = field(default_factory=list)
    ties: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    multiples: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph, total = self.graph, self.channels.total
        self.constants = Constants(graph, graph.uses(), rebuilt_constants(graph))
        self.numbers = {index: Numbers.of(graph.tensor(index)) for index in self.channels.first}
        self.producers = graph.producers()
        self.value, self.blocked = np.full(total, np.nan), np.zeros(total, np.bool_)
        for index in self.channels.first:
            open_channels = signature_of(graph.tensor(index))[-1] < 0
            is_unused = index not in self.producers and index not in self.constants.uses
            if self.numbers[index] is None or graph.tensor(index).isVariable or open_channels or is_unused:
                self.block(index, "a tensor whose channels are not known")
        for index in (*indices(graph.subgraph.inputs), *indices(graph.subgraph.outputs)):
            self.block(index, "an input or output of the graph")
        for tensor, channels in self.staying.items():
            if tensor in self.channels:
                self._keep(self.channels.of_tensor(tensor)[channels], "a failed comparison")

    @property
    def is_quantised(self) -> bool:
        """Whether some activation is quantised, so that outputs must stay equal to the bit."""
        return any(numbers is not None and numbers.is_quantised for numbers in self.numbers.values())

    def block(self, tensor: int, keeper: str) -> None:
        """Keep all channels of a tensor, if it has some.

        Args:
            tensor: the tensor.
            keeper: the kind of the operator that keeps them, or other words.
        """
        if tensor in self.channels:
            self._keep(self.channels.of_tensor(tensor), keeper)

    def _keep(self, channels: np.ndarray, keeper: str) -> None:
        self.blocked[channels] = True
        self.keepers.append((channels, keeper))

    def known(self, tensor: int) -> np.ndarray:
        """Return the stored values of a tensor's channels; NaN where they vary or are not known."""
        return np.asarray(self.value[self.channels.of_tensor(tensor)])

    def learn(self, tensor: int, values: np.ndarray) -> None:
        """Note the stored values of a tensor's channels; NaN where they vary or are not known."""
        numbers = self.channels.of_tensor(tensor)
        self.value[numbers] = values
        if tensor in self.staying:
            self.value[numbers[self.staying[tensor]]] = np.nan

    def tie(self, one: np.ndarray, two: np.ndarray) -> None:
        """Note that each channel of ``one`` goes only together with that of ``two``."""
        self.ties.append((one, two))

    def same(self, source: int, result: int) -> bool:
        """Tie the channels of two activations one to one; return whether both have the same number of them."""
        if source not in self.channels or result not in self.channels:
            return False
        if self.channels.sizes[source] != self.channels.sizes[result]:
            return False
        self.tie(self.channels.of_tensor(source), self.channels.of_tensor(result))
        return True

    def labels(self) -> np.ndarray:
        """Return the group of each channel: those that can only go together have one label."""
        return components(self.channels.total, self.ties)

    def numbers_of(self, *tensors: int) -> list[Numbers] | None:
        """Return the numbers of activations; None if one of them has no channels or numbers that are not known."""
        found = [self.numbers.get(tensor) for tensor in tensors]
        return None if any(each is None for each in found) else [each for each in found if each is not None]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor, -1 for sizes that are open until the file runs."""
        return signature_of(self.graph.tensor(tensor))

    def rank(self, tensor: int) -> int:
        """Return the number of axes of a tensor."""
        return len(shape_of(self.graph.tensor(tensor)))

    def integers(self, tensor: int) -> np.ndarray | None:
        """Return the values of a constant of sizes, axes or paddings, int64; None if it is no constant or empty."""
        values = self.graph.constant(tensor) if tensor >= 0 else None
        return None if values is None or values.dtype.kind not in "iu" else values.astype(np.int64)
