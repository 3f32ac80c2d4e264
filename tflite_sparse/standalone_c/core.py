"""What of a CPU matters when C is generated for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.targets import micro_costs

_WITH_SMLAD: frozenset[MicroCpu] = frozenset({"cortex-m4", "cortex-m7", "cortex-m33"})
_CPUS: tuple[MicroCpu, ...] = get_args(MicroCpu)


@dataclass(frozen=True, slots=True)
class Core:
    """A CPU, or any of them.

    Attributes:
        pixels_at_once: that the sparse kernel ``PIXEL_DELTA8`` computes together, at most.
        has_smlad: whether it has SMLAD, and no Helium: dense weights are stored in pairs then.
        fits_helium: whether scratch memory is as large as kernels take it on a CPU with Helium.
    """

    pixels_at_once: int
    has_smlad: bool
    fits_helium: bool


def of(cpu: MicroCpu) -> Core:
    """The facts about a CPU; what is generated for ``"generic"`` runs on all."""
    most = max(micro_costs.of(each).pixels_at_once for each in _CPUS)
    pixels = most if cpu == "generic" else micro_costs.of(cpu).pixels_at_once
    return Core(pixels, cpu in _WITH_SMLAD, pixels == most)
