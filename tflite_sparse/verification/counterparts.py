"""Which tensor of one file is which of another, whoever wrote the two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from tflite_sparse.flatbuffer.graph import Graph, text
from tflite_sparse.flatbuffer.types import Tensor


def partners(
    wanted: Iterable[int],
    graph: Graph,
    candidates: Iterable[int],
    other: Graph,
    agree: Callable[[Tensor, Tensor], bool],
) -> dict[int, int]:
    """For each tensor of ``graph`` its counterpart in ``other``; those that have none are left out.

    That is the one of the same index, which this package's encoder keeps, if its name agrees; else the one of the same
    name, if only one has it.

    Args:
        wanted: indices in ``graph``.
        graph: the one graph.
        candidates: indices in ``other`` that may be counterparts.
        other: the other graph.
        agree: whether two tensors (``TensorT``) can be counterparts, apart from their names.
    """
    names = {index: text(other.tensor(index).name) for index in candidates}
    counts = Counter(names.values())
    by_name = {name: index for index, name in names.items() if name and counts[name] == 1}
    found = {}
    for index in wanted:
        tensor = graph.tensor(index)
        name = text(tensor.name)
        partner = index if names.get(index) == name else by_name.get(name)
        if partner is not None and agree(tensor, other.tensor(partner)):
            found[index] = partner
    return found
