"""Choose the weights that become zero: schedules, masks, and pruning inside ``model.fit``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tflite_sparse.pruning.callback import MagnitudePruning as MagnitudePruning

__all__ = ["MagnitudePruning"]


def __getattr__(name: str) -> object:
    if name != "MagnitudePruning":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tflite_sparse.pruning.callback import MagnitudePruning

    return MagnitudePruning
