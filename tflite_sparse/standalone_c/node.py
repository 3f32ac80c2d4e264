"""One operator of a graph, as the functions that read operators see it: checked, and in NumPy's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_sparse.errors import OperatorRefusedError
from tflite_sparse.flatbuffer.graph import Graph, indices, quantisation_of, scales_of, text
from tflite_sparse.flatbuffer.types import Operator, Tensor
from tflite_sparse.rewrites import fused_range
from tflite_sparse.standalone_c.core import Core
from tflite_sparse.standalone_c.program import Value
from tflite_sparse.standalone_c.values import quantisation_refusal, refusal


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """An operator.

    Attributes:
        graph: that it is of.
        operator: in the graph.
        layer: its name in words for users, see :mod:`tflite_sparse.standalone_c.layer_names`.
        numbers: of the program's values, by index of the tensor.
        values: of the program, by number.
        core: the CPU that the program is for.
    """

    graph: Graph
    operator: Operator
    layer: str
    numbers: Mapping[int, int]
    values: Sequence[Value]
    core: Core

    @property
    def name(self) -> str:
        """Of the operator in the schema, or the code of a custom one."""
        return self.graph.operator_name(self.operator)

    @property
    def options(self) -> Any:
        """Its builtin options.

        Raises:
            OperatorRefusedError: it has none.
        """
        if self.operator.builtinOptions is None:
            raise self.refused("it has no options")
        return self.operator.builtinOptions

    @property
    def inputs(self) -> list[int]:
        """Indices of the tensors that it reads, -1 for one that is left out."""
        return indices(self.operator.inputs)

    def refused(self, reason: str) -> OperatorRefusedError:
        """The error that says why it cannot be computed. What it reads beside constants may be of another layer."""
        constants = (index for position, index in enumerate(self.inputs) if self.is_constant(position))
        present = [index for index in (*indices(self.operator.outputs), *constants) if index >= 0]
        names = tuple(text(self.graph.tensor(index).name) for index in present) or ("",)
        return OperatorRefusedError(f"{self.name} of {self.layer!r}: {reason}", (names,))

    def has_input(self, position: int) -> bool:
        """Whether it has an input there."""
        return len(self.inputs) > position and self.inputs[position] >= 0

    def tensor(self, position: int) -> Tensor:
        """One of the tensors that it reads."""
        if not self.has_input(position):
            raise self.refused(f"it has no input {position}")
        return self.graph.tensor(self.inputs[position])

    def number(self, position: int) -> int:
        """The number of the value that it reads there.

        Raises:
            OperatorRefusedError: it is a constant, or its type is not supported.
        """
        tensor = self.tensor(position)
        found = self.numbers.get(self.inputs[position])
        if found is None:
            raise self.refused(f"its input {position} {self._why_not(tensor)}")
        return found

    def value(self, position: int) -> Value:
        """The value that it reads there."""
        return self.values[self.number(position)]

    def output_number(self, position: int = 0) -> int:
        """The number of the value that it yields."""
        outputs = indices(self.operator.outputs)
        if len(outputs) <= position or outputs[position] not in self.numbers:
            why = self._why_not(self.graph.tensor(outputs[position])) if len(outputs) > position else "is not there"
            raise self.refused(f"its output {why}")
        return self.numbers[outputs[position]]

    def output(self, position: int = 0) -> Value:
        """The value that it yields."""
        return self.values[self.output_number(position)]

    def int8_value(self, position: int) -> Value:
        """The int8 value that it reads there."""
        return self._int8(self.value(position), f"input {position}")

    def int8_output(self, position: int = 0) -> Value:
        """The int8 value that it yields."""
        return self._int8(self.output(position), "output")

    def constant(self, position: int) -> np.ndarray:
        """The constant that it reads there, shape as stored."""
        self.tensor(position)
        values = self.graph.constant(self.inputs[position])
        if values is None:
            raise self.refused(f"its input {position} is no dense constant")
        return values

    def is_constant(self, position: int) -> bool:
        """Whether it reads a constant there."""
        return self.has_input(position) and self.graph.is_constant(self.inputs[position])

    def constant_quantisation(self, position: int) -> tuple[float, int]:
        """Scale and zero point of an int8 constant."""
        tensor = self.tensor(position)
        why = quantisation_refusal(tensor)
        if why is not None:
            raise self.refused(f"its input {position} {why}")
        return quantisation_of(tensor)

    def integers(self, position: int) -> list[int]:
        """The integers of a constant vector or scalar."""
        values = self.constant(position)
        if values.dtype not in (np.int32, np.int64):
            raise self.refused(f"its input {position} is no constant of integers")
        return [int(each) for each in values.reshape(-1)]

    def filter_scales(self, position: int, count: int, axis: int) -> np.ndarray:
        """The scales of constant int8 weights, float32: one, or one for each of ``count`` outputs along ``axis``."""
        tensor = self.tensor(position)
        scales = scales_of(tensor)
        points = [] if tensor.quantization is None else indices(tensor.quantization.zeroPoint)
        along = 0 if tensor.quantization is None else int(tensor.quantization.quantizedDimension)
        if scales.size not in (1, count) or any(points) or (scales.size > 1 and along != axis):
            raise self.refused("its weights have zero points, or scales that are not one for each output")
        if not np.all(np.isfinite(scales) & (scales > 0)):
            raise self.refused("a scale of its weights is not positive")
        return scales

    def bias(self, position: int, count: int) -> np.ndarray | None:
        """A constant bias, int32 (count,); None where it has none."""
        if not self.has_input(position):
            return None
        values = self.constant(position)
        if values.dtype != np.int32 or values.size != count:
            raise self.refused(f"its bias is no int32 vector of {count}")
        return values.reshape(-1)

    def clamp(self, activation: int) -> tuple[int, int]:
        """The least and largest output that a fused activation leaves."""
        output = self.int8_output()
        found = fused_range.of(activation, output.scale, output.zero_point)
        if found is None:
            raise self.refused(f"its fused activation, number {activation}, is not supported")
        return found

    @staticmethod
    def _why_not(tensor: Tensor) -> str:
        return refusal(tensor) or "is a constant, or a shape that is worked out"

    def _int8(self, value: Value, what: str) -> Value:
        if value.ctype != "int8_t":
            raise self.refused(f"its {what} is {value.ctype}, int8 is supported")
        return value
