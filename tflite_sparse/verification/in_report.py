"""What a comparison found, in the form that reports have."""

from __future__ import annotations

from tflite_sparse.results import verification as results
from tflite_sparse.verification import localise, outputs
from tflite_sparse.verification.weights import WeightComparison


def weights(found: WeightComparison) -> results.WeightsCheck:
    """What a comparison of weights found."""
    return results.WeightsCheck(
        compared=found.tensors,
        values=found.values,
        equal=found.equal,
        missing=list(found.missing),
        different=list(found.different),
    )


def difference(found: outputs.OutputDifference) -> results.OutputDifference:
    """What a comparison of outputs found."""
    return results.OutputDifference(
        output=found.name, index=found.index, samples=found.samples, largest_difference=found.largest
    )


def first(found: localise.FirstDifference, sample: int) -> results.FirstDifference:
    """Where files or runtimes part on a sample, given by its number."""
    return results.FirstDifference(
        sample=sample,
        tensor=found.tensor,
        operator=found.operator,
        largest_difference=found.largest,
        note=found.note,
    )
