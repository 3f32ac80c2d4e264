"""Read recipes: TOML files with rules, and the presets that come with the package."""

from __future__ import annotations

import difflib
import importlib.resources
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import pydantic

from tflite_sparse.errors import SettingsError, one_line
from tflite_sparse.pruning import structure
from tflite_sparse.pruning.recipe import FIELDS, Recipe, Rule, given
from tflite_sparse.settings import PruningSettings
from tflite_sparse.settings.kinds import SharedCountOrAll
from tflite_sparse.target_registry import names_where

TARGETS = (*names_where(lambda traits: traits.has_preset), "native")
"""Base presets of recipes: one for each way of storing sparse weights."""

PRESETS = (*TARGETS, "float-normalization")

_SCHEDULE_FIELDS = {"kind": "schedule"} | {
    name: name for name in ("begin", "end", "frequency", "initial_sparsity")
}  # keys of a schedule table and their names in the settings
_FILE_KEYS = ("version", "target", "defaults", "rule")
_RULE_KEYS = (
    "layers",
    "types",
    "sparsity",
    "block",
    "channel_multiple",
    "schedule",
    "skip",
    "precision",
    "shared_values",
)


class _Defaults(PruningSettings):
    """The fields of a recipe, in TOML's strict types: ``"0.9"`` is no number."""

    model_config = pydantic.ConfigDict(strict=True)


class _RuleForm(_Defaults):
    layers: str | None = None
    types: list[str] | None = None
    skip: bool | None = None
    precision: Literal["int8", "float32"] | None = None
    shared_values: SharedCountOrAll | None = None


_Form = TypeVar("_Form", bound=_Defaults)


def read(path: Path) -> Recipe:
    """Read the recipe in a TOML file.

    Raises:
        SettingsError: it is missing, no TOML, or has contents that no recipe may have; names file, rule and key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}. A recipe is a TOML file.") from error
    return _parse(content, str(path), required=True)


def preset(name: str) -> Recipe:
    """Return the recipe of :data:`PRESETS` with this name.

    Raises:
        SettingsError: there is none.
    """
    if name not in PRESETS:
        raise SettingsError(f"there is no preset {name!r}: there are {', '.join(PRESETS)}.")
    file = importlib.resources.files("tflite_sparse.pruning") / "presets" / f"{name}.toml"
    return _parse(file.read_bytes(), f"preset {name}", required=False)


def find(path: Path) -> Recipe:
    """Return the preset of this name, else the recipe in this file; ``./micro`` is a file.

    Raises:
        SettingsError: see :func:`read`.
    """
    if str(path) in PRESETS:
        return preset(str(path))
    if not path.exists():
        raise SettingsError(f"{path}: no such file. A recipe is a TOML file, or one of {', '.join(PRESETS)}.")
    return read(path)


def _parse(content: bytes, name: str, *, required: bool) -> Recipe:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        raw = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{name} is no TOML file: {one_line(error)}.") from error
    _refuse_unknown(raw, _FILE_KEYS, name)
    version = raw.get("version")
    if type(version) is not int or version != 1:
        raise SettingsError(f"{name}: version = {version!r}: a recipe begins with version = 1.")
    base = _target(raw, name)
    defaults = _table(raw.get("defaults", {}), f"{name}, [defaults]")
    tables = raw.get("rule", [])
    if not isinstance(tables, list):
        raise SettingsError(f"{name}: rule is one table: begin each rule with [[rule]].")
    rules = [
        _rule(_table(table, f"{name}, rule {number}"), f"{name}, rule {number}", required)
        for number, table in enumerate(tables, 1)
    ]
    return Recipe(
        name,
        {
            **(base.defaults if base else {}),
            **given(_checked(defaults, f"{name}, [defaults]", tuple(sorted(FIELDS)), _Defaults)),
        },
        (*(base.rules if base else ()), *rules),
    )


def _target(raw: Mapping[str, object], name: str) -> Recipe | None:
    target = raw.get("target")
    if target is None:
        return None
    if not isinstance(target, str) or target not in TARGETS:
        raise SettingsError(f"{name}: target = {target!r}: there are {', '.join(TARGETS)}.")
    return preset(target)


def _rule(table: dict[str, object], place: str, required: bool) -> Rule:
    form = _checked(table, place, _RULE_KEYS, _RuleForm)
    values, skip, precision, shared = given(form), form.skip, form.precision, form.shared_values
    if form.layers is None and not form.types:
        raise SettingsError(f"{place} has neither layers nor types: what holds for all kernels belongs in [defaults].")
    if not values and skip is None and precision is None and shared is None:
        raise SettingsError(f"{place} sets nothing: give it {', '.join(_RULE_KEYS[2:])}.")
    if skip and values:
        raise SettingsError(f"{place}: skip = true leaves kernels alone: remove {', '.join(sorted(values))}, or skip.")
    pattern, types = _pattern(form.layers, place), tuple(form.types or ())
    return Rule(place, pattern, types, values, skip, precision, shared, required)


def _pattern(layers: str | None, place: str) -> re.Pattern[str] | None:
    if layers is None:
        return None
    try:
        return re.compile(layers)
    except re.error as error:
        raise SettingsError(f"{place}: layers = {layers!r} is no regular expression: {error}.") from error


def _checked(table: dict[str, object], place: str, keys: Sequence[str], form: Callable[..., _Form]) -> _Form:
    """Return the checked fields that ``table`` sets, including those of a schedule table."""
    _refuse_unknown(table, keys, place)
    flat = dict(table)
    schedule = flat.get("schedule")
    if isinstance(schedule, dict):
        _refuse_unknown(schedule, tuple(_SCHEDULE_FIELDS), f"{place}, schedule")
        del flat["schedule"]
        renamed = {_SCHEDULE_FIELDS[key]: value for key, value in schedule.items()}
        twice = sorted(renamed.keys() & flat.keys())
        if twice:
            raise SettingsError(f"{place}: {twice[0]} is given twice, in schedule and beside it.")
        flat |= renamed
    try:
        checked = form(**flat)
        if checked.block != structure.CHANNEL:
            structure.parse(checked.block)
    except SettingsError as error:
        in_toml = re.sub(r"`([\w.]+)=([^`]*)`", r"\1 = \2", str(error)).rstrip(".")
        raise SettingsError(f"{place}: {in_toml}.") from error
    return checked


def _table(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise SettingsError(f"{place} is no table.")
    return value


def _refuse_unknown(table: Mapping[str, object], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise SettingsError(f"{place}: unknown key {key!r}; {hint}")
