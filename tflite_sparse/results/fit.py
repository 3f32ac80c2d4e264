"""The report of ``fit``: typed, versioned. Sizes are bytes, shares are in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Accuracy, Gates, Interval
from tflite_sparse.results.part import Part

Resource = Literal["multiply_adds", "arena_bytes", "latency_ms"]
"""What a file takes beside its bytes, and ``fit`` can limit."""


class FitKernel(Part):
    """One kernel and the option chosen for it.

    Attributes:
        name: its path in the model.
        type: the class of its layer.
        shape: in the model.
        block: the weights that became zero together; None: it was not changed.
        planned: share of zeros that it was pruned to, of what remains without masked channels; None: it was not
            changed.
        sparsity: its present share of zeros.
        untouched_bytes: of its constant in the file without a change.
        predicted_bytes: of the same under the plan.
        file_bytes: of the same in the written file; None if it was not recognised there.
        predicted_rise: of the loss on held-out samples if it alone is pruned, without later training.
        values: that its kept weights share; None: they keep theirs.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    block: str | None
    planned: float | None
    sparsity: float
    untouched_bytes: int
    predicted_bytes: int
    file_bytes: int | None
    predicted_rise: float
    values: int | None = None


class FixedConstant(Part):
    """A constant of rank 2 or more that no plan changes: small, depthwise, the first convolution, or no kernel."""

    name: str
    bytes: int


class FitChannels(Part):
    """A group of channels that may be removed together.

    Attributes:
        kernels: that make them.
        channels: how many there are.
        planned: how many the last plan keeps.
        kept: how many are not zero in the model.
        predicted_rise: of the loss on held-out samples if the others of this group alone are masked, without later
            training.
    """

    kernels: tuple[str, ...]
    channels: int
    planned: int
    kept: int
    predicted_rise: float


class FitLimit(Part):
    """A limit beside the budget.

    Attributes:
        resource: ``"multiply_adds"`` of one run, ``"arena_bytes"`` of TensorFlow Lite Micro, or ``"latency_ms"``, the
            median of a run on the machine of the fit.
        limit: the most that the file may take.
        untouched: what the dense file takes with all channels.
        least: what it takes with the fewest channels; with all where these are within the limits.
        predicted: by the last plan, before weights are stored sparse.
        used: what the written file takes.
    """

    resource: Resource
    limit: float
    untouched: float
    least: float
    predicted: float
    used: float


class FitRound(Part):
    """One plan that was carried out.

    Attributes:
        number: from 1.
        epochs: of training under it.
        predicted_bytes: of the file.
        file_bytes: of the file made in this round.
        held_out_drop: with a gate, dense float32 minus sparse on samples that were not trained on.
        passed: whether it was within budget or gate, and the limits.
        used: what the file takes of what is limited beside its bytes, by resource.
    """

    number: int
    epochs: int
    predicted_bytes: int
    file_bytes: int
    held_out_drop: float | None
    passed: bool
    used: dict[Resource, float] = {}


class FitReport(Part):
    """The report of ``fit``; ``report.json`` beside it is that of the export.

    Attributes:
        mode: ``"budget"``, the most accurate file of so many bytes, ``"gate"``, the smallest of that accuracy, or
            ``"limits"``, the most accurate within the limits.
        budget_bytes: with a budget.
        floor_bytes: of the file with every kernel at its fewest bytes.
        untouched_bytes: of the file with every kernel unchanged.
        rest_bytes: of the file without constants of rank 2 or more: graph, biases, small constants.
        fixed: constants of rank 2 or more that no plan changes, the largest first.
        kernels: the others.
        rounds: the plans that were carried out.
        predicted_bytes: of the file, by the last plan.
        file_bytes: of the written file.
        prediction_error: predicted over written bytes, minus 1.
        metric: of ``dense_accuracy`` and ``accuracy``, on the test samples; None with ``accuracy``.
        samples: number of test samples.
        dense_accuracy: of the dense float32 file.
        accuracy: of the written file; None if it was not delivered or yields NaN.
        dense_interval: of ``dense_accuracy``.
        interval: of ``accuracy``.
        compared: the file compared with each dense one on the same samples, without the confusion matrices, which are
            in ``report.json``; None with ``accuracy``.
        baseline: the model that ``dense_accuracy`` belongs to; None in reports of earlier versions.
        gates: whether budget, accuracy and verification passed.
        warnings: about the settings.
        seconds: wall time of each stage.
        limits: beside the budget.
        channels: groups that may lose channels; empty without limits, or where these hold with all channels.
    """

    version: Literal[1] = 1
    tool: str
    model: str
    data: str
    settings: dict[str, object]
    mode: Literal["budget", "gate", "limits"]
    budget_bytes: int | None
    floor_bytes: int
    untouched_bytes: int
    rest_bytes: int
    fixed: list[FixedConstant]
    kernels: list[FitKernel]
    rounds: list[FitRound]
    predicted_bytes: int
    file_bytes: int
    prediction_error: float
    metric: str | None
    samples: int
    dense_accuracy: float | None
    accuracy: float | None
    dense_interval: Interval | None = None
    interval: Interval | None = None
    compared: Accuracy | None = None
    baseline: Baseline | None = None
    gates: Gates
    warnings: list[str]
    seconds: dict[str, float]
    limits: list[FitLimit] = []
    channels: list[FitChannels] = []

    @property
    def has_accuracy_gate(self) -> bool:
        """Whether there is a gate on accuracy."""
        return self.mode == "gate" or self.settings.get("max_accuracy_drop") is not None
