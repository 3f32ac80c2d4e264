"""Inputs and outputs as code names them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.results.contract import Contract, Port

_WORDS = """
    alignas alignof and and_eq as asm assert async auto await bitand bitor bool break byte case catch char char8_t
    char16_t char32_t class co_await co_return co_yield companion compl concept const const_cast consteval constexpr
    constinit continue data decltype def default del delete do double dynamic_cast elif else enum except explicit export
    extern false finally float for friend from fun global goto if import in init inline int interface is lambda long
    mutable namespace new noexcept none nonlocal not not_eq null nullptr object operator or or_eq override package pass
    private protected public raise register reinterpret_cast requires restrict return self short signed sizeof static
    static_assert static_cast std struct super switch template this thread_local throw true try typealias typedef typeid
    typename typeof typeof_unqual union unsigned using val var virtual void volatile wchar_t when where while with xor
    xor_eq yield
"""
"""Of Python, Kotlin, C and C++."""

_OF_COMPILERS = """
    arm complex errno i386 int8_t int16_t int32_t int64_t linux mips size_t stderr stdin stdout uint8_t unix
"""
"""Types that templates use, and macros of compilers and of headers of the C library."""

_OF_TEMPLATES = """
    environment i index_of input_buffers inputs interpreter it labels main model np output_buffers outputs path
    predict quantised raw real run run_model runner runtime stored numpy
"""
"""Names that the templates use."""

_STORED = "_stored"
"""Behind a name in templates: the same port as the file stores it."""

_RESERVED = frozenset([*_WORDS.split(), *_OF_COMPILERS.split(), *_OF_TEMPLATES.split()])

_MOST_LABELS = 100


@dataclass(frozen=True, slots=True)
class CodePort:
    """An input or output in code.

    Attributes:
        port: what it is in the file.
        code: its name: letters, digits and underscores, unlike any other of its file.
        size: the number of its values, with the sizes that the file holds for open ones.
        limits: the smallest and the largest stored value, if it is quantised.
        comment: what it is, in one line without anything that ends a comment.
    """

    port: Port
    code: str
    size: int
    limits: tuple[int, int] | None
    comment: str

    @property
    def is_quantised(self) -> bool:
        """Whether real numbers are stored as integers."""
        return self.port.scale is not None


@dataclass(frozen=True, slots=True)
class Ports:
    """All inputs and outputs of a file in code, and what its comments say of the classes.

    Attributes:
        inputs: by index.
        outputs: by index.
        labels: names of the classes, up to 100; empty if there are more or none.
    """

    inputs: tuple[CodePort, ...]
    outputs: tuple[CodePort, ...]
    labels: tuple[str, ...]

    @property
    def any_quantised_input(self) -> bool:
        """Whether the code needs to quantise."""
        return any(each.is_quantised for each in self.inputs)

    @property
    def dtypes(self) -> frozenset[str]:
        """The types of all."""
        return frozenset(each.port.dtype for each in (*self.inputs, *self.outputs))


def ports_of(contract: Contract, functions: Iterable[str] = ()) -> Ports:
    """Name the inputs and outputs of a contract for code.

    Args:
        contract: of the file.
        functions: further names that the code uses.
    """
    taken = set(functions)
    inputs = tuple(_port(each, taken) for each in contract.inputs)
    outputs = tuple(_port(each, taken) for each in contract.outputs)
    return Ports(inputs, outputs, tuple(contract.labels) if len(contract.labels) <= _MOST_LABELS else ())


def in_signature_order(ports: Iterable[CodePort]) -> Sequence[CodePort]:
    """The same as CompiledModel numbers them."""
    return sorted(ports, key=lambda each: each.port.place)


def one_line(text: str) -> str:
    """A text for a comment: printable ASCII, no backslash (which continues a line of C++), no end of a comment."""
    return re.sub(r"[^ -\[\]-~]", "?", text).replace("*/", "* /").replace("/*", "/ *")


def _port(port: Port, taken: set[str]) -> CodePort:
    words = f"{port.name}: {port.dtype} ({', '.join(map(str, port.shape))}), {port.meaning}"
    if port.data is not None and not port.meaning.startswith("pixels"):
        words += f"; {port.data.low:g} to {port.data.high:g} in the data that the file was made with"
    limits = None
    if port.scale is not None:
        bounds = np.iinfo(port.dtype)
        limits = int(bounds.min), int(bounds.max)
    return CodePort(port, _identifier(port.name, taken), math.prod(port.run_shape), limits, one_line(words))


def _identifier(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^0-9A-Za-z]+", "_", name.split("/")[-1].split(":")[0]).strip("_").lower() or "values"
    if plain[0].isdigit() or plain in _RESERVED:
        plain = f"t_{plain}"
    unique, number = plain, 2
    while not taken.isdisjoint((unique, unique + _STORED)):
        unique, number = f"{plain}_{number}", number + 1
    taken.update((unique, unique + _STORED))
    return unique
