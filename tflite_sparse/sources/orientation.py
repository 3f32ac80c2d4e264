"""Find the output and input axes of a Keras kernel, so that masks have the shape of the weight in the file.

The converter writes Dense kernels ``(in, out)`` as ``(out, in)``, convolutions ``(..., in, out)`` as
``(out, ..., in)``, transposed ones ``(..., out, in)`` as ``(out, ..., in)``, and tables unchanged.
"""

from __future__ import annotations

from tflite_sparse.sources.keras_types import KerasLayer


def axes(layer: KerasLayer, rank: int) -> tuple[int, int]:
    """Return the output and input axes of a kernel of ``layer``, negative; see ``Kernel.axes``."""
    kind = type(layer).__name__
    if kind == "Embedding":
        return -2, -1
    if kind.startswith("Conv") and kind.endswith("Transpose"):
        return -2, -1
    equation = getattr(layer, "equation", None)
    if kind == "EinsumDense" and isinstance(equation, str):
        return _of_einsum(equation, rank)
    return -1, -2


def _of_einsum(equation: str, rank: int) -> tuple[int, int]:
    """Return the axes for an einsum equation: ``"abc,cde->abde"`` has a kernel ``cde`` of input ``c``, output ``e``."""
    left, _, result = equation.replace(" ", "").partition("->")
    data, _, kernel = left.partition(",")
    summed = [i for i, letter in enumerate(kernel) if letter in data and letter not in result]
    outputs = [i for i, letter in enumerate(kernel) if letter in result and letter not in data]
    if len(kernel) != rank or not summed or not outputs:
        return -1, -2
    return outputs[-1] - rank, summed[-1] - rank
