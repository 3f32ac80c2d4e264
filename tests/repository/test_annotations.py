"""Test that packages with complete types do not use ``Any``, which the checker ignores."""

import ast
from pathlib import Path

import pytest

import tflite_sparse

LIBRARY = Path(tflite_sparse.__file__).parent
PACKAGES = ("codecs", "conversion", "fitting", "flatbuffer", "measurement", "planning", "report", "results", "rewrites")
UNION_OF_OPTIONS = {"flatbuffer/types.py": ["builtinOptions"]}


def fields_or_functions_with_any(path):
    tree = ast.parse(path.read_text("utf-8"))
    owners = {}
    for node in ast.walk(tree):  # from the outside to the inside: the innermost owner stays
        if isinstance(node, ast.AnnAssign | ast.FunctionDef | ast.Assign):
            owners.update((id(inner), node) for inner in ast.walk(node))
    found = [owners[id(node)] for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "Any"]
    return [getattr(getattr(node, "target", node), "id", getattr(node, "name", "assignment")) for node in found]


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_any(package):
    paths = {path.relative_to(LIBRARY).as_posix(): path for path in (LIBRARY / package).rglob("*.py")}
    found = {name: fields_or_functions_with_any(path) for name, path in paths.items()}
    assert {name: places for name, places in found.items() if places} == (
        UNION_OF_OPTIONS if package == "flatbuffer" else {}
    )
