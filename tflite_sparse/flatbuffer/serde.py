"""Read and write the bytes of a ``.tflite`` file; no other module does.

Parsed files are the plain objects of the generated schema (``ModelT``, ``TensorT``, ...). The format is LiteRT's
``schema.fbs``, version 3: a FlatBuffer with file identifier ``TFL3``.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import archive
from tflite_sparse.flatbuffer.archive import Archive
from tflite_sparse.flatbuffer.types import Model, Table
from tflite_sparse.flatbuffer.validity import check, normalise
from tflite_sparse.flatbuffer.verifier import DamageError, verify

FILE_IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16  # schema.fbs: Buffer.data is (force_align: 16)
INDEX_ALIGNMENT = 4  # schema.fbs: Uint8Vector.values and Uint16Vector.values are (force_align: 4)
MAX_FILE_BYTES = 2**31 - 1  # offsets are 32-bit; the runtime reads them as signed

_ROOM_FOR_TABLES = 1 << 20
_TOO_LARGE = "the model does not fit in the 2 GiB of a .tflite file."


class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc, unused-ignore]
    """A builder that writes equal vectors, strings and tables once and refers to that copy everywhere.

    FlatBuffers readers follow offsets, so several tables may hold the offset of one child. Children are built before
    their parents. Once the children are shared, two tables are equal exactly when their fields (scalars, and offsets
    from the end of the buffer) are. A table equal to an earlier one is rolled back before it is closed.
    """

    head: int  # state of the base class
    minalign: int
    current_vtable: list[int] | None

    def __init__(self, initial_bytes: int = 1024) -> None:
        super().__init__(initial_bytes)
        self._vectors: dict[tuple[object, ...], int] = {}
        self._tables: dict[tuple[object, ...], int] = {}
        self._fields: list[tuple[object, ...]] = []

    def aligned_vector(self, values: np.ndarray, alignment: int) -> int:
        """Write a one-dimensional array, or find an equal one, its first element aligned to ``alignment`` bytes."""
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        payload = values.view(np.uint8).data
        key = (values.itemsize, values.size, hashlib.blake2b(payload, digest_size=16).digest())
        known = self._vectors.get(key)
        if known is not None and self._data_is_aligned(known, alignment):
            self.minalign = max(self.minalign, alignment)
            return known
        self.StartVector(values.itemsize, values.size, max(alignment, values.itemsize))
        start = self.head - len(payload)
        self.head = start
        with memoryview(self.Bytes) as room:  # assigning to the bytearray itself would copy ``payload``
            room[start : start + len(payload)] = payload
        self.vectorNumElems = values.size
        offset = int(super().EndVector())
        self._vectors[key] = offset
        return offset

    def _data_is_aligned(self, vector_offset: int, alignment: int) -> bool:
        # Offsets count from the end of the buffer, whose end Finish() puts on a multiple of the largest alignment.
        return (vector_offset - 4) % alignment == 0

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 - name of the base class
        """Write a one-dimensional array for the generated code, shared."""
        if x.ndim != 1:
            raise TypeError("a FlatBuffers vector has one dimension")
        return self.aligned_vector(x, INDEX_ALIGNMENT)

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        """Write a string, shared."""
        key = ("string", s.encode(encoding, errors) if isinstance(s, str) else bytes(s))
        if key not in self._vectors:
            self._vectors[key] = super().CreateString(s, encoding, errors)
        return self._vectors[key]

    # Tables: record each field while the table is open, compare when it closes.

    def StartObject(self, numfields: int) -> None:  # noqa: N802
        """Open a table."""
        super().StartObject(numfields)
        self._fields = []

    def PrependSlot(self, flags: type, o: int, x: float | None, d: float | None) -> None:  # noqa: N802
        """Write a scalar field."""
        super().PrependSlot(flags, o, x, d)
        if x is not None and x != d:
            self._fields.append((o, flags.__name__, x))

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:  # noqa: N802
        """Write a field that is an offset."""
        super().PrependUOffsetTRelativeSlot(o, x, d)
        if x != d:
            self._fields.append((o, "offset", x))

    def PrependStructSlot(self, v: int, x: int, d: int) -> None:  # noqa: N802
        """Write a field that is a struct."""
        # A struct is stored inline: its bytes are part of this table and cannot be shared.
        super().PrependStructSlot(v, x, d)
        self._fields.append((v, "struct", object()))

    def EndObject(self) -> int:  # noqa: N802
        """Close a table; return the offset of an equal one if there is one."""
        assert self.current_vtable is not None  # a table is open
        key = (len(self.current_vtable), *self._fields)
        known = self._tables.get(key)
        if known is not None:
            self.head = len(self.Bytes) - self.objectEnd
            self.current_vtable = None
            self.nested = False
            return known
        offset = int(super().EndObject())
        self._tables[key] = offset
        return offset


def parse(data: bytes | memoryview, name: str = "model") -> Model:
    """Read the bytes of a ``.tflite`` file into a ``ModelT``.

    Constants are views into ``data``, not copies. Buffers outside the FlatBuffer (``Buffer.offset``) are resolved, so
    that every constant is in ``BufferT.data``.

    Args:
        data: the whole file.
        name: of the file in error messages.

    Raises:
        FlatbufferError: it is not a ``.tflite`` file, it is damaged (:mod:`verifier` and :mod:`validity` list the
            checks), or it holds operators that are newer than the installed schema.
    """
    return _parse(memoryview(data), name)[0]


def _parse(data: memoryview, name: str) -> tuple[Model, int]:
    """Return the model (see :func:`parse`) and the offset at which it ends, external buffers included."""
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise FlatbufferError(f"{name} is not a .tflite file: bytes 4 to 8 are not 'TFL3'.")
    try:
        end = verify(data)
        model: Model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        if model.version != 3 or not model.subgraphs or not model.buffers:
            raise DamageError(f"no graphs or buffers, or version {model.version} instead of 3")
        end = max(end, _resolve_external_buffers(model, data))
        normalise(model)
        _refuse_unknown_options(model, name)
        check(model, len(data))
    except DamageError as damage:
        raise FlatbufferError(f"{name} is damaged: {damage}.") from damage
    return model, end


def read(path: Path) -> Model:
    """Read a ``.tflite`` file from disk; see :func:`parse`.

    Raises:
        FlatbufferError: the file cannot be read, is not a regular file, or is larger than the format allows.
    """
    return parse(_contents_of(path), str(path))


def tensor_types(path: Path) -> set[int]:
    """Return the ``TensorType`` of all tensors in a file that a runtime has loaded; far cheaper than :func:`read`."""
    model = schema.Model.GetRootAs(_contents_of(path), 0)
    graphs = map(model.Subgraphs, range(model.SubgraphsLength()))
    return {graph.Tensors(number).Type() for graph in graphs for number in range(graph.TensorsLength())}


def archive_of(path: Path) -> Archive | None:
    """Return the archive of associated files behind the model of a ``.tflite`` file; None if it has none.

    Raises:
        FlatbufferError: the file cannot be read, or model or archive is damaged.
    """
    data = memoryview(_contents_of(path))
    if not archive.may_have_one(data):
        return None
    _, end = _parse(data, str(path))
    try:
        return archive.find(data, end)
    except DamageError as damage:
        raise FlatbufferError(f"{path} is damaged: {damage}.") from damage


def _contents_of(path: Path) -> bytes | memoryview:
    """Return the contents of a file that may be a ``.tflite`` file."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # neither LiteRT takes it nor JSON
        raise FlatbufferError(f"cannot read {str(path)!a}: its name is not UTF-8; rename it.") from error
    try:
        # Opening a pipe would block until a writer comes, and a device may be endless.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FlatbufferError(f"cannot read {path}: it is not a regular file.")
        if status.st_size > MAX_FILE_BYTES:
            raise FlatbufferError(f"cannot read {path}: {status.st_size:,} bytes, but a .tflite file has under 2 GiB.")
        return _mapped(path)
    except OSError as error:
        raise FlatbufferError(f"cannot read {path}: {error.strerror}.") from error


