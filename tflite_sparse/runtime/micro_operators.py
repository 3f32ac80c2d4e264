"""The operator with sparse weights for the Python package ``tflite-micro``: its C and C++ files as a shared library.

The package registers custom operators by the name of a function that it finds in the process. It exports what the
operator calls; ``micro_kernels/wheel/`` declares that, laid out as the pinned version has it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tflite_sparse.base import scratch
from tflite_sparse.codecs.streams.kernels import PIXELS_AT_ONCE
from tflite_sparse.errors import ExecutionError

LAID_OUT_FOR = "0.dev20261023182759"
"""The version of the package whose layout ``micro_kernels/wheel/`` declares; another one may have moved its fields."""

_PACKAGE = "tflite-micro"
_REGISTERER = "TfliteSparseRegisterer"
_loaded: list[str] = []  # of this process

SOURCES = Path(__file__).resolve().parent.parent / "micro_kernels"
"""Where the C and C++ files lie."""

_COMPILERS = (("cc", "c++"), ("gcc", "g++"), ("clang", "clang++"))
_FLAGS = ("-O2", "-fPIC")
_ALREADY_LOADED = 4  # RTLD_NOLOAD of <dlfcn.h>
_SECONDS = 120


def is_available() -> bool:
    """Whether compilers for the operator are installed."""
    return any(all(map(shutil.which, pair)) for pair in _COMPILERS)


@functools.cache
def library(pixels_at_once: int = PIXELS_AT_ONCE) -> bytes:
    """The shared library, compiled once in a process.

    Args:
        pixels_at_once: for which ``PIXEL_DELTA8`` asks memory, as it does on the CPU whose arena is measured.

    Raises:
        ExecutionError: no compilers are installed, or they failed.
    """
    found = next((pair for pair in _COMPILERS if all(map(shutil.which, pair))), None)
    if found is None:
        raise ExecutionError(
            "the operator with sparse weights is compiled to be run here; that needs a C and a C++ compiler: "
            "apt-get install gcc g++."
        )
    with scratch.folder() as folder:
        flags = ["-std=c99", *_FLAGS, f"-DTFLS_PIXELS={pixels_at_once}"]
        _call([found[0], *flags, "-c", str(SOURCES / "tflite_sparse_kernels.c"), "-o", "kernels.o"], folder)
        adapter = [str(SOURCES / "tflite_sparse_ops.cc"), str(SOURCES / "wheel" / "register.cc"), "kernels.o"]
        includes = [f"-I{SOURCES}", f"-I{SOURCES / 'wheel'}"]
        _call([found[1], "-std=c++11", *_FLAGS, "-shared", *includes, *adapter, "-o", "operator.so"], folder)
        return (folder / "operator.so").read_bytes()


def load(content: bytes) -> None:
    """Make the operator known to the interpreter of this process.

    Args:
        content: what :func:`library` returned.

    Raises:
        ExecutionError: the package is of another version than the library is made for.
    """
    version = importlib.metadata.version(_PACKAGE)
    if version != LAID_OUT_FOR:
        raise ExecutionError(
            f"{_PACKAGE} {version} is installed; operators with sparse weights run here in {LAID_OUT_FOR} only: "
            f"pip install {_PACKAGE}=={LAID_OUT_FOR}."
        )
    from tflite_micro.python.tflite_micro import _runtime

    ctypes.CDLL(_runtime.__file__, mode=ctypes.RTLD_GLOBAL | _ALREADY_LOADED)  # the library looks its functions up
    with scratch.folder() as folder:
        library = folder / "operator.so"
        library.write_bytes(content)
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    _loaded[:] = [_REGISTERER]


def registerers() -> list[str]:
    """What an interpreter of this process is given to register the operators that :func:`load` loaded."""
    return list(_loaded)


def _call(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ExecutionError(f"{command[0]} took more than {_SECONDS} s and was stopped.") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:300] or "it printed nothing"
        raise ExecutionError(f"{command[0]} does not compile the operator with sparse weights: {said}.")
