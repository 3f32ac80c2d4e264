"""The kernel and bias of an operator that multiplies, where both are constants that this package can cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.flatbuffer.graph import Graph, Use, indices, scales_of, zero_points_of
from tflite_sparse.flatbuffer.types import Operator
from tflite_sparse.rewrites.dead_channels.numbers import Numbers


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant that one operator reads, directly or through a DEQUANTIZE.

    Attributes:
        tensor: that holds the values.
        position: which input of the operator it is.
        rebuilt: the output of the DEQUANTIZE; None: the operator reads the constant itself.
    """

    tensor: int
    position: int
    rebuilt: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """Kernel and bias of an operator.

    Attributes:
        operator: it.
        constant: the kernel.
        values: of the kernel, as stored.
        axis: of the output channels.
        bias: None: there is none.
        bias_values: as stored; zeros without a bias. Shape (output channels,).
    """

    operator: Operator
    constant: Constant
    values: np.ndarray
    axis: int
    bias: Constant | None
    bias_values: np.ndarray

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return int(self.values.shape[self.axis])


@dataclass(frozen=True, slots=True)
class Constants:
    """Finds the constants that operators of a graph read.

    Attributes:
        graph: the graph.
        uses: its readers by tensor.
        rebuilt: the constant behind each tensor that a DEQUANTIZE makes of one.
    """

    graph: Graph
    uses: dict[int, list[Use]]
    rebuilt: dict[int, int]

    def kernel(
        self, operator: Operator, position: int, bias_position: int, axis: int, source: Numbers
    ) -> Kernel | None:
        """Return kernel and bias of an operator; None if they cannot be cut.

        Args:
            operator: the operator.
            position: of the kernel among its inputs.
            bias_position: of the bias.
            axis: of the output channels in the kernel.
            source: numbers of the activation that the kernel multiplies.
        """
        found = self.operand(operator, position)
        if found is None:
            return None
        constant, values = found
        if values.ndim < 2 or not self._multiplies(constant, values, axis, source):
            return None
        outputs, bias, bias_values = values.shape[axis], None, np.zeros(values.shape[axis])
        if bias_position < len(operator.inputs) and int(operator.inputs[bias_position]) >= 0:
            read = self.operand(operator, bias_position)
            if read is None or read[1].shape != (outputs,) or not _is_bias(read[1], source):
                return None
            bias, bias_values = read
        return Kernel(operator, constant, values, axis, bias, bias_values)

    def operand(self, operator: Operator, position: int) -> tuple[Constant, np.ndarray] | None:
        """Return a constant that an operator reads, also behind a DEQUANTIZE, with its values; None if it is none.

        Args:
            operator: the operator.
            position: of the constant among its inputs.
        """
        index = indices(operator.inputs)[position]
        if index < 0:
            return None
        origin = self.rebuilt.get(index)
        values = self.graph.constant(index if origin is None else origin)
        if values is None:
            return None
        return Constant(index if origin is None else origin, position, None if origin is None else index), values

    def _multiplies(self, constant: Constant, values: np.ndarray, axis: int, source: Numbers) -> bool:
        """Return whether a stored 0 of the kernel is a weight of 0, and its scales can be cut with it."""
        tensor = self.graph.tensor(constant.tensor)
        scales, outputs = scales_of(tensor).size, values.shape[axis]
        if np.any(zero_points_of(tensor)) or scales not in (0, 1, outputs):
            return False
        if scales > 1 and (tensor.quantization is None or tensor.quantization.quantizedDimension != axis):
            return False
        if not source.is_float:
            return constant.rebuilt is None and values.dtype == np.int8 and scales > 0
        # Where int8 weights meet float32 activations directly, the range of all channels sets the activations' scale.
        is_float = values.dtype.kind == "f" or (constant.rebuilt is not None and values.dtype == np.int8 and scales > 0)
        return is_float and (values.dtype.kind != "f" or bool(np.isfinite(values).all()))


def _is_bias(values: np.ndarray, source: Numbers) -> bool:
    if source.is_float:
        return values.dtype.kind == "f" and bool(np.isfinite(values).all())
    return values.dtype in (np.int32,) if source.folds else values.dtype in (np.int32, np.int64)
