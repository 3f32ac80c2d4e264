"""Instructions of one inference by operator, and the report of ``bench`` that has them: typed, versioned."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class CountedOperator(Part):
    """One operator.

    Attributes:
        operator: its name in the schema.
        layer: a name that tells the Keras layer, mostly that of the tensor that it yields.
        form: how its weights are stored, in words; empty: it has none.
        instructions: of one inference.
    """

    operator: str
    layer: str
    form: str
    instructions: int


class Inference(Part):
    """Instructions of one inference on a CPU.

    Attributes:
        cpu: that the code is for and runs on.
        counted: whether they were counted in an emulator; else they are the estimate of a model of costs.
        reason: why they are an estimate; empty: they were counted.
        error: the share that the estimate of an operator is off by at most, for 19 of 20 operators that the model was
            fitted to; None: they were counted.
        instructions: of all operators.
        operators: in order.
    """

    cpu: str
    counted: bool
    reason: str = ""
    error: float | None = None
    instructions: int
    operators: list[CountedOperator]


class CountedFile(Inference):
    """One file.

    Attributes:
        path: of the file.
        file_bytes: of the file.
        ratio: of its instructions to those of the first file.
    """

    path: str
    file_bytes: int
    ratio: float = 1.0


class InstructionReport(Part):
    """The report; ratios refer to the first file. Instructions are not cycles.

    Attributes:
        cpu: that the files were run on, or whose costs were added up.
        files: in order.
    """

    version: Literal[1] = 1
    cpu: str
    files: list[CountedFile]
