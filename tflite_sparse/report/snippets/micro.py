"""Code that runs a file in TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflite_sparse.report.snippets.ports import ports_of
from tflite_sparse.report.snippets.templates import render
from tflite_sparse.results.contract import Contract, Language

_CPP = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "bool": "bool",
}


@dataclass(frozen=True, slots=True)
class Memory:
    """What an app sets aside in RAM.

    Attributes:
        arena_bytes: of the arena; None: it was not measured, and the code does not compile until it is set.
        decoded_bytes: of a memory of its own for decoded weights; 0: they lie in the arena.
    """

    arena_bytes: int | None
    decoded_bytes: int = 0


@dataclass(frozen=True, slots=True)
class App:
    """What the code of an app is made of, beside the contract.

    Attributes:
        file: the name of the ``.tflite`` file.
        header: the name of the header of its C array.
        symbol: of the array, without ``g_``.
        calls: that register operators with ``resolver``, such as ``resolver.AddConv2D()``, one for each kind.
        own_header: of an operator that the runtime does not have; None: it has all of them.
        variables: number of resource variables.
        memory: in RAM.
    """

    file: str
    header: str
    symbol: str
    calls: Sequence[str]
    own_header: str | None
    variables: int
    memory: Memory


MARK = "// Made by tflite-sparse"
"""How the C++ begins: a file that does not is somebody else's."""


def cpp(contract: Contract, app: App) -> str:
    """Return C++11 that makes the interpreter, fills the inputs, runs the file and reads the outputs."""
    return render("micro.cc.j2", ports=ports_of(contract), types=_CPP, app=app, mark=MARK)


def python(contract: Contract, file: str) -> str:
    """Return Python that runs the file in the runtime's package for PCs."""
    return render("micro.py.j2", ports=ports_of(contract), file=file)


def snippets(contract: Contract, app: App) -> dict[Language, str]:
    """Return code by language; C++ is left out where a type of the file has none in the runtime."""
    found: dict[Language, str] = {"python": python(contract, app.file)}
    if ports_of(contract).dtypes <= set(_CPP):
        found["c++"] = cpp(contract, app)
    return found
