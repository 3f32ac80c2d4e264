"""Convert the planner's choices to entries of the report."""

from __future__ import annotations

from tflite_sparse.planning.planner import Choice
from tflite_sparse.results.export import Tensor


def tensor_of(choice: Choice) -> Tensor:
    """Return the report's entry for one constant."""
    return Tensor(
        name=choice.name,
        operator="+".join(sorted(set(choice.operators))),
        shape=choice.shape,
        sparsity=choice.sparsity,
        layout=choice.stored,
        dense_bytes=choice.dense_bytes,
        encoded_bytes=choice.encoded_bytes,
        entropy_bytes=choice.entropy_bytes,
        reason=choice.reason,
    )
