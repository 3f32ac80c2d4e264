"""Apply a recipe to a model: a plan for its kernels, and the layers that stay float32."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import masks, structure
from tflite_sparse.pruning.plan import ChannelPlan, KernelPlan, Plan, Planner, Span, plan_channels, plan_kernel
from tflite_sparse.pruning.recipe import Recipe, Rule, given, names_of
from tflite_sparse.settings import PruningSettings
from tflite_sparse.settings.kinds import SharedCountOrAll
from tflite_sparse.sources.source_model import Kernel, Layer

_Planned = TypeVar("_Planned", KernelPlan, ChannelPlan)

_NO_KERNELS = ("Normalization", "PReLU", "unread")  # slopes and scales that a rule for all layers would match


def planner(recipe: Recipe, settings: PruningSettings) -> Planner:
    """Return a planner for a recipe.

    Fields that are set in ``settings`` (``model_fields_set``, and not None) take precedence over the recipe's defaults,
    its rules over both. Rules apply in order; the later one wins, field by field. A rule with ``block = "channel"``
    prunes channels in the place of weights; later rules without a ``block`` of channels prune weights of what remains.

    Raises:
        SettingsError: when called: a rule matches or changes nothing, a block is larger than a kernel, the steps are
            out of order, N:M implies another sparsity than the settings, or nothing is left to prune.
    """
    told = {name: value for name, value in given(settings).items() if value is not None}
    defaults = {**recipe.defaults, **told}

    def plan(kernels: Sequence[Kernel], span: Span) -> Plan:
        scope = PruningSettings(**defaults).scope
        candidates = [kernel for kernel in kernels if not _is_no_kernel(kernel)]
        usual = _Usual(
            frozenset(kernel.name for kernel in masks.prunable_while_training(kernels)),
            frozenset(kernel.name for kernel in kernels if masks.why_never_pruned(kernel) is None),
        )
        included = frozenset(
            each.name for rule in recipe.rules if rule.skip is False for each in filter(rule.matches, candidates)
        )
        for rule in recipe.rules:
            pruned = usual.channels if _is_of_channels(rule.changes) else usual.weights
            _check(rule, candidates, pruned | included, scope)
        asked = [_asked(kernel, recipe, defaults, usual) for kernel in candidates]
        weights = tuple(each.planned(plan_kernel, each.weights, span) for each in asked if each.weights is not None)
        channels = tuple(
            each.planned(plan_channels, each.channels, span) for each in asked if each.channels is not None
        )
        if not weights and not channels:
            raise SettingsError(f"{recipe.name}: nothing to prune; its rules skip every kernel.")
        return Plan(weights, scope, channels)

    return plan


def float_layers(recipe: Recipe, layers: Sequence[Layer]) -> dict[str, list[str]]:
    """Return the layers whose operators stay float32: those whose last rule with a precision demands it.

    Returns:
        Their names, by the place of that rule.

    Raises:
        SettingsError: a rule with a precision matches no layer.
    """
    chosen = _last_rules([rule for rule in recipe.rules if rule.precision is not None], layers, "layer")
    result: dict[str, list[str]] = {}
    for name, rule in chosen.items():
        if rule.precision == "float32":
            result.setdefault(rule.place, []).append(name)
    return result


def shared_values(recipe: Recipe, kernels: Sequence[Kernel]) -> dict[str, SharedCountOrAll]:
    """Return how many values the weights of kernels share in an int8 file, by name, where a rule says so.

    Raises:
        SettingsError: a rule with a number of values matches no kernel.
    """
    candidates = [kernel for kernel in kernels if not _is_no_kernel(kernel)]
    rules = _last_rules([rule for rule in recipe.rules if rule.shared_values is not None], candidates, "kernel")
    return {name: rule.shared_values for name, rule in rules.items() if rule.shared_values is not None}


@dataclass(frozen=True, slots=True)
class _Usual:
    """Names of the kernels that are pruned by default: those of which weights are, and those of which channels are."""

    weights: frozenset[str]
    channels: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a recipe asks of one kernel: settings for its weights and for its channels; None: they are not pruned."""

    kernel: Kernel
    places: tuple[str, ...]
    weights: Mapping[str, object] | None
    channels: Mapping[str, object] | None

    def planned(
        self, plan: Callable[[Kernel, PruningSettings, Span], _Planned], values: Mapping[str, object], span: Span
    ) -> _Planned:
        """Return the plan for ``values``, one of the two.

        Raises:
            SettingsError: the values do not fit; names the rules.
        """
        try:
            return plan(self.kernel, PruningSettings(**values), span)
        except SettingsError as error:
            about = "" if self.kernel.name in str(error) else f" (for {self.kernel.name})"
            raise SettingsError(f"{', '.join(self.places)}: {str(error).rstrip('.')}{about}.") from error


