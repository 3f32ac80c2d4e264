"""The report of ``bench`` for targets whose instructions are counted: typed, versioned."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class CountedOperator(Part):
    """One operator.

    Attributes:
        operator: its name in the schema.
        layer: the tensor that it yields.
        form: how its weights are stored, in words; empty: it has none.
        instructions: of one inference.
    """

    operator: str
    layer: str
    form: str
    instructions: int


class CountedFile(Part):
    """One file.

    Attributes:
        path: of the file.
        file_bytes: of the file.
        counted: whether the instructions were counted in an emulator; else they are the model's estimate, and of
            FULLY_CONNECTED and CONV_2D alone.
        instructions: of one inference.
        ratio: of them to those of the first file.
        operators: in order.
    """

    path: str
    file_bytes: int
    counted: bool
    instructions: int
    ratio: float = 1.0
    operators: list[CountedOperator]


class InstructionReport(Part):
    """The report; ratios refer to the first file. Instructions are not cycles.

    Attributes:
        cpu: that the files were run on, or whose costs were added up.
        files: in order.
    """

    version: Literal[1] = 1
    cpu: str
    files: list[CountedFile]
