"""Write ``model.h``: what an app calls, and what it must know of inputs and outputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.standalone_c import c_text
from tflite_sparse.standalone_c.arena import ALIGNMENT, Arena
from tflite_sparse.standalone_c.program import Program, Value

MARK = "ade by tflite-sparse"
"""In the first line of every file that is made; "Made" or "made" begins it."""
_LONGEST_LINE = 2048
"""Of a file that may be anything; the name of a file has at most 255 bytes."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Names in the C files.

    Attributes:
        prefix: of functions and files, a C identifier in lower case.
        tool: name and version of what writes them.
        source: the name of the ``.tflite`` file that they were made from.
        labels: of the classes of the only output; empty: not known.
    """

    prefix: str
    tool: str
    source: str
    labels: tuple[str, ...] = ()

    @property
    def macro(self) -> str:
        """The prefix of macros."""
        return self.prefix.upper()


def port_type(program: Program, numbers: Sequence[int]) -> str:
    """The C type that all of these values have, or void."""
    types = {program.values[number].ctype for number in numbers}
    return types.pop() if len(types) == 1 else "void"


def signatures(program: Program, naming: Naming) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The declarations, without semicolons: those with an arena of the caller, those with the static one."""
    prefix = naming.prefix
    given, result = port_type(program, program.inputs), port_type(program, program.outputs)
    return (
        (
            f"{given}* {prefix}_input_in(void* arena, int index)",
            f"const {result}* {prefix}_output_in(const void* arena, int index)",
            f"int {prefix}_run_in(void* arena)",
        ),
        (
            f"{given}* {prefix}_input(int index)",
            f"const {result}* {prefix}_output(int index)",
            f"int {prefix}_run(void)",
        ),
    )


def made_line(path: Path) -> str:
    """The first line of a file that this program made; of any other file nothing.

    Raises:
        OSError: it cannot be read.
    """
    with path.open(encoding="ascii", errors="replace") as stream:
        line = stream.readline(_LONGEST_LINE).rstrip()
    return line if MARK in line else ""


def prefix_beside(file: Path) -> str:
    """The prefix of the C files beside a ``.tflite`` file, which may be made from it, or it from what they are made of.

    That of the only header that names the file, else of the only one. Its own name if there is none, or several.
    """
    headers = (path for path in file.absolute().parent.glob("*.h") if path.with_suffix(".c").is_file())
    made = {path.stem: line for path in headers if _is_readable(path) and (line := made_line(path))}
    made_from = f" from {c_text.comment(file.name)}."
    named = [prefix for prefix, line in made.items() if line.endswith(made_from)] or list(made)
    return named[0] if len(named) == 1 else file.stem


def _is_readable(path: Path) -> bool:
    """Whether a file beside a model can be read: others are somebody else's."""
    return path.is_file() and os.access(path, os.R_OK)


def render(program: Program, arena: Arena, naming: Naming) -> str:
    """The whole text of the header."""
    macro, prefix = naming.macro, naming.prefix
    in_caller, in_static = signatures(program, naming)
    lines = [
        f"/* A neural network in C99, made by {c_text.comment(naming.tool)} from {c_text.comment(naming.source)}.",
        " *",
        f" * Write all inputs, call {prefix}_run, read the outputs before new inputs are written: they share memory.",
        f" * Constants: {program.constant_bytes:,} bytes. RAM: {arena.nbytes:,} bytes and the stack. No allocation.",
        " */",
        f"#ifndef {macro}_H_",
        f"#define {macro}_H_",
        "",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {macro}_ARENA_BYTES {max(arena.nbytes, ALIGNMENT)}u",
        f"#define {macro}_ARENA_ALIGNMENT {ALIGNMENT}u",
        f"#define {macro}_STEPS {len(program.steps)} /* operators, for {macro}_AFTER_STEP in {prefix}.c */",
        *_ports(program, naming),
        "",
        "/* Inputs and outputs by index; a null pointer for one that there is not. run returns 0, or 1 for a null or",
        " * unaligned arena. */",
        f"#ifndef {macro}_ARENA_EXTERNAL",
        "/* In one static arena: not for two threads at once. */",
        *(f"{each};" for each in in_static),
        "#endif",
        "",
        f"/* In an arena of the caller: {macro}_ARENA_BYTES, aligned to {ALIGNMENT}; each thread may have its own.",
        f" * With {macro}_ARENA_EXTERNAL defined, for {prefix}.c as well, there is no static one. */",
        *(f"{each};" for each in in_caller),
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        f"#endif /* {macro}_H_ */",
        "",
    ]
    return "\n".join(lines)


def _ports(program: Program, naming: Naming) -> Iterator[str]:
    for words, numbers, names in zip(
        ("INPUT", "OUTPUT"), (program.inputs, program.outputs), (program.input_names, program.output_names), strict=True
    ):
        yield ""
        yield f"#define {naming.macro}_{words}S {len(numbers)}"
        for place, (number, name) in enumerate(zip(numbers, names, strict=True)):
            yield from _port(f"{naming.macro}_{words}_{place}", program.values[number], name)
    if naming.labels:
        yield ""
        yield f"#define {naming.macro}_LABELS {len(naming.labels)}"
        yield f"extern const char* const {naming.prefix}_labels[{naming.macro}_LABELS];"


def _port(macro: str, value: Value, name: str) -> Iterator[str]:
    quantised = ", real = scale * (stored - zero point)" if value.scale else ""
    yield f"/* {c_text.comment(name)}: {value.ctype}, {c_text.shape(value.shape)}{quantised} */"
    yield f"#define {macro}_COUNT {value.count}"
    yield f"#define {macro}_RANK {len(value.shape)}"
    yield f"#define {macro}_SHAPE {c_text.braces(value.shape)}"
    if value.scale:
        yield f"#define {macro}_SCALE {c_text.floating(value.scale)}"
        yield f"#define {macro}_ZERO_POINT ({value.zero_point})"
