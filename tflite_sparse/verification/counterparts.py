"""Match tensors of two files, written by any converter."""

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
    """Return the counterpart in ``other`` of each tensor of ``graph`` that has one.

    A counterpart has the same index, which this package's encoder keeps, and name; else it is the only tensor of the
    same name.

    Args:
        wanted: indices in ``graph``.
        graph: the graph whose tensors are matched.
        candidates: indices in ``other`` that may be counterparts.
        other: the other graph.
        agree: returns whether two tensors (``TensorT``) can be counterparts, apart from their names.
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
