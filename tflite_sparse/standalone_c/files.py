"""All C files of a model: what is made for it, and copies of the kernels that it calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.standalone_c import arena, cmake, core, header, lines, pooling, reader, source
from tflite_sparse.standalone_c.arena import Arena
from tflite_sparse.standalone_c.core import Core
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.standalone_c.operators.sparse import SOURCE as SPARSE_KERNELS
from tflite_sparse.standalone_c.program import Program

KERNELS = Path(__file__).resolve().parent.parent / "micro_kernels"
_FOLDERS = (KERNELS, KERNELS / "standalone")
_INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)
_OPERATORS = "tfls_operators.h"
_DEFAULTS = {
    f"{SPARSE_KERNELS}.h": re.compile(r"(?<=#define TFLITE_SPARSE_KERNELS )0xFFFFFFFEu\b"),
    _OPERATORS: re.compile(r"(?<=#define TFLS_LAYOUTS )3u\b"),
}
"""In headers: the default of the macro that says, bit by bit, what is compiled."""


@dataclass(frozen=True, eq=False, slots=True)
class Sources:
    """A model in C.

    Attributes:
        program: what it does.
        arena: where its values lie.
        naming: names in the files.
        files: contents by name; all lie in one folder.
    """

    program: Program
    arena: Arena
    naming: Naming
    files: Mapping[str, bytes]

    @property
    def c_files(self) -> list[str]:
        """Names of the files to compile."""
        return [name for name in self.files if name.endswith(".c")]


def kernel_files() -> tuple[str, ...]:
    """The names of all kernel sources and headers that a model may need, sorted."""
    standalone = (path.name for path in (KERNELS / "standalone").iterdir() if path.suffix in (".c", ".h"))
    return (f"{SPARSE_KERNELS}.c", f"{SPARSE_KERNELS}.h", *sorted(standalone))


def made_files(prefix: str) -> tuple[str, ...]:
    """The names of the files that are made for a model."""
    return (f"{prefix}.h", f"{prefix}.c", cmake.NAME)


def program_of(model: Model, made_for: Core) -> Program:
    """A parsed model as the program that C is made of.

    Args:
        model: dense, or with weights for the sparse kernels.
        made_for: the CPU that it is for.

    Raises:
        FlatbufferError: as :func:`tflite_sparse.standalone_c.reader.read`.
        ExecutionError: as there.
    """
    return lines.chosen(pooling.fused(reader.read(model, made_for), made_for), made_for)


def generate(model: Model, naming: Naming, cpu: MicroCpu) -> Sources:
    """A parsed model in C.

    Args:
        model: dense, or with weights for the sparse kernels.
        naming: names in the files.
        cpu: that they are for; scratch memory depends on it.

    Raises:
        FlatbufferError: as :func:`tflite_sparse.standalone_c.reader.read`.
        ExecutionError: as there.
    """
    made_for = core.of(cpu)
    program = program_of(model, made_for)
    layout = arena.plan(program, fits_helium=made_for.fits_helium)
    made = (
        header.render(program, layout, naming),
        source.render(program, layout, naming),
    )
    kernels = dict(_kernels(program))
    names = [f"{naming.prefix}.c", *(name for name in kernels if name.endswith(".c"))]
    texts = (*made, cmake.render(naming, names))
    files = dict(zip(made_files(naming.prefix), map(str.encode, texts), strict=True))
    return Sources(program, layout, naming, {**files, **kernels})


def _kernels(program: Program) -> Iterator[tuple[str, bytes]]:
    """The kernel sources that the steps call, and the headers that these include."""
    steps = [step for step in program.steps if not step.is_view]
    sources = dict.fromkeys(name for step in steps for name in (step.source, *step.others))
    wanted = [*dict.fromkeys(step.header for step in steps), *(f"{name}.c" for name in sources)]
    seen: set[str] = set()
    used = program.masks
    masks = {f"{SPARSE_KERNELS}.h": used.get("TFLITE_SPARSE_KERNELS", 0), _OPERATORS: used.get("TFLS_LAYOUTS", 0)}
    while wanted:
        name = wanted.pop(0)
        if name in seen:
            continue
        seen.add(name)
        text = _path(name).read_text("utf-8")
        wanted += _INCLUDE.findall(text)
        yield name, _with_mask(name, text, masks.get(name, 0)).encode()


def _path(name: str) -> Path:
    return next(folder / name for folder in _FOLDERS if (folder / name).is_file())


def _with_mask(name: str, text: str, mask: int) -> str:
    """A header, in which what the model does not use is left out by default; a mask of 0 leaves it as it is."""
    if not mask:
        return text
    changed, count = _DEFAULTS[name].subn(f"{mask:#x}u", text)
    if count != 1:
        raise AssertionError(f"{name} has no default for what is compiled")
    return changed
