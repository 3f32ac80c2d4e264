"""Describe what sharing values did to the weights of a file."""

from __future__ import annotations

from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.target_registry import TARGETS


def lines(found: SharedValues | None, target: object) -> list[str]:
    """Return sentences on the tensors whose kept weights share values; none where that was not asked for.

    Args:
        found: what was done.
        target: the name of the file's target.
    """
    if found is None:
        return []
    if not found.tensors:
        return ["Shared values: none; no int8 weight is large and sparse enough."]
    traits = TARGETS.get(str(target))
    counts = sorted({tensor.values for tensor in found.tensors})
    largest = max(found.tensors, key=lambda tensor: tensor.error)
    many = "1 tensor" if len(found.tensors) == 1 else f"{len(found.tensors)} tensors"
    line = (
        f"Shared values: {sum(tensor.kept for tensor in found.tensors):,} kept weights of {many} take "
        f"{' or '.join(map(str, counts))} values each; their change is largest at {largest.layer or largest.name}, "
        f"{largest.error:.1%} of the weights"
    )
    if found.corrected_layers:
        line += f"; biases of {found.corrected_layers} layers make up for the shift of mean outputs"
    if traits is None or traits.stores_tables:
        return [f"{line}."]
    return [
        f"{line}.",
        f"A file for {traits.runtime} holds every value in a byte: sharing makes its gzip smaller, not it.",
    ]