def _asked(kernel: Kernel, recipe: Recipe, defaults: Mapping[str, object], usual: _Usual) -> _Asked:
    weights: dict[str, object] | None = dict(defaults)
    channels: dict[str, object] | None = None
    if _is_of_channels(defaults):
        weights, channels = None, weights
    skips: bool | None = None
    places = [recipe.name]
    for rule in recipe.rules:
        if not rule.matches(kernel) or not (rule.required or _fits(rule, kernel)):
            continue
        if rule.skip is not None:
            skips = rule.skip
        if not rule.changes:
            continue
        places.append(rule.place.removeprefix(f"{recipe.name}, "))
        if _is_of_channels(rule.changes):
            weights, channels = None, {**(channels or weights or {}), **rule.changes}
            continue
        if weights is None:
            weights = _for_what_remains(defaults)
        # The sparsity of N:M replaces one from before; a sparsity in the same rule must agree with it.
        if _makes_sparsity(rule.changes):
            weights.pop("sparsity", None)
        weights.update(rule.changes)

    def chosen(values: Mapping[str, object] | None, names: frozenset[str]) -> Mapping[str, object] | None:
        is_pruned = kernel.name in names if skips is None else not skips
        return values if is_pruned else None

    return _Asked(kernel, tuple(places), chosen(weights, usual.weights), chosen(channels, usual.channels))


def _for_what_remains(defaults: Mapping[str, object]) -> dict[str, object]:
    """Return what rules for the weights that remain begin with: defaults that are of channels do not count."""
    of_channels = ("block", "sparsity") if _is_of_channels(defaults) else ()
    return {name: value for name, value in defaults.items() if name not in of_channels}


def _check(rule: Rule, kernels: Sequence[Kernel], pruned: frozenset[str], scope: str) -> None:
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


def _last_rules(rules: Sequence[Rule], items: Sequence[Kernel] | Sequence[Layer], what: str) -> dict[str, Rule]:
    """Return the last rule that matches each item, by the item's name; items without one are left out.

    Raises:
        SettingsError: a rule matches nothing.
    """
    chosen: dict[str, Rule] = {}
    for rule in rules:
        matched = [item for item in items if rule.matches(item)]
        if not matched:
            raise SettingsError(f"{rule.place}: {_matches_nothing(rule, items, what)}")
        chosen |= {item.name: rule for item in matched}
    return chosen


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


def _is_of_channels(changes: Mapping[str, object]) -> bool:
    return changes.get("block") == structure.CHANNEL


def _fits(rule: Rule, kernel: Kernel) -> bool:
    if _is_of_channels(rule.changes):
        return True
    shape = structure.parse(str(rule.changes.get("block", "1x1")))
    return structure.fits(shape, *(kernel.shape[axis] for axis in kernel.axes))


def _makes_sparsity(changes: Mapping[str, object]) -> bool:
    return (
        "block" in changes
        and not _is_of_channels(changes)
        and structure.parse(str(changes["block"])).sparsity is not None
    )


def _listed(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
