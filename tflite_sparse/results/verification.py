"""What a comparison of two files found: typed, versioned. Differences are in units of a dtype."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class WeightsCheck(Part):
    """The constants of rank 2 and more of the reference, compared bit for bit.

    Attributes:
        compared: how many tensors the reference holds.
        values: how many weights those are.
        equal: how many of the tensors are equal.
        missing: names of those that the file does not hold.
        different: names of those that hold something else there.
    """

    compared: int
    values: int
    equal: int
    missing: list[str]
    different: list[str]


class OutputDifference(Part):
    """An output that is not the same in both files.

    Attributes:
        output: its name.
        index: among the outputs.
        samples: on how many it differs.
        largest_difference: None where shapes or dtypes differ, or infinity or NaN stand against something else.
    """

    output: str
    index: int
    samples: int
    largest_difference: float | None


class FirstDifference(Part):
    """The first tensor in execution order that differs, on the first sample on which an output does, if any.

    Attributes:
        sample: number of that sample; 0 to 2 are the boundaries: all smallest, all largest, all zero.
        tensor: its name; None if it was not found.
        operator: the operator of the reference that yields it.
        largest_difference: as for outputs.
        note: why the tensor was not found.
    """

    sample: int
    tensor: str | None
    operator: str | None
    largest_difference: float | None
    note: str | None


class RuntimeCheck(Part):
    """The two files in one runtime.

    Attributes:
        name: of the runtime.
        gate: whether a difference is a failure. It is not in the reference kernels: no app runs them, and they round
            FULLY_CONNECTED in another way than the CONV_2D that it may have been rewritten as.
        signature: whose graph was run; None: the file's first, where there are not several signatures.
        outputs_bit_exact: None where nothing was compared.
        outputs_vary: whether any output depends on the sample; None likewise. Where none does, their equality says
            little, and the intermediate tensors that the files share were compared as well, on one sample.
        within_tolerance: whether nothing that was compared differs by more than the tolerance; None likewise.
        differences: one entry for each output that differs.
        first_difference: where they begin.
        refused: what the runtime says of the file, where it takes the reference.
        unavailable: why nothing was compared, where it does not even take the reference.
    """

    name: str
    gate: bool
    signature: str | None
    outputs_bit_exact: bool | None
    outputs_vary: bool | None = None
    within_tolerance: bool | None
    differences: list[OutputDifference] = []
    first_difference: FirstDifference | None = None
    refused: str | None = None
    unavailable: str | None = None

    @property
    def where(self) -> str:
        """The runtime, and the signature where there are several."""
        return self.name + (f", signature {self.signature!r}" if self.signature else "")


class AcrossRuntimes(Part):
    """The reference, one file, in two runtimes: a fault that both files share shows here.

    Attributes:
        runtime: the one in question.
        beside: the one that it is compared with.
        gate: whether what rounding does not explain is a failure. It is not among LiteRT's own runtimes: which of them
            is wrong is not known, and whoever runs them cannot choose.
        samples: how many were run.
        largest_difference: of an output, in units of its dtype; None where nothing was compared, or shapes or dtypes
            differ, or infinity or NaN stand against something else.
        explained: whether rounding explains it: each operator, given the same values, yields the same but for rounding;
            None where nothing was compared, or without ``gate`` if the operators could not be run one by one.
        differences: one entry for each output that differs.
        first_difference: where rounding does not explain it: the first operator that computes something else.
        unavailable: why nothing was compared.
    """

    runtime: str
    beside: str
    gate: bool
    samples: int
    largest_difference: float | None = None
    explained: bool | None = None
    differences: list[OutputDifference] = []
    first_difference: FirstDifference | None = None
    unavailable: str | None = None


class VerificationReport(Part):
    """All of it.

    Attributes:
        file: the file in question.
        against: the reference.
        samples: how many were run in each runtime, boundaries included.
        tolerance: by how much outputs may differ.
        input_shapes: of the reference's inputs with open sizes, by name, what they were run with.
        not_compared: why outputs were compared in no runtime, where they were not.
        across: the reference in one runtime beside another.
        passed: whether every weight is equal, no runtime that takes the reference refuses the file, and every output
            that was compared in a runtime with ``gate`` is within the tolerance; for TensorFlow Lite Micro also whether
            rounding explains how it parts from LiteRT.
        failures: why not, one sentence each.
    """

    version: Literal[1] = 1
    tool: str
    file: str
    against: str
    samples: int
    seed: int
    tolerance: float
    weights: WeightsCheck
    runtimes: list[RuntimeCheck]
    across: list[AcrossRuntimes] = []
    passed: bool
    failures: list[str]
    input_shapes: dict[str, tuple[int, ...]] = {}
    not_compared: str | None = None
