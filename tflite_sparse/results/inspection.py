"""The result of :func:`tflite_sparse.commands.inspect.inspect`: typed, versioned. Sizes are bytes, shares in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.contract import Contract
from tflite_sparse.results.dead_channels import DeadChannels
from tflite_sparse.results.part import Part


class Constant(Part):
    """One constant.

    Attributes:
        subgraph: index of its graph.
        tensor: its index there.
        name: its name in the file.
        operator: the operators that read it, directly or through a DENSIFY; empty if none does.
        shape: its shape.
        dtype: the schema's name of its type.
        sparsity: its share of zeros (quantised: of values at their zero point); None if its type is no whole-byte
            number.
        layout: its form in the file, in the terms of the format.
        stored_as: the same in plain words.
        dense_bytes: its size stored dense.
        stored_bytes: size of its values, segments and indices; 0 if an earlier constant has the same ones.
        entropy_bytes: the zeroth-order bound, for values wider than a byte with the list of those that occur; None if
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
    stored_as: str = ""
    dense_bytes: int
    stored_bytes: int
    entropy_bytes: int | None
    share: float


class Totals(Part):
    """Sums over all constants; shared bytes count once.

    ``sparsity`` is over those of rank 2 or more; None if there are none.
    """

    constants: int
    dense_bytes: int
    stored_bytes: int
    entropy_bytes: int
    sparsity: float | None


class RuntimeAnswer(Part):
    """Whether a runtime of ``target`` loads the file; None: not tried. ``reason`` tells why not, or what it needs."""

    name: str
    loads: bool | None
    reason: str | None = None
    target: str = ""


DENSE = "dense"
"""The ``target`` of the estimate for the decoded file."""


class Estimate(Part):
    """The size of the file, encoded for a target or decoded (:data:`DENSE`), made in memory and not written."""

    target: str
    file_bytes: int


class Order(Part):
    """Inputs or outputs (``of``) that a signature lists in another order than its graph.

    Apps that take them by number get another one from the interpreter (``by_index``) than from CompiledModel
    (``by_signature``), silently if shapes and types are the same.
    """

    signature: str
    of: Literal["inputs", "outputs"]
    by_signature: tuple[str, ...]
    by_index: tuple[str, ...]


class Inspection(Part):
    """The result of ``inspect``; ``constants`` by falling ``stored_bytes``, ``operators`` counts by name.

    ``archive_bytes`` of ``file_bytes`` are an archive of associated files after the model, which all estimates include.
    ``dead_channels`` are those that an encoding would try to remove and the estimates leave in; None: there are none.
    ``contract`` has the inputs and outputs, with code for ``target``: the one that was asked for, else the first whose
    first runtime does not refuse the file; None: there is none.
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
    dead_channels: DeadChannels | None = None
    contract: Contract
    target: str | None = None

    def is_for(self, target: str) -> bool:
        """Return whether every runtime of a target loads the file; False if none was tried."""
        answers = [answer.loads for answer in self.runtimes if answer.target == target]
        return bool(answers) and all(answers)
