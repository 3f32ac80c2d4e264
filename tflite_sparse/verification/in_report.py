"""Convert results of comparisons to entries of the report."""

from __future__ import annotations

from tflite_sparse.results import verification as results
from tflite_sparse.verification import localise, outputs
from tflite_sparse.verification.weights import WeightComparison


def weights(found: WeightComparison) -> results.WeightsCheck:
    """Return the entry for a comparison of weights."""
    return results.WeightsCheck(
        compared=found.tensors,
        values=found.values,
        equal=found.equal,
        missing=list(found.missing),
        different=list(found.different),
    )


def difference(found: outputs.OutputDifference) -> results.OutputDifference:
    """Return the entry for an output that differs."""
    return results.OutputDifference(
        output=found.name, index=found.index, samples=found.samples, largest_difference=found.largest
    )


def first(found: localise.FirstDifference, sample: int) -> results.FirstDifference:
    """Return the entry for the first difference, on the sample with this index."""
    return results.FirstDifference(
        sample=sample,
        tensor=found.tensor,
        operator=found.operator,
        largest_difference=found.largest,
        note=found.note,
        index=found.index,
    )
