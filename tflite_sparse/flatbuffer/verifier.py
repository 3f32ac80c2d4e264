"""Check before reading that every offset, virtual table and length of a ``.tflite`` file stays inside it.

The generated reader follows every offset without a check. A small file could make it build a huge model: a hundred
graphs that point at one list of a hundred tensors are ten thousand tensors, and overlapping vectors may together claim
many times the bytes of the file. Writers share equal tables, so sharing is allowed. The limit applies to the number of
objects that the reader would build, each counted once for every reference.

No table of the schema contains itself, so the depth of the schema bounds every chain of offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from tflite_sparse.flatbuffer.schema_tables import UNIONS, Field, fields

OBJECTS_IN_ANY_FILE = 20_000
BYTES_PER_OBJECT = 4
"""Beyond :data:`OBJECTS_IN_ANY_FILE`, bytes of the file for each further object: an entry in a list of tables."""
MOST_OBJECTS = 2_000_000
"""Largest number of objects, for files of any size. A model of ten thousand operators has about 100,000."""

# The reader copies strings, and later code loops over long vectors: they count as more than one object.
_CHARACTERS_PER_OBJECT = 64
_VALUES_PER_OBJECT = 256
_INDICES_PER_OBJECT = 16
_HOLDERS_OF_INDICES = frozenset({"Operator", "SubGraph"})
_BULK = frozenset({"Buffer", "Uint8Vector", "Uint16Vector", "Int32Vector"})  # views of any length

_u16_pair = struct.Struct("<HH").unpack_from
_u32 = struct.Struct("<I").unpack_from
_i32 = struct.Struct("<i").unpack_from


class DamageError(Exception):
    """A fault of a file, without the file's name; callers that know the name raise a ``FlatbufferError``."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The arrangement of one kind of table by one virtual table."""

    table_bytes: int
    scalars: dict[int, int]  # offset in the table, by field number
    references: tuple[tuple[int, Field], ...]


def verify(data: memoryview) -> int:
    """Check the structure of a FlatBuffer whose root is a ``Model``.

    Time and memory are proportional to the tables of the file, not to its constants.

    Args:
        data: the whole file, as bytes.

    Returns:
        End of the FlatBuffer: the offset behind the last byte of a table, virtual table, vector or string.

    Raises:
        DamageError: an offset, virtual table or length leaves the file, vectors overlap, or the reader would build more
            objects than the limit for this file size.
    """
    if len(data) < 8:
        raise DamageError(f"it has only {len(data)} bytes")
    verifier = _Verifier(data)
    verifier.table(_u32(data, 0)[0], "Model")
    return verifier.end


class _Verifier:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._size = len(data)
        self._most = min(OBJECTS_IN_ANY_FILE + self._size // BYTES_PER_OBJECT, MOST_OBJECTS)
        self._layouts: dict[tuple[int, str], _Layout] = {}
        self._tables: dict[tuple[int, str], int] = {}
        self._vectors: dict[tuple[int, int], int] = {}
        self._lists: dict[tuple[int, str], int] = {}
        self._claimed = 0
        self.end = 0

    def table(self, position: int, kind: str) -> int:
        """Check a table and all below it, once; return the number of objects that a reader makes of it."""
        known = self._tables.get((position, kind))
        if known is not None:
            return known
        layout = self._layout(position, kind)
        objects = 1
        for offset, field in layout.references:
            objects = self._bounded(objects + self._reference(position, offset, field, layout, kind))
        self._tables[position, kind] = objects
        return objects

    def _layout(self, position: int, kind: str) -> _Layout:
        if position + 4 > self._size:
            raise DamageError(f"a {kind} table would lie at byte {position} of {self._size}")
        start = position - _i32(self._data, position)[0]
        layout = self._layouts.get((start, kind))
        if layout is None:
            layout = self._layouts[start, kind] = self._read_layout(start, kind)
        if position + layout.table_bytes > self._size:
            raise DamageError(f"the {kind} table at byte {position} passes the end of the file")
        self.end = max(self.end, position + layout.table_bytes)
        return layout

    def _read_layout(self, start: int, kind: str) -> _Layout:
        if not 0 <= start <= self._size - 4:
            raise DamageError(f"the virtual table of a {kind} table lies outside of the file")
        length, table_bytes = _u16_pair(self._data, start)
        if length < 4 or length % 2 or start + length > self._size or table_bytes < 4:
            raise DamageError(f"the virtual table of a {kind} table has an impossible length")
        self.end = max(self.end, start + length)
        scalars: dict[int, int] = {}
        references = []
        for field in fields(kind):
            entry = 4 + 2 * field.number
            if entry >= length:
                break
            offset = int.from_bytes(self._data[start + entry : start + entry + 2], "little")
            if offset == 0:
                continue
            if offset < 4 or offset + field.width > table_bytes:
                raise DamageError(f"field {field.number} of a {kind} table lies outside of it")
            if field.is_scalar:
                scalars[field.number] = offset
            else:
                references.append((offset, field))
        return _Layout(table_bytes, scalars, tuple(references))

    def _reference(self, position: int, offset: int, field: Field, layout: _Layout, kind: str) -> int:
        start = position + offset
        target = self._follow(start)
        if field.is_union:
            # The preceding field has the kind of a union. The reader skips kinds that the schema does not know.
            place = layout.scalars.get(field.number - 1)
            name = UNIONS[str(field.target)].get(self._data[position + place] if place is not None else 0)
            return 0 if name is None else self.table(target, name)
        if field.element_width == 0:
            return self.table(target, str(field.target))
        if field.target is not None:
            return self._list(target, field.target)
        length = self._vector(target, field.element_width)
        if field.is_string:
            return 1 + length // _CHARACTERS_PER_OBJECT
        if kind in _BULK:
            return 1
        return 1 + length // (_INDICES_PER_OBJECT if kind in _HOLDERS_OF_INDICES else _VALUES_PER_OBJECT)

    def _follow(self, start: int) -> int:
        distance = int(_u32(self._data, start)[0])
        if distance == 0 or start + distance + 4 > self._size:
            raise DamageError(f"the offset at byte {start} leads out of the file")
        return start + distance

    def _vector(self, position: int, element_width: int) -> int:
        """Check a vector or string; return the number of its elements."""
        known = self._vectors.get((position, element_width))
        if known is not None:
            return known
        length = int(_u32(self._data, position)[0])
        if position + 4 + length * element_width > self._size:
            raise DamageError(f"the vector at byte {position} claims {length} values and passes the end of the file")
        self._claimed += length * element_width
        if self._claimed > self._size:
            raise DamageError("its vectors overlap: together they claim more bytes than the file has")
        self.end = max(self.end, position + 4 + length * element_width)
        self._vectors[position, element_width] = length
        return length

    def _list(self, position: int, kind: str) -> int:
        """Check a vector of tables and all below it, once; return the number of objects that a reader makes of it."""
        known = self._lists.get((position, kind))
        if known is not None:
            return known
        length = self._bounded(self._vector(position, 4))
        starts = position + 4 + 4 * np.arange(length)
        targets = starts + np.frombuffer(self._data, "<u4", length, position + 4)
        if length and (targets.max() + 4 > self._size or np.any(targets == starts)):
            raise DamageError(f"an offset in the list of {kind} tables at byte {position} leads out of the file")
        objects = 1
        for target in targets.tolist():
            objects = self._bounded(objects + self.table(target, kind))
        self._lists[position, kind] = objects
        return objects

    def _bounded(self, objects: int) -> int:
        if objects > self._most:
            raise DamageError(f"it would unfold into more than {self._most:,} objects, the most for a file of its size")
        return objects
