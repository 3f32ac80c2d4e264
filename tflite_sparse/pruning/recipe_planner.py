"""Apply a recipe to a model: a plan for its kernels, and the layers that stay float32."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import masks, structure
from tflite_sparse.pruning.plan import KernelPlan, Plan, Planner, Span, plan_kernel
from tflite_sparse.pruning.recipe import Recipe, Rule, given, names_of
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel, Layer

_NO_KERNELS = ("Normalization", "PReLU", "unread")  # slopes and scales that a rule for all layers would match


def planner(recipe: Recipe, settings: PruningSettings) -> Planner:
    """Return a planner for a recipe.

    Fields that are set in ``settings`` (``model_fields_set``, and not None) take precedence over the recipe's defaults,
    its rules over both. Rules apply in order; the later one wins, field by field.

    Raises:
        SettingsError: when called: a rule matches or changes nothing, a block is larger than a kernel, the steps are
            out of order, N:M implies another sparsity than the settings, or nothing is left to prune.
    """
    told = {name: value for name, value in given(settings).items() if value is not None}
    defaults = {**recipe.defaults, **told}

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


def _listed(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
