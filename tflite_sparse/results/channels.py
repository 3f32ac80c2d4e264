"""Groups of channels that are masked together. Shares are in [0, 1]."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class MaskedChannels(Part):
    """One group of channels, after pruning.

    Attributes:
        kernels: names of the kernels that make the channels; several are tied by additions or gates.
        channels: how many there are.
        kept: how many of them are not zero.
        asked: share of them to be masked, before the kept number is rounded up; None: zeros were only kept.
    """

    kernels: tuple[str, ...]
    channels: int
    kept: int
    asked: float | None
