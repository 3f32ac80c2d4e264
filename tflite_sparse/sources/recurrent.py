"""How the recurrent layers of a Keras model are traced: as loops, or step by step.

The converter turns the composite function by which Keras 2 marks an LSTM into one UNIDIRECTIONAL_SEQUENCE_LSTM; every
other recurrent layer becomes a loop over time steps (WHILE), which its calibrator does not survive. Unrolled, a layer
is plain operators, whose weights are read at every step and can be stored sparse, once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from tflite_sparse.sources.source_model import Loops


def describe(layers: Iterable[Any]) -> Loops:
    """What the recurrent layers among ``layers`` become if nothing is done about them."""
    found = _rolled(layers)
    fused = sum(map(_is_fused, found))
    return Loops(
        any=bool(found),
        mixed=0 < fused < len(found),
        unrollable=bool(found),
    )


@contextlib.contextmanager
def unrolled(layers: Iterable[Any]) -> Iterator[None]:
    """Let recurrent layers be traced step by step inside of the block, which needs a known number of steps.

    Args:
        layers: of a built Keras model of either generation, nested ones included.
    """
    with contextlib.ExitStack() as stack:
        for layer in _rolled(layers):
            stack.enter_context(_set(layer, "unroll", True))
            if hasattr(layer, "_could_use_gpu_kernel"):  # Keras 2 does not look at ``unroll`` where this is set
                stack.enter_context(_set(layer, "_could_use_gpu_kernel", False))
        yield


def _rolled(layers: Iterable[Any]) -> list[Any]:
    """The recurrent layers that were not built to be unrolled."""
    return [layer for layer in layers if getattr(layer, "unroll", None) is False and hasattr(layer, "cell")]


def _is_fused(layer: Any) -> bool:
    """Whether it is an LSTM of Keras 2 in the one form that it has a composite function for."""
    return type(layer).__name__ == "LSTM" and bool(getattr(layer, "_could_use_gpu_kernel", False))


@contextlib.contextmanager
def _set(layer: Any, name: str, value: bool) -> Iterator[None]:
    before = getattr(layer, name)
    object.__setattr__(layer, name, value)  # past what Keras tracks
    try:
        yield
    finally:
        object.__setattr__(layer, name, before)
