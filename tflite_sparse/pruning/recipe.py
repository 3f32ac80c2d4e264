"""Read recipes: TOML files with rules on how single kernels are pruned and which layers stay float32."""

from __future__ import annotations

import difflib
import importlib.resources
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import pydantic

from tflite_sparse.errors import SettingsError, one_line
from tflite_sparse.pruning import masks, structure
from tflite_sparse.pruning.plan import KernelPlan, Plan, Planner, Span, plan_kernel
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel, Layer
from tflite_sparse.target_registry import names_where

TARGETS = (*names_where(lambda traits: traits.has_preset), "native")
"""Base presets of recipes: one for each way of storing sparse weights."""

PRESETS = (*TARGETS, "float-normalization")

_FIELDS = frozenset(PruningSettings.model_fields)
_SCHEDULE_FIELDS = {"kind": "schedule"} | {
    name: name for name in ("begin", "end", "frequency", "initial_sparsity")
}  # keys of a schedule table and their names in the settings
_FILE_KEYS = ("version", "target", "defaults", "rule")
_RULE_KEYS = ("layers", "types", "sparsity", "block", "schedule", "skip", "precision")
_NO_KERNELS = ("Normalization", "PReLU", "unread")  # slopes and scales that a rule for all layers would match


class _Defaults(PruningSettings):
    """The fields of a recipe, in TOML's strict types: ``"0.9"`` is no number."""

    model_config = pydantic.ConfigDict(strict=True)


class _RuleForm(_Defaults):
    layers: str | None = None
    types: list[str] | None = None
    skip: bool | None = None
    precision: Literal["int8", "float32"] | None = None


_Form = TypeVar("_Form", bound=_Defaults)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        place: its name in messages: ``"recipe.toml, rule 2"``.
        layers: matches the names of the kernels it applies to; None: any name.
        types: classes of their layers; empty: any.
        changes: fields of :class:`tflite_sparse.settings.PruningSettings` that it sets.
        skip: True: do not prune them; False: prune them even if they are not by default; None: no change.
        precision: of the operators of the layers in an int8 file; None: no change.
        required: whether it must match and fit. Rules of a preset that do not are ignored.
    """

    place: str
    layers: re.Pattern[str] | None = None
    types: tuple[str, ...] = ()
    changes: Mapping[str, object] = field(default_factory=dict)
    skip: bool | None = None
    precision: Literal["int8", "float32"] | None = None
    required: bool = True

    @property
    def prunes(self) -> bool:
        """Whether it affects masks."""
        return bool(self.changes) or self.skip is not None

    def matches(self, item: Kernel | Layer) -> bool:
        """Return whether it applies to ``item``."""
        if self.types and not self.types_of(item).intersection(self.types):
            return False
        return self.layers is None or any(self.layers.fullmatch(name) for name in names_of(item))

    @staticmethod
    def types_of(item: Kernel | Layer) -> set[str]:
        """Return the classes of its layer; a cell also counts without ``Cell``: ``LSTMCell`` as ``LSTM``."""
        classes = item.owner.split("+")
        return {*classes, *(each.removesuffix("Cell") for each in classes)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe: fields for all kernels, then rules. Later rules take precedence."""

    name: str
    defaults: Mapping[str, object]
    rules: tuple[Rule, ...]

    @property
    def prunes(self) -> bool:
        """Whether it affects masks."""
        return bool(self.defaults) or any(rule.prunes for rule in self.rules)

    @property
    def chooses_precision(self) -> bool:
        """Whether a rule keeps layers in float32."""
        return any(rule.precision == "float32" for rule in self.rules)


