"""What an app on a microcontroller needs beside the file: memory, code, and what both cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.backends import in_micro, micro_cpp
from tflite_sparse.base.progress import Timed
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE, MOST_PIXELS_AT_ONCE
from tflite_sparse.codecs.streams.names import SPARSE, TFLM
from tflite_sparse.errors import OutputError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import custom_operators
from tflite_sparse.report.snippets import micro as snippets
from tflite_sparse.report.snippets.micro import MARK, Memory
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.results.micro import DECODER_FLASH_BYTES, IN_PLACE, TRADE, MicroKernelsReport, MicroReport
from tflite_sparse.runtime import micro as runtime

APP = "app.cc"


@dataclass(frozen=True, slots=True)
class Arenas:
    """The smallest arenas of a file, in bytes; None where the runtime is not installed.

    Attributes:
        decoded: with decoded weights in it.
        alternate: with decoded weights in a memory of their own.
        alternate_memory_bytes: size of that memory; 0: nothing is decoded.
    """

    decoded: int | None
    alternate: int | None
    alternate_memory_bytes: int

    @classmethod
    def of(cls, file: Path, pixels_at_once: int = MOST_PIXELS_AT_ONCE) -> Arenas:
        """Measure those of a file.

        Args:
            file: the file.
            pixels_at_once: as :func:`tflite_sparse.runtime.micro.arena`.

        Raises:
            ExecutionError: the runtime refuses it.
        """
        apart = in_micro.alternate_bytes(in_micro.decoded_sizes(serde.read(file)))
        if not runtime.is_available():
            return cls(None, None, apart)
        decoded = runtime.arena(file, pixels_at_once=pixels_at_once)
        return cls(decoded, runtime.arena(file, alternate_memory_bytes=apart) if apart else decoded, apart)

    @property
    def least(self) -> Memory:
        """The layout that takes less RAM; one arena where both take the same."""
        if self.decoded is None or self.alternate is None:
            return Memory(None)
        if self.alternate + self.alternate_memory_bytes < self.decoded:
            return Memory(self.alternate, self.alternate_memory_bytes)
        return Memory(self.decoded)


def code(file: Path, contract: Contract, array: str, name: str, arenas: Arenas) -> dict[Language, str]:
    """Return code that runs a file, by language.

    Args:
        file: the file.
        contract: of the file.
        array: the name of the file as a C++ array, without a suffix.
        name: that the file has or gets.
        arenas: of the file.
    """
    app = micro_cpp.app_of(serde.read(file), array, name, arenas.least)
    return snippets.snippets(contract, app)


def report(
    encoded: Path, dense: Path, arenas: Arenas, cpp: str, on_cpu: MicroKernelsReport, timed: Timed
) -> MicroReport:
    """Return what a file costs beside its dense form.

    Args:
        encoded: the file.
        dense: its dense form.
        arenas: of the file.
        cpp: the code of an app.
        on_cpu: instructions of the file, and the code of its kernels.
        timed: receives a stage.
    """
    sizes = in_micro.decoded_sizes(serde.read(encoded))
    dense_arena = None
    if runtime.is_available():
        with timed.stage("measure arenas"):
            dense_arena = runtime.arena(dense)
    memory = arenas.least
    computed = CUSTOM_CODE in custom_operators(serde.read(encoded))
    decoder = DECODER_FLASH_BYTES if sizes else 0
    return MicroReport(
        flash_saved_bytes=dense.stat().st_size - encoded.stat().st_size,
        decoder_flash_bytes=decoder,
        flash_dense_bytes=dense.stat().st_size,
        flash_bytes=encoded.stat().st_size + decoder + on_cpu.code_bytes,
        ram_bytes=None if memory.arena_bytes is None else memory.arena_bytes + memory.decoded_bytes,
        arena_dense_bytes=dense_arena,
        arena_decoded_bytes=arenas.decoded,
        arena_with_alternate_bytes=arenas.alternate,
        alternate_memory_bytes=arenas.alternate_memory_bytes,
        largest_decoded_bytes=max((size for each in sizes for size in each), default=0),
        decoded_bytes_per_invoke=sum(map(sum, sizes)),
        statement=IN_PLACE if computed else TRADE if sizes else "Nothing is decoded: the file is dense.",
        cpp=cpp,
        kernels=SPARSE if computed else TFLM,
        on_cpu=on_cpu,
    )


def files(file: Path, names: Sequence[str], cpp: str) -> dict[str, bytes | Path]:
    """Return the extra files: header and source of the C++ array, and the app.

    Args:
        file: the ``.tflite`` file.
        names: of the header, the source and the app; none: no files are asked for.
        cpp: the code of the app; empty: the runtime has no C++ type for an input or output, and the app is left out.
    """
    if not names:
        return {}
    header, source, app = names
    contents = micro_cpp.c_array(file.read_bytes(), Path(header).stem)
    found: dict[str, bytes | Path] = {header: contents[0].encode(), source: contents[1].encode()}
    if cpp:
        found[app] = cpp.encode()
    return found


def check_app(folder: Path, names: Sequence[str]) -> None:
    """Find out before the work whether an app of the user's own would be replaced.

    Args:
        folder: where the extra files go.
        names: of these files.

    Raises:
        OutputError: it would.
    """
    for name in names:
        path = folder / name
        if path.name == APP and path.is_file() and not path.read_bytes().startswith(MARK.encode()):
            asked = "`c_array`" if name == APP else "`micro_kernels`"
            raise OutputError(f"{path} is not by tflite-sparse and would be replaced: move it, or leave out {asked}.")
