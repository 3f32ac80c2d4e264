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


TableKey: TypeAlias = tuple[str, bool, bytes]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A constant array of a step.

    Attributes:
        role: what it is to the step, the end of its name in C: ``weights``.
        values: of a type that :mod:`tflite_sparse.standalone_c.c_text` knows; written in one dimension.
        aligned: whether it lies at a multiple of 4 bytes.
    """

    role: str
    values: np.ndarray
    aligned: bool = False

    @property
    def key(self) -> TableKey:
        """Equal for equal arrays."""
        return self.values.dtype.name, self.aligned, self.values.tobytes()


Field: TypeAlias = "int | float | str | tuple[int, ...] | Table"
"""A number, the name of a C constant, numbers of an array, or a constant array."""


@dataclass(frozen=True, eq=False, slots=True)
class Struct:
    """The parameters of a call: the type's name in C, and its fields in the order of their declaration."""

    name: str
    fields: tuple[tuple[str, Field], ...]

    def number(self, name: str) -> int:
        """A field that is a whole number."""
        found = self._field(name)
        assert isinstance(found, int)
        return found

    def numbers(self, name: str) -> tuple[int, ...]:
        """A field that is an array of whole numbers."""
        found = self._field(name)
        assert isinstance(found, tuple)
        return found

    def constant(self, name: str) -> str:
        """A field that is the name of a constant in C."""
        found = self._field(name)
        assert isinstance(found, str)
        return found

    def table(self, name: str) -> np.ndarray:
        """The values of a field that is a constant array."""
        found = self._field(name)
        assert isinstance(found, Table)
        return found.values

    def with_numbers(self, **numbers: int) -> Struct:
        """The same with other whole numbers."""
        return Struct(self.name, tuple((name, numbers.get(name, field)) for name, field in self.fields))

    def _field(self, name: str) -> Field:
        return dict(self.fields)[name]


@dataclass(frozen=True, eq=False, slots=True)
class Operand:
    """What a call reads or writes.

    Attributes:
        of: the number of a value, or a constant.
        offset: in bytes, of where it begins.
    """

    of: int | Table
    offset: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """A call of a C function.

    Attributes:
        function: its name.
        struct: its parameters, the first argument.
        operands: the next arguments: inputs, then outputs.
        outputs: how many of them are outputs.
        takes_scratch: whether scratch memory is the last argument.
        pool: the parameters of a pool that it computes as well, the second argument; None: it has none.
    """

    function: str
    struct: Struct
    operands: tuple[Operand, ...]
    outputs: int = 1
    takes_scratch: bool = False
    pool: Struct | None = None

    @property
    def pools(self) -> bool:
        """Whether its function pools what a sparse convolution yields: bit 0 of what is compiled."""
        return ("pools", 1) in self.struct.fields

    def tables(self) -> Iterator[Table]:
        """The constant arrays that it reads."""
        yield from (field for _, field in self.struct.fields if isinstance(field, Table))
        yield from (operand.of for operand in self.operands if isinstance(operand.of, Table))


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One operator.

    Attributes:
        operator: its name in the schema.
        layer: a name that tells the Keras layer, mostly that of the tensor that it yields.
        inputs: numbers of the values that it reads.
        outputs: numbers of the values that it yields.
        calls: what computes it; none: its output is its input, seen in another shape.
        source: the C file that has the function, without its ending.
        header: that declares it.
        scratch_bytes: memory that it needs beside its values.
        in_place: places among ``inputs`` of those whose memory the first output may take over.
        form: how its weights are stored, in words; empty: it has none.
        kernel: the number of its sparse kernel; 0: it is dense.
        layout: the number of the layout of its dense weights; None: there is one layout.
        others: C files that its source needs, without their ending.
    """

    operator: str
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[Call, ...] = ()
    source: str = ""
    header: str = "tfls_operators.h"
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    form: str = ""
    kernel: int = 0
    layout: int | None = None
    others: tuple[str, ...] = ()

    @property
    def is_view(self) -> bool:
        """Whether nothing is computed: the output is the input's memory."""
        return not self.calls

    @property
    def constant_bytes(self) -> int:
        """Of the arrays that it reads."""
        return sum(table.values.nbytes for call in self.calls for table in call.tables())


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """A whole model.

    Attributes:
        values: every tensor that is computed or given; steps and ports name them by their place.
        steps: in order.
        inputs: of the model, places in ``values``.
        outputs: the same.
        input_names: as the signature has them, in the order of ``inputs``.
        output_names: the same.
        fits_helium: whether scratch memory is as large as kernels take it on a CPU with Helium.
    """

    values: tuple[Value, ...]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    fits_helium: bool

    @property
    def constant_bytes(self) -> int:
        """Of all arrays of all steps; equal ones are written once."""
        tables = (table for step in self.steps for call in step.calls for table in call.tables())
        return sum({table.key: table.values.nbytes for table in tables}.values())

    @property
    def masks(self) -> dict[str, int]:
        """What of the kernels the model uses: a bit for each, by the macro that leaves out the others."""
        steps = [step for step in self.steps if not step.is_view]
        found = {
            "TFLITE_SPARSE_KERNELS": sum(1 << kernel for kernel in {step.kernel for step in steps if step.kernel})
            + any(call.pools for step in steps if step.kernel for call in step.calls),
            "TFLS_LAYOUTS": sum(1 << each for each in {step.layout for step in steps if step.layout is not None}),
        }
        return {macro: mask for macro, mask in found.items() if mask}
