"""Packages of extras: which modules may be imported where, and how messages say to install them."""

import ast
import importlib.metadata
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tflite_sparse.base import extras
from tflite_sparse.errors import MissingPackageError

ROOT = Path(__file__).resolve().parents[2]
OURS = {"tflite_sparse", "tflite_sparse_cli"}


def normal(name):
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared():
    """Packages of the core, and those of each extra, as pyproject.toml has them."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements):
        return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}

    return names(project["dependencies"]), {k: names(v) for k, v in project["optional-dependencies"].items()}


def imports(nodes, *, on_import):
    """Modules that statements import: all, or those ``on_import`` of the file that holds the statements."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif on_import and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        ):
            continue
        else:
            yield from imports(ast.iter_child_nodes(node), on_import=on_import)


def foreign(*, on_import):
    """Packages that the library imports from, with the files that do."""
    homes = importlib.metadata.packages_distributions()
    found = {}
    for folder in ("tflite_sparse", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            tops = {m.split(".")[0] for m in imports([ast.parse(path.read_text("utf-8"))], on_import=on_import)}
            for top in tops - OURS - set(sys.stdlib_module_names):
                packages = {normal(name) for name in homes.get(top, [top])}
                found.setdefault(frozenset(packages), []).append(str(path.relative_to(ROOT)))
    return found


def test_no_module_needs_more_than_the_core_to_be_imported():
    core, _ = declared()
    found = foreign(on_import=True)
    assert found, "the search finds none"
    assert not {packages: files for packages, files in found.items() if not packages & core}


def test_what_is_imported_is_declared():
    core, by_extra = declared()
    used = foreign(on_import=False)
    assert not {packages: files for packages, files in used.items() if not packages & core.union(*by_extra.values())}


def test_the_extra_holds_what_commands_require():
    _, by_extra = declared()
    homes = importlib.metadata.packages_distributions()
    missing = [m for m in extras._KERAS if not {normal(name) for name in homes[m]} & by_extra["keras"]]
    assert not missing


def test_a_missing_package_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(extras._KERAS, "no_such_module", "Such")
    with pytest.raises(MissingPackageError) as caught:
        extras.require_keras("export")
    assert str(caught.value) == f"export needs Such: {extras.install_command('keras')}"
    extras.require_keras("report", "matplotlib")  # asks for no other than those named


def record(monkeypatch, direct_url):
    """Let the package be one whose origin is ``direct_url`` (PEP 610); None: the package index."""

    class Installed:
        def read_text(self, name):
            return json.dumps(direct_url) if name == "direct_url.json" and direct_url else None

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed())


@pytest.mark.parametrize(
    ("direct_url", "asks"),
    [
        (None, "'tflite-sparse[keras]'"),
        ({"url": "file:///home/me/a%20b", "dir_info": {}}, "'/home/me/a b[keras]'"),
        ({"url": "file:///home/me/c", "dir_info": {"editable": True}}, "-e '/home/me/c[keras]'"),
        ({"url": "file:///tmp/x-1.whl", "archive_info": {}}, "'/tmp/x-1.whl[keras]'"),
        ({"url": "https://x.org/x-1.whl", "archive_info": {}}, "'tflite-sparse[keras] @ https://x.org/x-1.whl'"),
        ({"url": "https://x.org/x", "vcs_info": {"vcs": "git"}}, "'tflite-sparse[keras] @ git+https://x.org/x'"),
    ],
)
def test_an_extra_comes_from_where_the_package_came_from(monkeypatch, direct_url, asks):
    record(monkeypatch, direct_url)
    assert extras.install_command("keras") == f"pip install {asks}"


def test_a_package_that_is_not_installed_is_run_from_its_checkout(monkeypatch):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    assert shlex.split(extras.install_command("ray")) == ["pip", "install", f"{ROOT}[ray]"]