def _mapped(path: Path) -> bytes | memoryview:
    """Return the bytes of a file as a memory map, whose pages are shared by all models read from it.

    The map keeps the old contents when a rename replaces the file, as this package does.
    """
    with path.open("rb") as stream:
        # An empty file cannot be mapped; Windows cannot rename over a mapped one.
        if os.name != "posix" or os.fstat(stream.fileno()).st_size == 0:
            return stream.read()
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def serialize(model: Model) -> memoryview:
    """Return the bytes of ``model`` as one FlatBuffer; equal vectors, strings and tables are written once.

    Raises:
        FlatbufferError: the result would exceed the format's 2 GiB.
    """
    # Write constants first, aligned: the generated code then finds and shares them.
    constants = [buffer.data for buffer in model.buffers if buffer.data is not None and len(buffer.data)]
    builder = SharingBuilder(_expected_bytes(constants, model))
    try:
        for values in constants:
            builder.aligned_vector(values, DATA_ALIGNMENT)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    except flatbuffers.builder.BuilderSizeError as error:
        raise FlatbufferError(_TOO_LARGE) from error
    content = memoryview(builder.Bytes)[builder.Head() :]
    if len(content) > MAX_FILE_BYTES:
        raise FlatbufferError(_TOO_LARGE)
    return content


