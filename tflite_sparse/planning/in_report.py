"""Convert the planner's choices to entries of the report."""

from __future__ import annotations

from collections.abc import Callable

from tflite_sparse.planning.planner import Choice
from tflite_sparse.results.tensor import Tensor


def tensor_of(choice: Choice, layer_of: Callable[[str], str] | None = None) -> Tensor:
    """Return the report's entry for one constant.

    Args:
        choice: how it is stored.
        layer_of: returns the layer of a tensor by its name, as the Keras model calls it; empty if it is not known.
            None: no layer is known.
    """
    return Tensor(
        name=choice.name,
        layer="" if layer_of is None else layer_of(choice.name),
        operator="+".join(sorted(set(choice.operators))),
        shape=choice.shape,
        sparsity=choice.sparsity,
        layout=choice.stored,
        dense_bytes=choice.dense_bytes,
        encoded_bytes=choice.encoded_bytes,
        entropy_bytes=choice.entropy_bytes,
        reason=choice.reason,
    )
