"""What sharing values did to the weights of a file."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class SharedTensor(Part):
    """One tensor whose kept weights share values.

    Attributes:
        name: of the tensor.
        layer: of its layer in the Keras model; empty if it is not known.
        kept: weights that are not 0.
        values_before: distinct ones among them.
        values: distinct ones now.
        error: root of the mean squared change of a kept weight, over that of its former value.
    """

    name: str
    layer: str = ""
    kept: int
    values_before: int
    values: int
    error: float


class SharedValues(Part):
    """The tensors of a file whose kept weights share values.

    Attributes:
        asked: the setting: a number, ``"auto"``, or ``"by kernel"``, where a recipe or plan names single kernels.
        tensors: one entry for each, in file order.
        corrected_layers: layers whose biases make up for the shift of their mean outputs.
    """

    asked: int | str
    tensors: list[SharedTensor]
    corrected_layers: int = 0
