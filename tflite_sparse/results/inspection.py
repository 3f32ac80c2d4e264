"""What :func:`tflite_sparse.commands.inspect.inspect` found: typed, versioned. Sizes are bytes, shares in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class Constant(Part):
    """One constant.

    Attributes:
        subgraph: number of the graph that holds it.
        tensor: its index there.
        name: its name in the file.
        operator: the operators that read it, through a DENSIFY or not; empty if none does.
        shape: its shape.
        dtype: the schema's name of its type.
        sparsity: its share of zeros, of a quantised constant of values at their zero point; None where its type is no
            whole-byte number.
        layout: how it is stored, in words.
        dense_bytes: what it would take stored dense.
        stored_bytes: what its values, segments and indices take; 0 if they are another constant's as well, which comes
            first.
        entropy_bytes: the zeroth-order bound, of values wider than a byte with the list of those that occur; None where
            ``sparsity`` is.
        share: ``stored_bytes`` over the bytes of the file.
    """

    subgraph: int
    tensor: int
    name: str
    operator: str
    shape: tuple[int, ...]
    dtype: str
    sparsity: float | None
    layout: str
    dense_bytes: int
    stored_bytes: int
    entropy_bytes: int | None
    share: float


class Totals(Part):
    """Over all constants, bytes that several share counted once.

    ``sparsity`` is over those of rank 2 and more; None where there are none.
    """

    constants: int
    dense_bytes: int
    stored_bytes: int
    entropy_bytes: int
    sparsity: float | None


class RuntimeAnswer(Part):
    """Whether a runtime of ``target`` loads the file; None: not tried. ``reason`` says why not, or what it needs."""

    name: str
    loads: bool | None
    reason: str | None = None
    target: str = ""


DENSE = "dense"
"""The ``target`` of the estimate for the decoded file."""


class Estimate(Part):
    """What the file would take, encoded for a target or decoded (:data:`DENSE`), made in memory and not written."""

    target: str
    file_bytes: int


class Order(Part):
    """Inputs or outputs (``of``) that a signature lists in another order than its graph does.

    Apps that take them by number get another one in the interpreter (``by_index``) than in CompiledModel
    (``by_signature``), silently where shapes and types are the same.
    """

    signature: str
    of: Literal["inputs", "outputs"]
    by_signature: tuple[str, ...]
    by_index: tuple[str, ...]


class Inspection(Part):
    """All of it; ``constants`` by falling ``stored_bytes``, ``operators`` counts by name.

    ``archive_bytes`` of ``file_bytes`` are an archive of associated files behind the model, which all estimates keep.
    """

    version: Literal[1] = 1
    tool: str
    path: str
    file_bytes: int
    archive_bytes: int = 0
    constants: list[Constant]
    totals: Totals
    operators: dict[str, int]
    runtimes: list[RuntimeAnswer]
    estimates: list[Estimate]
    orders: list[Order] = []

    def is_for(self, target: str) -> bool:
        """Whether every runtime of a target loads the file."""
        return all(answer.loads for answer in self.runtimes if answer.target == target)