def _expected_bytes(constants: list[np.ndarray], model: Model) -> int:
    """Return a size for the builder's buffer that avoids growing, which would copy everything into twice the memory."""
    vectors = [*constants, *_index_vectors(model)]
    # Tensors may share an array; equal arrays elsewhere in memory are found only while writing.
    sizes = {(values.__array_interface__["data"][0], values.nbytes) for values in map(np.asarray, vectors)}
    return min(sum(size for _, size in sizes) + _ROOM_FOR_TABLES, MAX_FILE_BYTES)


def _index_vectors(model: Model) -> Iterator[np.ndarray]:
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            levels = None if tensor.sparsity is None else tensor.sparsity.dimMetadata
            for level in levels or ():
                for table in (level.arraySegments, level.arrayIndices):
                    if table is not None and table.values is not None:
                        yield table.values


def write(model: Model, path: Path, behind: Archive | None = None) -> int:
    """Write ``model`` to ``path`` atomically and return its number of bytes; see :func:`write_content`."""
    content = serialize(model)
    write_content(content, path, behind)
    return len(content)


def write_content(content: memoryview, path: Path, behind: Archive | None) -> None:
    """Write the result of :func:`serialize` to ``path`` atomically, followed by an archive of associated files.

    Raises:
        FlatbufferError: together they would exceed the format's 2 GiB.
        OutputError: the file cannot be written.
    """
    if behind is None:
        write_bytes(path, content)
        return
    if len(content) + behind.nbytes > MAX_FILE_BYTES:
        raise FlatbufferError(f"{_TOO_LARGE[:-1]} together with its archive of associated files.")
    try:
        moved = behind.behind(len(content))
    except DamageError as damage:
        raise FlatbufferError(f"cannot write {path}: {damage}.") from damage
    write_bytes(path, content, moved)


def packed_bytes(*objects: Table) -> int:
    """Return the bytes of these tables in a file, children included, equal ones counted once."""
    builder = SharingBuilder()
    for table in objects:
        table.Pack(builder)
    return int(builder.Offset())


def _resolve_external_buffers(model: Model, data: memoryview) -> int:
    """Read the buffers outside the FlatBuffer; return the offset at which the last one ends, 0 without any."""
    ranges = set()
    for index, buffer in enumerate(model.buffers):
        if buffer.offset <= 1:  # 0: none; 1: reserved by the format as "not set"
            continue
        end = buffer.offset + buffer.size
        if end > len(data):
            raise DamageError(f"buffer {index} ends at byte {end} of {len(data)}")
        ranges.add((buffer.offset, buffer.size))
        buffer.data = np.frombuffer(data, np.uint8, count=buffer.size, offset=buffer.offset)
        buffer.offset = buffer.size = 0
    if sum(size for _, size in ranges) > len(data):
        raise DamageError("its external buffers overlap: together they claim more bytes than the file has")
    return max((start + size for start, size in ranges), default=0)


def _refuse_unknown_options(model: Model, name: str) -> None:
    """Raise if options have a type newer than the schema: they read as None, and writing would lose them."""
    for graph in model.subgraphs:
        for position, operator in enumerate(graph.operators):
            lost = _is_lost(operator.builtinOptionsType, operator.builtinOptions) or _is_lost(
                operator.builtinOptions2Type, operator.builtinOptions2
            )
            if lost or operator.largeCustomOptionsOffset > 1:
                raise FlatbufferError(
                    f"{name}: operator {position} has options that this version does not know; update ai-edge-litert."
                )


def _is_lost(kind: int, options: object | None) -> bool:
    return kind != 0 and options is None
