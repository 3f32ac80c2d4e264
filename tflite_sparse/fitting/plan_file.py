"""Write a plan as a recipe for ``prune --recipe``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from tflite_sparse.fitting.candidates import Choice
from tflite_sparse.pruning import masks, recipe
from tflite_sparse.sources.source_model import Kernel


def text(choice: Choice, kernels: Sequence[Kernel], schedule: Mapping[str, int] | None = None) -> str:
    """Return the TOML text.

    A rule for ``dense/kernel`` also matches ``encoder/dense/kernel``, so deeper kernels come later. Kernels without a
    plan get a rule that skips them if the rule of another one matches them; otherwise ``prune`` would prune them.

    Args:
        choice: the plan.
        kernels: all kernels of the model.
        schedule: ``begin``, ``end`` and ``frequency`` of the masks, in steps. None: they are left open.
    """
    lines = ["version = 1"]
    if schedule is not None:
        lines += ["", "[defaults]", *(f"{name} = {steps}" for name, steps in schedule.items())]
    pruned_anyway = {kernel.name for kernel in masks.prunable_while_training(kernels)}
    for kernel in sorted(kernels, key=lambda each: each.name.count("/")):
        option = choice.get(kernel.name)
        is_left_alone = kernel.name not in pruned_anyway and choice.keys().isdisjoint(recipe.names_of(kernel))
        if option is None and is_left_alone:
            continue
        lines += ["", "[[rule]]", f"layers = {json.dumps(re.escape(kernel.name))}"]
        if option is None or option.sparsity is None:
            lines.append("skip = true")
        else:
            lines += [f"sparsity = {option.sparsity:g}", f'block = "{option.block}"', "skip = false"]
        if option is not None and option.values is not None:
            lines.append(f"shared_values = {option.values}")
    return "\n".join(lines) + "\n"
