"""How a constant of a file is stored: typed."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class Tensor(Part):
    """One constant of rank 2 or more and its form in the file. ``entropy_bytes`` is the zeroth-order bound.

    ``name`` is that of the tensor, ``layer`` that of its layer in the Keras model; empty if it is not known.
    """

    name: str
    layer: str = ""
    operator: str
    shape: tuple[int, ...]
    sparsity: float
    layout: str
    dense_bytes: int
    encoded_bytes: int
    entropy_bytes: int
    reason: str
