"""The report of an export: typed, versioned, the only source of every table and file that shows results.

Sizes are bytes, shares are in [0, 1]. The JSON schema is ``Report.model_json_schema()``.
"""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.alternatives import Alternative
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.channels import MaskedChannels
from tflite_sparse.results.contract import Contract, PixelCheck
from tflite_sparse.results.cpu import Cpu
from tflite_sparse.results.dead_channels import Channels
from tflite_sparse.results.io_order import IoOrder
from tflite_sparse.results.latency import BenchReport
from tflite_sparse.results.layers import LayerError
from tflite_sparse.results.left_dense import LeftDense
from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.results.part import Part
from tflite_sparse.results.provenance import Provenance
from tflite_sparse.results.prune import Curve
from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.results.target_part import TargetPart
from tflite_sparse.results.tensor import Tensor
from tflite_sparse.results.time_step import TimeStepReport
from tflite_sparse.results.verification import AcrossRuntimes, RuntimeCheck, VerificationReport
from tflite_sparse.results.wrong import WrongSample

ModelFrom = Literal["file", "memory", "training"]
"""Where a model comes from: a file or folder, the caller's memory, or a training by the run itself."""


class Interval(Part):
    """A 95 % confidence interval, from ``low`` to ``high``, and its method."""

    low: float
    high: float
    method: Literal["wilson", "bootstrap"]


class ModelFile(Part):
    """One written file. ``accuracy`` and its ``interval`` are None if there was no data to measure them on."""

    path: str
    file_bytes: int
    gzip_bytes: int
    accuracy: float | None
    interval: Interval | None = None
    sparsity: float


class Models(Part):
    """The files of a run; None for those that it does not make."""

    dense_float32: ModelFile
    dense_int8: ModelFile | None = None
    sparse_int8: ModelFile | None = None
    sparse_float32: ModelFile | None = None

    @property
    def sparse(self) -> ModelFile | None:
        """The file for the target; None if it was not delivered."""
        return self.sparse_int8 or self.sparse_float32


class Ratios(Part):
    """Dense bytes over sparse bytes."""

    vs_dense_float32: float
    vs_dense_int8: float | None = None


class OutputAccuracy(Part):
    """Scores of one of several outputs; None for a file that does not exist."""

    name: str
    metric: str
    dense_float32: float
    dense_int8: float | None
    sparse: float


class Paired(Part):
    """The sparse file and another one on the same samples.

    Attributes:
        against: the other file.
        difference: score of the sparse file minus that of the other.
        interval: of the difference; each bootstrap sample is the same for both files.
        lost: samples that only the other one gets right; None, like the next two, if the score is no share of right
            samples.
        gained: samples that only the sparse file gets right.
        p_value: of McNemar's exact test: the probability that chance alone splits the differing samples as unevenly.
    """

    against: Literal["dense_float32", "dense_int8"]
    difference: float
    interval: Interval | None
    lost: int | None = None
    gained: int | None = None
    p_value: float | None = None


class Confusion(Part):
    """One output of the sparse file: ``counts[i][j]`` samples of class ``labels[i]`` are taken for ``labels[j]``."""

    output: str
    labels: list[str]
    counts: list[list[int]]


class Accuracy(Part):
    """Accuracy of the files: ``drop`` is that of the dense float32 file minus that of the sparse one.

    With several outputs ``metric`` and ``drop`` are means, and ``outputs`` holds the scores of each (else it is empty).

    Attributes:
        metric: of every ``ModelFile.accuracy``.
        samples: number of test samples.
        drop: the value that the accuracy gate compares with ``max_drop``.
        max_drop: the gate.
        drop_by_pruning: the part of ``drop`` that the pruned float32 file has; None: not measured.
        drop_by_int8: the part of quantisation; None: not measured, or the files are float32.
        drop_by_sharing: the part of shared values, the rest; None: not measured, or no values are shared.
        interval_by_pruning: of ``drop_by_pruning``; each bootstrap sample is the same for both files.
        interval_by_int8: of ``drop_by_int8``.
        interval_by_sharing: of ``drop_by_sharing``.
        dense_answers_alike: the dense float32 model's common answer to all test samples, in words: ``drop`` then means
            nothing, and a gate fails. None: its answers differ.
        drop_of: the value whose drop ``drop`` is: the score itself; for the metrics mse and psnr ``r2``, the share of
            the labels' spread that the outputs explain.
        lower_is_better: whether a smaller score is better.
        outputs: the scores of each output.
        also: scores by a second metric: top5 if there are more than 20 classes.
        paired: the sparse file compared with each dense one.
        confusion: of outputs that are classes, up to 100.
        wrong: some test samples that the sparse file gets wrong, first those that the dense float32 file gets right.
    """

    metric: str
    samples: int
    drop: float
    max_drop: float
    drop_by_pruning: float | None = None
    drop_by_int8: float | None = None
    drop_by_sharing: float | None = None
    interval_by_pruning: Interval | None = None
    interval_by_int8: Interval | None = None
    interval_by_sharing: Interval | None = None
    dense_answers_alike: str | None = None
    drop_of: Literal["score", "r2"] = "score"
    lower_is_better: bool = False
    outputs: list[OutputAccuracy] = []
    also: list[OutputAccuracy] = []
    paired: list[Paired] = []
    confusion: list[Confusion] = []
    wrong: list[WrongSample] = []

    @property
    def passes(self) -> bool:
        """Whether the drop is within the gate; NaN is not."""
        return self.drop <= self.max_drop


