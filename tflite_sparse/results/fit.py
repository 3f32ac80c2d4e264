"""The report of ``fit``: typed, versioned. Sizes are bytes, shares are in [0, 1]."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Accuracy, Gates, Interval
from tflite_sparse.results.part import Part


class FitKernel(Part):
    """One kernel and the option chosen for it.

    Attributes:
        name: its path in the model.
        type: the class of its layer.
        shape: in the model.
        block: the weights that became zero together; None: it was not changed.
        planned: share of zeros that it was pruned to; None: it was not changed.
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


class FitRound(Part):
    """One plan that was carried out.

    Attributes:
        number: from 1.
        epochs: of training under it.
        predicted_bytes: of the file.
        file_bytes: of the file made in this round.
        held_out_drop: with a gate, dense float32 minus sparse on samples that were not trained on.
        passed: whether it was within budget or gate.
    """

    number: int
    epochs: int
    predicted_bytes: int
    file_bytes: int
    held_out_drop: float | None
    passed: bool


class FitReport(Part):
    """The report of ``fit``; ``report.json`` beside it is that of the export.

    Attributes:
        mode: ``"budget"``, the most accurate file of so many bytes, or ``"gate"``, the smallest of that accuracy.
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
    """

    version: Literal[1] = 1
    tool: str
    model: str
    data: str
    settings: dict[str, object]
    mode: Literal["budget", "gate"]
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

    @property
    def has_accuracy_gate(self) -> bool:
        """Whether there is a gate on accuracy."""
        return self.mode == "gate" or self.settings.get("max_accuracy_drop") is not None
