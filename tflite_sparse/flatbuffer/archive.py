"""Keep the archive of associated files (labels, vocabularies) that metadata tools append to a ``.tflite`` file.

It is a ZIP archive behind the FlatBuffer; ``TensorMetadata.associated_files`` of the metadata names its members. LiteRT
ignores it; apps open the model file as an archive. When the size of the model in front of it changes:

* Offsets from the start of the archive stay valid, because readers skip a prefix (archives made separately and then
  appended, as by TensorFlow Lite Support's ``MetadataPopulator``). The bytes are copied unchanged.
* Offsets from the start of the file, as ``zipfile.ZipFile(path, "a")`` writes them, are adjusted; all other bytes are
  copied unchanged.

Format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16 (end record).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tflite_sparse.flatbuffer.verifier import DamageError

_LOCAL, _CENTRAL, _END, _LOCATOR_64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES, _CENTRAL_BYTES, _LOCATOR_64_BYTES = 22, 46, 20
_LONGEST_COMMENT = 2**16 - 1
_LARGEST_OFFSET = 2**32 - 1

_end_record = struct.Struct("<4x4H2IH").unpack_from  # disks and counts, bytes and offset of the directory, comment
_central_lengths = struct.Struct("<3H").unpack_from  # of name, extra field and comment
_AT_CENTRAL_LENGTHS, _AT_CENTRAL_OFFSET, _AT_END_OFFSET = 28, 42, 16
_offset = struct.Struct("<I")


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """An archive behind a model.

    Attributes:
        content: its bytes, to the end of the file.
        start: offset of the archive in the file, which is the size of the model in front.
        files: number of members.
        offsets: positions in ``content`` of offsets (uint32) relative to ``base``; none if relative to ``start``.
        base: offset in the file that was read; 0: the start of the file.
    """

    content: memoryview
    start: int
    files: int
    offsets: tuple[int, ...]
    base: int

    @property
    def nbytes(self) -> int:
        """Size of the archive, the same at any position."""
        return len(self.content)

    def behind(self, model_bytes: int) -> bytes | memoryview:
        """Return the bytes for a file whose model has ``model_bytes`` bytes, so that readers find every member.

        Raises:
            DamageError: an offset does not fit into its field.
        """
        if not self.offsets:
            return self.content
        moved = bytearray(self.content)
        for place in self.offsets:
            (old,) = _offset.unpack_from(moved, place)
            new = old + self.base - self.start + model_bytes
            if not 0 <= new <= _LARGEST_OFFSET:
                raise DamageError(f"the ZIP archive behind the model has the offset {old}, which cannot be moved")
            _offset.pack_into(moved, place, new)
        return bytes(moved)


def may_have_one(data: memoryview) -> bool:
    """Return whether a file seems to end with the end record of an archive."""
    return _end_record_position(data) is not None


def find(data: memoryview, model_end: int) -> Archive | None:
    """Return the archive at the end of a file; None if there is none, or the match is part of the model.

    Time and memory are proportional to the directory of the archive; members are not unpacked.

    Args:
        data: the whole file.
        model_end: offset behind the last byte that the model refers to.

    Raises:
        DamageError: the directory or an offset in it leaves the archive, or it is a ZIP64 archive.
    """
    end = _end_record_position(data)
    if end is None or end < model_end:
        return None
    *_, count, directory_bytes, directory_offset, comment = _end_record(data, end)
    if data[end - _LOCATOR_64_BYTES : end].tobytes().startswith(_LOCATOR_64) or directory_offset == _LARGEST_OFFSET:
        raise DamageError("the archive behind the model is a ZIP64 one: append a plain ZIP archive instead")
    directory = end - directory_bytes
    if directory < model_end or end + _END_BYTES + comment > len(data):
        raise DamageError("the directory of the ZIP archive behind the model leads out of it")
    base = directory - directory_offset
    places = _offset_positions(data, directory, end, count)
    positions = [base + _offset.unpack_from(data, place)[0] for place in places]
    for member, position in enumerate(positions):
        if not model_end <= position < directory or data[position : position + 4] != _LOCAL:
            raise DamageError(f"member {member} of the ZIP archive behind the model does not lie where it says")
    start = min(positions, default=directory)
    if model_end <= base <= start:
        return Archive(data[base:], base, count, (), base)
    offsets = tuple(place - start for place in (*places, end + _AT_END_OFFSET))
    return Archive(data[start:], start, count, offsets, base)


def _end_record_position(data: memoryview) -> int | None:
    first = max(len(data) - _END_BYTES - _LONGEST_COMMENT, 0)
    place = bytes(data[first:]).rfind(_END)  # the last one counts, as in zipfile
    return None if place < 0 or first + place + _END_BYTES > len(data) else first + place


def _offset_positions(data: memoryview, start: int, end: int, count: int) -> list[int]:
    """Return the positions at which the entries of the directory hold the offsets of their members."""
    places, position = [], start
    for _ in range(count):
        if position + _CENTRAL_BYTES > end or data[position : position + 4] != _CENTRAL:
            raise DamageError(f"the directory of the ZIP archive behind the model does not hold its {count} members")
        places.append(position + _AT_CENTRAL_OFFSET)
        position += _CENTRAL_BYTES + sum(_central_lengths(data, position + _AT_CENTRAL_LENGTHS))
    if position != end:
        raise DamageError(f"the directory of the ZIP archive behind the model does not end after {count} members")
    return places
