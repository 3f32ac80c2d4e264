"""Random layers of the sizes that microcontrollers run, for the costs of kernels."""

from __future__ import annotations

import dataclasses

import numpy as np

FULLY_CONNECTED, POINTWISE, CONV_2D = "FULLY_CONNECTED", "POINTWISE", "CONV_2D"
KINDS = (FULLY_CONNECTED, POINTWISE, CONV_2D)


@dataclasses.dataclass(frozen=True)
class LayerShape:
    """One layer; sizes as TensorFlow Lite has them, paddings SAME."""

    kind: str
    input_size: tuple[int, int]
    channels: int
    outputs: int
    filter_size: tuple[int, int] = (1, 1)
    stride: int = 1

    @property
    def output_size(self) -> tuple[int, int]:
        return -(-self.input_size[0] // self.stride), -(-self.input_size[1] // self.stride)

    @property
    def pixels(self) -> int:
        return self.output_size[0] * self.output_size[1]

    @property
    def taps(self) -> int:
        return self.filter_size[0] * self.filter_size[1] * self.channels

    @property
    def macs(self) -> int:
        return self.pixels * self.taps * self.outputs


FIRST_LAYERS = (
    LayerShape(CONV_2D, (28, 28), 1, 16, (3, 3)),
    LayerShape(CONV_2D, (49, 10), 1, 64, (10, 4), 2),
    LayerShape(CONV_2D, (32, 32), 1, 8, (5, 5)),
    LayerShape(CONV_2D, (48, 48), 3, 8, (3, 3), 2),
    LayerShape(CONV_2D, (32, 32), 3, 16, (3, 3)),
    LayerShape(CONV_2D, (24, 24), 3, 32, (5, 5), 2),
)
"""Of images and sounds, whose few channels do not come in fours."""

ODD_LAYERS = (
    LayerShape(FULLY_CONNECTED, (1, 1), 64, 1),
    LayerShape(FULLY_CONNECTED, (1, 1), 200, 3),
    LayerShape(FULLY_CONNECTED, (1, 1), 128, 10),
    LayerShape(FULLY_CONNECTED, (1, 1), 33, 7),
    LayerShape(POINTWISE, (12, 12), 16, 1),
    LayerShape(POINTWISE, (7, 9), 24, 3),
    LayerShape(POINTWISE, (16, 10), 32, 10),
    LayerShape(POINTWISE, (5, 5), 64, 7),
    LayerShape(POINTWISE, (3, 3), 256, 256),
    LayerShape(POINTWISE, (9, 7), 5, 6),
    LayerShape(CONV_2D, (12, 12), 16, 1, (3, 3)),
    LayerShape(CONV_2D, (11, 13), 6, 5, (3, 3)),
    LayerShape(CONV_2D, (8, 9), 8, 10, (2, 3), 2),
    LayerShape(CONV_2D, (5, 5), 24, 7, (3, 3)),
    LayerShape(CONV_2D, (17, 11), 2, 3, (3, 2)),
    LayerShape(CONV_2D, (9, 9), 3, 6, (1, 1), 2),
)
"""Whose outputs, inputs or pixels do not fill the tiles of dense loops."""


def layers(count: int, seed: int = 0, most_macs: int = 3_000_000) -> list[LayerShape]:
    """``count`` layers of each kind."""
    rng = np.random.default_rng(seed)
    found: list[LayerShape] = []
    for kind in KINDS:
        some: list[LayerShape] = []
        while len(some) < count:
            side = (int(rng.integers(2, 25)), int(rng.integers(2, 25)))
            if kind == FULLY_CONNECTED:
                layer = LayerShape(kind, (1, 1), int(rng.choice([40, 64, 128, 200, 512, 784, 1024, 1600])), size(rng))
            elif kind == POINTWISE:
                layer = LayerShape(kind, side, size(rng), size(rng))
            else:
                shape = [(3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (2, 2)][int(rng.integers(6))]
                layer = LayerShape(kind, side, size(rng), size(rng), shape, int(rng.choice([1, 1, 1, 2])))
            if layer.macs <= most_macs and layer.outputs * layer.taps <= 250_000:
                some.append(layer)
        found += some
    return found


def size(rng: np.random.Generator) -> int:
    return int(rng.choice([8, 12, 16, 24, 32, 48, 64, 96, 128]))