class Pruning(Part):
    """The changes to the prunable kernels. ``before`` and ``after`` are shares of zeros over all of them.

    If the model holds zeros, ``left_dense`` lists its other kernels and those without zeros. ``channels`` lists groups
    of channels that are masked. ``has_layers`` is False for a SavedModel without its Keras model and for a
    subclassed model, which cannot be trained.
    """

    prunable_kernels: int
    prunable_weights: int
    masks_applied: int
    before: float
    after: float
    epochs: int
    words: str
    left_dense: LeftDense | None = None
    channels: tuple[MaskedChannels, ...] = ()
    has_layers: bool = True


NOT_INSTALLED = "it is not installed"
"""``Runtime.unavailable`` of a runtime that is not installed."""


class Runtime(Part):
    """The comparison of the sparse with the dense file in one runtime.

    Attributes:
        name: of the runtime.
        outputs_bit_exact: False if the runtime refuses the sparse file; None if nothing was compared.
        largest_difference: of all outputs, in units of their dtype; None if nothing was compared, the sparse file is
            refused, shapes or dtypes differ, or only one file yields infinity or NaN.
        unavailable: why nothing was compared: not even the dense file runs there.
    """

    name: str
    outputs_bit_exact: bool | None
    largest_difference: float | None
    unavailable: str | None = None

    @classmethod
    def of(cls, check: RuntimeCheck) -> Runtime:
        """Make this entry from a comparison in one runtime."""
        sizes = [each.largest_difference for each in check.differences]
        known = [size for size in sizes if size is not None]
        is_known = check.unavailable is None and check.refused is None and len(known) == len(sizes)
        return cls(
            name=check.name,
            outputs_bit_exact=check.outputs_bit_exact,
            largest_difference=max(known, default=0.0) if is_known else None,
            unavailable=None if check.unavailable is None else f"the dense file does not run: {check.unavailable}",
        )


class Verification(Part):
    """The checks of the written file, read back from disk.

    Attributes:
        weights_bit_exact: whether all weights are those of the dense file.
        outputs_bit_exact: whether all outputs are, in every runtime that runs the dense file; False without a runtime.
            LiteRT's default one is always among them.
        samples: number of samples.
        runtimes: one entry for each.
        across: the dense file in one runtime compared with another, because both files could share a fault.
    """

    weights_bit_exact: bool
    outputs_bit_exact: bool
    samples: int
    runtimes: list[Runtime]
    across: list[AcrossRuntimes] = []

    @classmethod
    def of(cls, found: VerificationReport, runtime: str) -> Verification:
        """Make this section of the report from a comparison.

        Args:
            found: the comparison of the written file with the dense one.
            runtime: the name of the runtime that is not installed, where ``found`` compares outputs in none.
        """
        asked = [check for check in found.runtimes if check.unavailable is None]
        not_installed = Runtime(
            name=runtime, outputs_bit_exact=None, largest_difference=None, unavailable=NOT_INSTALLED
        )
        return cls(
            weights_bit_exact=found.weights.equal == found.weights.compared,
            outputs_bit_exact=bool(asked) and all(check.outputs_bit_exact for check in asked),
            samples=found.samples,
            runtimes=[Runtime.of(check) for check in found.runtimes] or [not_installed],
            across=found.across,
        )


class Gates(Part):
    """Whether the run is a success.

    Attributes:
        passed: whether every gate was judged and passed.
        failures: why not: the gates that failed.
        unjudged: the gates that cannot be judged, and what is missing. They are no failure: the exit code is 0 if there
            are no ``failures``.
    """

    passed: bool
    failures: list[str]
    unjudged: list[str] = []

    @classmethod
    def of(cls, failures: list[str], unjudged: list[str]) -> Gates:
        """The gates of a run."""
        return cls(passed=not failures and not unjudged, failures=failures, unjudged=unjudged)


class Report(Part):
    """The report of one export.

    ``model_from`` tells what ``model`` is: the path of a file or folder, the name of a model in memory, or that of one
    that the run trained. ``baseline`` tells what the dense float32 file holds; None in reports of earlier versions.
    ``measured`` is set if measuring is on; ``training`` if the report of ``prune`` is beside the model. ``layers``
    compares tensors of the dense int8 file with float32, in execution order, if ``layer_errors`` is on or the accuracy
    gate failed: those of ``layer_tensors`` inputs and activations that have a counterpart. ``io_order`` is set if there
    are several inputs or outputs. ``contract`` has the inputs and outputs of the file for the target, with code that
    runs it; ``pixels`` is set if the data are images with labels. ``channels`` is set if the dense file has dead
    channels and they were not to stay: the dense files have them, the sparse file may not. ``warnings`` apply to the
    result even if all gates passed. ``seconds`` is the wall time of each stage, ``cpu`` the CPU time of each process
    until the report was made.
    """

    version: Literal[1] = 1
    tool: str
    model: str
    model_from: ModelFrom = "file"
    data: str | None
    settings: dict[str, object]
    models: Models
    ratios: Ratios | None
    accuracy: Accuracy | None
    pruning: Pruning
    shared_values: SharedValues | None = None
    baseline: Baseline | None = None
    tensors: list[Tensor]
    verification: Verification | None
    gates: Gates
    float_layers: list[str] = []
    alternatives: list[Alternative] = []
    layers: list[LayerError] = []
    layer_tensors: int = 0
    channels: Channels | None = None
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    target_part: TargetPart | None = None
    measured: BenchReport | None = None
    training: Curve | None = None
    time_step: TimeStepReport | None = None
    warnings: list[str] = []
    io_order: IoOrder | None = None
    contract: Contract | None = None
    pixels: PixelCheck | None = None
    seconds: dict[str, float]
    cpu: Cpu | None = None
    provenance: Provenance | None = None
