"""Pieces of C99 text: numbers, arrays, comments and strings, from values that may be hostile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

WIDTH = 120
_CTYPES = {"int8": "int8_t", "uint8": "uint8_t", "uint16": "uint16_t", "int32": "int32_t", "float32": "float"}
_LEAST_INT32 = -(2**31)


def comment(words: str) -> str:
    """Words of a comment in one line: printable ASCII that neither ends the comment nor begins another one."""
    printable = words.encode("ascii", "backslashreplace").decode("ascii")
    visible = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in printable)
    return re.sub(r"/(?=\*)|\*(?=/)", lambda found: f"{found[0]} ", visible).rstrip("\\/*")


def string(words: str) -> str:
    """A string literal of UTF-8. Octal escapes end by themselves; question marks could make trigraphs."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in words.encode()) + '"'


def integer(value: int) -> str:
    """A number of at most 32 bits; the least one has no literal of its own in C."""
    return "(-2147483647 - 1)" if value == _LEAST_INT32 else str(value)


def floating(value: float | np.float32) -> str:
    """A float literal that reads back to the same bits."""
    digits = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{digits}f"


def braces(values: Iterable[int]) -> str:
    """Numbers as an initialiser."""
    return "{" + ", ".join(map(integer, values)) + "}"


def ctype_of(values: np.ndarray) -> str:
    """The C type of an array's elements."""
    return _CTYPES[values.dtype.name]


def array(name: str, values: np.ndarray, *, aligned: bool = False) -> str:
    """The definition of a constant array, in one dimension."""
    flat = values.reshape(-1)
    if flat.dtype == np.float32:
        items = ", ".join(map(floating, flat))
    elif flat.dtype == np.int32:
        items = ", ".join(map(integer, flat.tolist()))
    else:
        items = ",".join(map(str, flat.tolist()))
    lines = _wrapped(items)
    where = " TFLS_ALIGNED" if aligned else ""
    return f"static const {ctype_of(values)} {name}[{flat.size}]{where} = {{\n{lines}}};\n"


def _wrapped(items: str) -> str:
    """Break a long list at commas; ``textwrap`` is too slow for weights."""
    lines, start = [], 0
    while len(items) - start > WIDTH - 4:
        end = items.rindex(",", start, start + WIDTH - 4) + 1
        lines.append(items[start:end].strip())
        start = end
    lines.append(items[start:].strip())
    return "".join(f"    {line}\n" for line in lines)


def shape(sizes: Sequence[int]) -> str:
    """A shape in a comment: ``1x8x8x16``."""
    return "x".join(map(str, sizes)) or "scalar"
