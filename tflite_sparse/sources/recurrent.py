"""Choose how the recurrent layers of a Keras model are traced: as loops, or step by step.

The converter turns the composite function that marks an LSTM of Keras 2 into one UNIDIRECTIONAL_SEQUENCE_LSTM. Every
other recurrent layer becomes a loop over time steps (WHILE), on which its calibrator fails. An unrolled layer consists
of plain operators, whose weights are read at every step and stored once, sparse or dense.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from tflite_sparse.sources.keras_types import KerasLayer
from tflite_sparse.sources.source_model import Loops


def describe(layers: Iterable[KerasLayer]) -> Loops:
    """Describe the loops that the recurrent layers among ``layers`` become by default."""
    found = _rolled(layers)
    fused = sum(map(_is_fused, found))
    return Loops(
        any=bool(found),
        mixed=0 < fused < len(found),
        unrollable=bool(found),
    )


@contextlib.contextmanager
def unrolled(layers: Iterable[KerasLayer]) -> Iterator[None]:
    """Trace recurrent layers step by step inside of the block. The number of steps must be known.

    Args:
        layers: of a built Keras model of either generation, nested ones included.
    """
    with contextlib.ExitStack() as stack:
        for layer in _rolled(layers):
            stack.enter_context(_set(layer, "unroll", True))
            if hasattr(layer, "_could_use_gpu_kernel"):  # where it is set, Keras 2 ignores ``unroll``
                stack.enter_context(_set(layer, "_could_use_gpu_kernel", False))
        yield


def _rolled(layers: Iterable[KerasLayer]) -> list[KerasLayer]:
    """Return the recurrent layers that were not built to be unrolled."""
    return [layer for layer in layers if getattr(layer, "unroll", None) is False and hasattr(layer, "cell")]


def _is_fused(layer: KerasLayer) -> bool:
    """Return whether a layer is an LSTM of Keras 2 in the only form that has a composite function."""
    return type(layer).__name__ == "LSTM" and bool(getattr(layer, "_could_use_gpu_kernel", False))


@contextlib.contextmanager
def _set(layer: KerasLayer, name: str, value: bool) -> Iterator[None]:
    before = getattr(layer, name)
    object.__setattr__(layer, name, value)  # bypass Keras's attribute tracking
    try:
        yield
    finally:
        object.__setattr__(layer, name, before)
