"""Test that a package of the library imports only from itself and from the packages to its left."""

import ast
from pathlib import Path

import pytest

from tflite_sparse.target_registry import TARGETS

LIBRARY = Path(__file__).resolve().parents[2] / "tflite_sparse"
PROGRAM = LIBRARY.parent / "cli" / "tflite_sparse_cli"
ROOMS = [
    "version",
    "errors",
    "target_registry",
    "results",
    "base",
    "flatbuffer",
    "codecs",
    "settings",
    "sources",
    "runtime",
    "conversion",
    "pruning",
    "rewrites",
    "scoring",
    "targets",
    "standalone_c",
    "verification",
    "measurement",
    "planning",
    "report",
    "fitting",
    "backends",
    "stages",
    "commands",
]
KNOW_TARGETS = {"target_registry", "backends"}
WITHOUT_TENSORFLOW = {"flatbuffer", "codecs", "rewrites", "targets", "standalone_c", "planning", "runtime"}


def imported(path):
    """Return the imports of a module as dotted names."""
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


@pytest.mark.parametrize("path", sorted((LIBRARY / "stages").rglob("*.py")), ids=lambda path: path.name)
def test_a_stage_makes_no_page(path):
    assert not [name for name in imported(path) if name.startswith("tflite_sparse.report.page")]


def compared_texts(code):
    """The texts that code compares something with, that it matches, or that are keys of a dictionary it writes."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        else:
            continue
        leaves = (leaf for part in parts for leaf in ast.walk(part))
        yield from (leaf.value for leaf in leaves if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str))


ALL_MODULES = [*sorted(LIBRARY.rglob("*.py")), *sorted(PROGRAM.rglob("*.py"))]


@pytest.mark.parametrize("path", ALL_MODULES, ids=lambda path: str(path.relative_to(LIBRARY.parent)))
def test_only_the_registry_and_the_backends_ask_which_target_it_is(path):
    if path.is_relative_to(LIBRARY) and path.relative_to(LIBRARY).parts[0].removesuffix(".py") in KNOW_TARGETS:
        return
    assert not set(compared_texts(path.read_text(encoding="utf-8"))) & set(TARGETS)


@pytest.mark.parametrize(
    "code",
    [
        "if target == 'micro': pass",
        "if 'ethos-u' != settings.target: pass",
        "if target in ('litert', 'micro'): pass",
        "match target:\n    case 'micro' | 'litert':\n        pass",
        "found = {'micro': 1}[target]",
    ],
)
def test_the_probe_sees_such_a_question(code):
    assert set(compared_texts(code)) & set(TARGETS)
