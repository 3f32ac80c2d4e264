"""The result of a comparison of two files: typed, versioned. Differences are in units of a dtype."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class WeightsCheck(Part):
    """The constants of rank 2 or more of the reference, compared bit for bit.

    Attributes:
        compared: number of tensors of the reference.
        values: number of their weights.
        equal: number of equal tensors.
        missing: names of tensors that the file does not hold.
        different: names of tensors with other values in the file.
    """

    compared: int
    values: int
    equal: int
    missing: list[str]
    different: list[str]


class WrongConstants(Part):
    """Channels of an activation that were taken for constants and have other values in some runtime.

    Attributes:
        graph: number of its graph.
        tensor: its number in the graph of the reference.
        channels: their indices.
    """

    graph: int
    tensor: int
    channels: list[int]


class ConstantsCheck(Part):
    """The constant channels of activations that lost some of them, held against what the reference computes there.

    Attributes:
        compared: number of channels.
        runtimes: names of the runtimes.
        wrong: a sentence for each tensor and runtime with another value.
        apart: the channels that these are about.
    """

    compared: int
    runtimes: list[str]
    wrong: list[str] = []
    apart: list[WrongConstants] = []


class OutputDifference(Part):
    """An output that differs between the files.

    Attributes:
        output: its name.
        index: among the outputs.
        samples: number of samples on which it differs.
        largest_difference: None if shapes or dtypes differ, or only one file yields infinity or NaN.
    """

    output: str
    index: int
    samples: int
    largest_difference: float | None


class FirstDifference(Part):
    """The first tensor in execution order that differs, on the first sample on which an output does, if any.

    Attributes:
        sample: index of that sample; 0 to 2 are the boundaries: all smallest, all largest, all zero.
        tensor: its name; None if it was not found.
        operator: the operator of the reference that yields it.
        largest_difference: as for outputs.
        note: why the tensor was not found.
        index: number of the tensor in the graph of the reference.
    """

    sample: int
    tensor: str | None
    operator: str | None
    largest_difference: float | None
    note: str | None
    index: int | None = None


class RuntimeCheck(Part):
    """The two files in one runtime.

    Attributes:
        name: of the runtime.
        gate: whether a difference is a failure. In the reference kernels it is not: no app runs them, and they round
            FULLY_CONNECTED differently from the CONV_2D that it may have become.
        signature: whose graph was run; None: the file's first, unless there are several signatures.
        outputs_bit_exact: None if nothing was compared.
        outputs_vary: whether any output depends on the sample; None if nothing was compared. If none does, their
            equality means little, and the intermediate tensors of both files were compared as well, on one sample.
        distinct_outputs: number of different outputs of the reference over all samples; None if nothing was compared.
        within_tolerance: whether no difference exceeds the tolerance; None if nothing was compared.
        differences: one entry for each output that differs.
        first_difference: where they begin.
        refused: why the runtime refuses the file although it accepts the reference.
        unavailable: why nothing was compared: it does not even accept the reference.
    """

    name: str
    gate: bool
    signature: str | None
    outputs_bit_exact: bool | None
    outputs_vary: bool | None = None
    distinct_outputs: int | None = None
    within_tolerance: bool | None
    differences: list[OutputDifference] = []
    first_difference: FirstDifference | None = None
    refused: str | None = None
    unavailable: str | None = None

    @property
    def where(self) -> str:
        """The runtime, and the signature if there are several."""
        return self.name + (f", signature {self.signature!r}" if self.signature else "")


class AcrossRuntimes(Part):
    """The reference file in two runtimes: this shows faults that both files share.

    Attributes:
        runtime: the runtime to check.
        beside: the runtime that it is compared with.
        gate: whether a difference that rounding does not explain is a failure. Among LiteRT's own runtimes it is not:
            it is unknown which of them is wrong, and users cannot choose.
        samples: number of samples.
        largest_difference: of an output, in units of its dtype; None if nothing was compared, shapes or dtypes differ,
            or only one runtime yields infinity or NaN.
        explained: whether rounding explains the difference: each operator, given the same values, yields the same up to
            rounding. None if nothing was compared, or without ``gate`` if the operators could not be run one by one.
        differences: one entry for each output that differs.
        first_difference: if rounding does not explain it, the first operator that computes something else.
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
    """The report of ``verify``.

    Attributes:
        file: the file to check.
        against: the reference.
        samples: number of samples in each runtime, boundaries included.
        tolerance: largest difference of outputs that is allowed.
        allowed_share_of_range: largest difference that is allowed as a share of an output's range, if that is more.
        input_shapes: shapes of the reference's inputs with open sizes, by name.
        not_compared: why outputs were compared in no runtime, if so.
        across: the reference in one runtime compared with another.
        constants: of the channels that the file does not have; None if it has all of them.
        passed: whether every weight is equal, no runtime that accepts the reference refuses the file, and every output
            compared in a runtime with ``gate`` is within the tolerance; for TensorFlow Lite Micro also whether rounding
            explains its difference from LiteRT.
        failures: the reasons, one sentence each.
    """

    version: Literal[1] = 1
    tool: str
    file: str
    against: str
    samples: int
    seed: int
    tolerance: float
    allowed_share_of_range: float = 0.0
    weights: WeightsCheck
    runtimes: list[RuntimeCheck]
    across: list[AcrossRuntimes] = []
    constants: ConstantsCheck | None = None
    passed: bool
    failures: list[str]
    input_shapes: dict[str, tuple[int, ...]] = {}
    not_compared: str | None = None
