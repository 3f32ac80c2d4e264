"""A model as a list of calls of C functions, with everything that they need worked out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

CType = Literal["int8_t", "float", "int32_t"]

ITEM_BYTES: dict[CType, int] = {"int8_t": 1, "float": 4, "int32_t": 4}


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that the program computes or is given.

    Attributes:
        name: in the file.
        shape: of the tensor.
        ctype: of its elements.
        scale: float32; 0: it is not quantised.
        zero_point: of int8.
    """

    name: str
    shape: tuple[int, ...]
    ctype: CType
    scale: float
    zero_point: int

    @property
    def count(self) -> int:
        """Of its elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """In memory."""
        return self.count * ITEM_BYTES[self.ctype]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A constant array of a step.

    Attributes:
        role: what it is to the step, the end of its name in C: ``weights``.
        values: int8, uint8, int32 or float32; written in one dimension.
    """

    role: str
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Address:
    """The address of another struct of parameters, written before the one that has it."""

    struct: Struct


Field: TypeAlias = "int | float | str | tuple[int, ...] | Table | Address"
"""A number, the name of a C constant, numbers of an array, a constant array, or another struct."""


@dataclass(frozen=True, eq=False, slots=True)
class Struct:
    """The parameters of a step: the type's name in C, and its fields in the order of their declaration."""

    name: str
    fields: tuple[tuple[str, Field], ...]

    def tables(self) -> Iterator[Table]:
        """The constant arrays that it points to."""
        for _, field in self.fields:
            if isinstance(field, Table):
                yield field
            elif isinstance(field, Address):
                yield from field.struct.tables()


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One operator.

    Attributes:
        operator: its name in the schema.
        layer: the tensor that it yields, which carries the Keras layer's name.
        function: that computes it, in C; empty: its output is its input, seen in another shape.
        struct: its parameters; None where the function takes none.
        inputs: numbers of values, in the order of the function's arguments.
        outputs: the same.
        source: the C file that has the function, without its ending.
        header: that declares it.
        scratch_bytes: memory that it needs beside its values.
        in_place: places among ``inputs`` of those whose memory the first output may take over.
        takes_scratch: whether the function's last argument is scratch memory.
        form: how its weights are stored, in words; empty: it has none.
        kernel: the number of its sparse kernel; 0: it is dense.
    """

    operator: str
    layer: str
    function: str
    struct: Struct | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: str
    header: str
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    takes_scratch: bool = False
    form: str = ""
    kernel: int = 0

    @property
    def is_view(self) -> bool:
        """Whether nothing is computed: the output is the input's memory."""
        return not self.function

    @property
    def constant_bytes(self) -> int:
        """Of the arrays that it reads."""
        return 0 if self.struct is None else sum(table.values.nbytes for table in self.struct.tables())


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """A whole model.

    Attributes:
        values: every tensor that is computed or given; steps and ports name them by their place.
        steps: in order.
        inputs: of the model, places in ``values``.
        outputs: the same.
    """

    values: tuple[Value, ...]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def constant_bytes(self) -> int:
        """Of all arrays of all steps."""
        return sum(step.constant_bytes for step in self.steps)
