"""Run Python files that the user names: the only code outside of this package that it runs."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tflite_sparse.errors import InputError, one_line


def address(spec: str) -> tuple[Path, str] | None:
    """Return file and function of ``path/to/module.py:function``; None if ``spec`` has another form."""
    file, _, function = spec.rpartition(":")
    return (Path(file), function) if file.endswith(".py") else None


def load_module(path: Path, raising: type[InputError]) -> ModuleType:
    """Run the Python file at ``path`` and return it as a module.

    Its folder is on ``sys.path`` while it runs, as for a script.

    Raises:
        InputError: of the type ``raising``: the file is missing or raised an exception.
    """
    if not path.is_file():
        raise raising(f"{path}: no such Python file.")
    name = f"tflite_sparse_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise raising(f"{path} is not a Python file: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickled and registered classes look their module up
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise raising(f"{path} raised {type(error).__name__}: {one_line(error)}") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def load_function(path: Path, name: str, raising: type[InputError]) -> Callable[..., object]:
    """Run the Python file at ``path`` and return its function ``name``.

    Raises:
        InputError: of the type ``raising``: see :func:`load_module`, or there is no such function.
    """
    found = getattr(load_module(path, raising), name, None)
    if not callable(found):
        raise raising(f"{path} has no function {name!r}.")
    return found  # type: ignore[no-any-return]


def call(path: Path, function: str, raising: type[InputError], *arguments: object) -> object:
    """Run the Python file at ``path``, call its ``function`` with ``arguments``, and return the result.

    Raises:
        InputError: of the type ``raising``: see :func:`load_function`, or the function raised.
    """
    made = load_function(path, function, raising)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return made(*arguments)
    except Exception as error:
        raise raising(f"{path}:{function} raised {type(error).__name__}: {one_line(error)}") from error
