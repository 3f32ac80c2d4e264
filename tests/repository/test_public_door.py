"""Test the public names of ``tflite_sparse``, their typed keywords and documentation."""

import importlib.metadata
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
import pytest
from typing_extensions import Unpack

import tflite_sparse
from tflite_sparse import settings
from tflite_sparse.settings import AnyPath, Flag

FUNCTIONS = {
    "bench": settings.BenchSettings,
    "decode": settings.DecodeSettings,
    "encode": settings.EncodeSettings,
    "export": settings.ExportSettings,
    "fit": settings.FitSettings,
    "inspect": settings.InspectSettings,
    "prune": settings.PruneSettings,
    "scan": settings.PruneSettings,
    "sweep": settings.SweepSettings,
    "verify": settings.VerifySettings,
}
CLASSES = {name: value for name, value in vars(settings).items() if name.endswith("Settings")}


def options_of(name):
    return getattr(settings, name.removesuffix("Settings") + "Options")


def accepted(annotation):
    """Return the type that a keyword accepts for a field with this annotation."""
    if get_origin(annotation) is Annotated:
        inner, *narrowed = get_args(annotation)
        takes_text = any(isinstance(each, pydantic.BeforeValidator) for each in narrowed)
        return accepted(inner) | str if takes_text else accepted(inner)
    if get_origin(annotation) in (Union, types.UnionType):
        return Union[tuple(accepted(each) for each in get_args(annotation))]  # noqa: UP007 - made at run time
    if get_origin(annotation) is tuple:
        return Sequence[accepted(get_args(annotation)[0])]
    if get_origin(annotation) is dict:
        return Mapping[tuple(accepted(each) for each in get_args(annotation))]
    return AnyPath if annotation is Path else annotation


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "Settings"])
def test_keywords_have_the_names_and_types_of_the_fields(name):
    fields = get_type_hints(CLASSES[name], include_extras=True)
    fields = {each: accepted(fields[each]) for each in CLASSES[name].model_fields}
    keywords = get_type_hints(options_of(name))
    assert keywords == fields
    assert keywords
    assert not options_of(name).__required_keys__


@pytest.mark.parametrize(("name", "taken"), FUNCTIONS.items())
def test_functions_show_every_setting(name, taken):
    function = getattr(tflite_sparse, name)
    options = options_of(taken.__name__)
    assert get_type_hints(function)["settings"] == Unpack[options]
    shown = inspect.signature(function).parameters
    assert inspect.Parameter.VAR_KEYWORD not in {each.kind for each in shown.values()}
    for field, about in taken.model_fields.items():
        assert shown[field].kind is inspect.Parameter.KEYWORD_ONLY
        assert shown[field].default == about.get_default(call_default_factory=True)
    section = function.__doc__.partition("\nSettings:\n")[2]
    assert re.findall(r"^    (\w+): \S", section, re.M) == list(taken.model_fields)
    assert max(map(len, section.splitlines())) <= 120


def test_the_callback_shows_every_setting():
    shown = inspect.signature(tflite_sparse.pruning.MagnitudePruning).parameters
    assert list(shown)[:3] == ["sparsity", "planner", "warn"]
    assert shown.keys() >= settings.PruningSettings.model_fields.keys()
    section = tflite_sparse.pruning.MagnitudePruning.__init__.__doc__
    assert "    begin: Training step of the first mask. Default: a tenth of the steps, of channels a" in section
    assert "    sparsity:" not in section


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "Settings"])
def test_descriptions_name_only_what_exists(name):
    fields = CLASSES[name].model_fields
    texts = [field.description or "" for field in fields.values()]
    assert all(texts), "a field without a description"
    texts += [each.default or "" for field in fields.values() for each in field.metadata if isinstance(each, Flag)]
    named = {found for text in texts for found in re.findall(r"`(\w+)", text)}
    # A shared part may name a setting of the commands that have it.
    users = [other for other in CLASSES.values() if issubclass(other, CLASSES[name])]
    known = {"model"}.union(*(other.model_fields for other in users))
    assert named <= known


def test_every_public_name_is_there():
    shown = dir(tflite_sparse)
    for name in tflite_sparse.__all__:
        assert getattr(tflite_sparse, name) is not None
        assert name in shown
    assert {name for name in shown if not name.startswith("__")} - set(tflite_sparse.__all__) == {
        "errors",
        "pruning",
        "settings",
    }
    assert tflite_sparse.__version__ == importlib.metadata.version("tflite-sparse")
    assert (Path(tflite_sparse.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        tflite_sparse.exprot  # noqa: B018 - looking it up is the test


def test_names_are_loaded_when_they_are_asked_for():
    code = """
import sys, tflite_sparse
dir(tflite_sparse)
assert not [name for name in sys.modules if name.startswith("tflite_sparse.")]
tflite_sparse.ExportSettings
assert not [name for name in sys.modules if name.startswith("tflite_sparse.commands")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_literals_are_the_same_in_keywords_and_fields():
    """Otherwise the comparison above could not fail."""
    assert accepted(Literal["a"]) != Literal["b"]
    assert accepted(tuple[int, ...]) == Sequence[int]
    assert accepted(Annotated[Path | None, Flag()]) == AnyPath | None


def test_nothing_to_measure():
    with pytest.raises(tflite_sparse.errors.SettingsError, match="one or more `files`"):
        tflite_sparse.bench([])
