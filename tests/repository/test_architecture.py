"""A room of the library imports only from itself and from the rooms to its left."""

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "tflite_sparse"
ROOMS = [
    "errors",
    "results",
    "base",
    "settings",
    "file_settings",
    "sources",
    "flatbuffer",
    "codecs",
    "runtime",
    "conversion",
    "pruning",
    "rewrites",
    "scoring",
    "targets",
    "verification",
    "measurement",
    "planning",
    "report",
    "fitting",
    "backends",
    "stages",
    "commands",
]
WITHOUT_TENSORFLOW = {"flatbuffer", "codecs", "rewrites", "targets", "planning", "runtime"}


def imported(path):
    """What a module imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = node.module == "tflite_sparse"
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if inner else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_go_to_the_left(path):
    room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    names = list(imported(path))
    assert room not in WITHOUT_TENSORFLOW or not {"tensorflow", "keras", "tf_keras"} & {n.split(".")[0] for n in names}
    if room in ("__init__", "config"):  # the public door, and the old name of the settings
        return
    allowed = ROOMS[: ROOMS.index(room) + 1]
    rooms = {name.split(".")[1] for name in names if name.startswith("tflite_sparse.")}
    assert rooms <= set(allowed), f"{room} may import {', '.join(allowed)}"