def names_of(item: Kernel | Layer) -> list[str]:
    """Return the names that ``layers`` may match in full: the path, and every part of it between slashes.

    ``encoder/dense/kernel`` matches ``encoder``, ``dense``, ``encoder/dense``, ``dense/kernel`` and so on.
    """
    parts = item.name.partition(" ")[0].split("/")  # a number follows a name that is not unique
    runs = ["/".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
    return list(dict.fromkeys([item.name, *runs]))


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


def planner(recipe: Recipe, settings: PruningSettings) -> Planner:
    """Return a planner for a recipe.

    Fields that are set in ``settings`` (``model_fields_set``, and not None) take precedence over the recipe's defaults,
    its rules over both. Rules apply in order; the later one wins, field by field.

    Raises:
        SettingsError: when called: a rule matches or changes nothing, a block is larger than a kernel, the steps are
            out of order, N:M implies another sparsity than the settings, or nothing is left to prune.
    """
    given = {name: value for name, value in _given(settings).items() if value is not None}
    defaults = {**recipe.defaults, **given}

    def plan(kernels: Sequence[Kernel], span: Span) -> Plan:
        scope = PruningSettings(**defaults).scope
        usual = {kernel.name for kernel in masks.prunable_while_training(kernels)}
        candidates = [kernel for kernel in kernels if not _is_no_kernel(kernel)]
        included = {
            each.name for rule in recipe.rules if rule.skip is False for each in filter(rule.matches, candidates)
        }
        for rule in recipe.rules:
            _check(rule, candidates, usual | included, scope)
        planned = [_plan(kernel, recipe, defaults, span, kernel.name in usual) for kernel in candidates]
        found = tuple(each for each in planned if each is not None)
        if not found:
            raise SettingsError(f"{recipe.name}: nothing to prune; its rules skip every kernel.")
        return Plan(found, scope)

    return plan


def float_layers(recipe: Recipe, layers: Sequence[Layer]) -> dict[str, list[str]]:
    """Return the layers whose operators stay float32: those whose last rule with a precision demands it.

    Returns:
        Their names, by the place of that rule.

    Raises:
        SettingsError: a rule with a precision matches no layer.
    """
    chosen: dict[str, Rule] = {}
    for rule in recipe.rules:
        if rule.precision is None:
            continue
        matched = [layer for layer in layers if rule.matches(layer)]
        if not matched:
            raise SettingsError(f"{rule.place}: {_matches_nothing(rule, layers, 'layer')}")
        chosen |= {layer.name: rule for layer in matched}
    result: dict[str, list[str]] = {}
    for name, rule in chosen.items():
        if rule.precision == "float32":
            result.setdefault(rule.place, []).append(name)
    return result


def _plan(
    kernel: Kernel, recipe: Recipe, defaults: Mapping[str, object], span: Span, included: bool
) -> KernelPlan | None:
    values, applied = dict(defaults), []
    for rule in recipe.rules:
        if not rule.matches(kernel) or not (rule.required or _fits(rule, kernel)):
            continue
        if rule.skip is not None:
            included = not rule.skip
        if not rule.changes:
            continue
        applied.append(rule.place)
        # The sparsity of N:M replaces one from before; a sparsity in the same rule must agree with it.
        if _makes_sparsity(rule.changes):
            values.pop("sparsity", None)
        values.update(rule.changes)
    if not included:
        return None
    try:
        return plan_kernel(kernel, PruningSettings(**values), span)
    except SettingsError as error:
        where = ", ".join([recipe.name, *(place.removeprefix(f"{recipe.name}, ") for place in applied)])
        about = "" if kernel.name in str(error) else f" (for {kernel.name})"
        raise SettingsError(f"{where}: {str(error).rstrip('.')}{about}.") from error


def _check(rule: Rule, kernels: Sequence[Kernel], pruned: set[str], scope: str) -> None:
    """Refuse a rule that does nothing, or that sets a field which a global ranking ignores."""
    if not rule.required or not rule.prunes:
        return
    matched = [kernel for kernel in kernels if rule.matches(kernel)]
    if not matched:
        raise SettingsError(f"{rule.place}: {_matches_nothing(rule, kernels, 'kernel')}")
    if rule.skip is None and not any(kernel.name in pruned for kernel in matched):
        raise SettingsError(
            f"{rule.place} applies only to kernels that are left dense by default "
            f"({_listed(kernel.name for kernel in matched)}): add skip = false, or remove it."
        )
    if scope == "global" and (rule.changes.keys() - {"block"} or _makes_sparsity(rule.changes)):
        raise SettingsError(f"{rule.place}: under scope = 'global' a rule may set a block or skip, nothing else.")


def _matches_nothing(rule: Rule, items: Sequence[Kernel | Layer], what: str) -> str:
    by_type = [item for item in items if not rule.types or rule.types_of(item).intersection(rule.types)]
    if not by_type:
        types = sorted({each.removesuffix("Cell") for item in items for each in item.owner.split("+")})
        return f"types = {list(rule.types)} match no {what}; there are {_listed(types, 8)}."
    pattern = "" if rule.layers is None else rule.layers.pattern
    among = f" of type {' or '.join(rule.types)}" if rule.types else ""
    names = {name: item.name for item in by_type for name in reversed(names_of(item))}
    near = difflib.get_close_matches(pattern, names, n=6, cutoff=0.5)
    found = dict.fromkeys([names[name] for name in near] or [item.name for item in by_type])
    return f"layers = {pattern!r} matches no {what}{among}; there are {_listed(found)}."


def _is_no_kernel(kernel: Kernel) -> bool:
    leaf = kernel.name.rpartition("/")[2].partition(" ")[0]
    return leaf == "bias" or any(word in kernel.owner for word in _NO_KERNELS)


def _fits(rule: Rule, kernel: Kernel) -> bool:
    shape = structure.parse(str(rule.changes.get("block", "1x1")))
    return structure.fits(shape, *(kernel.shape[axis] for axis in kernel.axes))


def _makes_sparsity(changes: Mapping[str, object]) -> bool:
    return "block" in changes and structure.parse(str(changes["block"])).sparsity is not None


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
            **_given(_checked(defaults, f"{name}, [defaults]", tuple(sorted(_FIELDS)), _Defaults)),
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
    values, skip, precision = _given(form), form.skip, form.precision
    if form.layers is None and not form.types:
        raise SettingsError(f"{place} has neither layers nor types: what holds for all kernels belongs in [defaults].")
    if not values and skip is None and precision is None:
        raise SettingsError(f"{place} sets nothing: give it {', '.join(_RULE_KEYS[2:])}.")
    if skip and values:
        raise SettingsError(f"{place}: skip = true leaves kernels alone: remove {', '.join(sorted(values))}, or skip.")
    return Rule(place, _pattern(form.layers, place), tuple(form.types or ()), values, skip, precision, required)


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
        structure.parse(checked.block)
    except SettingsError as error:
        in_toml = re.sub(r"`([\w.]+)=([^`]*)`", r"\1 = \2", str(error)).rstrip(".")
        raise SettingsError(f"{place}: {in_toml}.") from error
    return checked


def _given(settings: PruningSettings) -> dict[str, object]:
    """The fields of a recipe that were set."""
    return {name: getattr(settings, name) for name in settings.model_fields_set & _FIELDS}


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


def _listed(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
