"""Dense operators of generated C beside those of CMSIS-NN: instructions on emulated Cortex-M CPUs.

PYTHONPATH=tests python benchmarks/standalone_dense.py [--results FILE]

The layers and the counts of CMSIS-NN are those of micro_dense_counts.json.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import results
import standalone_layers
from helpers.int8_models import Activation, Constant, Operator
from micro_kernel_costs import FITTED, shape_of
from micro_layers import CONV_2D, POINTWISE, LayerShape
from tflite_sparse.codecs.streams.names import MicroCpu

_HEADING = "Dense operators beside CMSIS-NN"
_COUNTS = Path(__file__).resolve().parent / "micro_dense_counts.json"
_MOST = 1.15 * 0.55
"""Of CMSIS-NN's instructions, for the convolutions that TARGETS names; the fastest public engine takes about 0.55."""
_TARGETS = (POINTWISE, CONV_2D)
_TARGET_CPU: MicroCpu = "cortex-m4"
_DEPTHWISE, _DEPTHWISE_PLACE = "DEPTHWISE_CONV_2D 3x3x64, 25x5", 1


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of operator on one CPU: instructions of each layer, ours and CMSIS-NN's."""

    kind: str
    cpu: MicroCpu
    ours: Sequence[int]
    theirs: Sequence[int]

    @property
    def shares(self) -> np.ndarray:
        """Of each layer, ours to CMSIS-NN's."""
        return np.array(self.ours) / np.array(self.theirs)


@click.command()
@results.results_option("standalone_c")
def main(path: Path) -> None:
    """Count, and write the section."""
    known = json.loads(_COUNTS.read_text("utf-8"))
    layers = [shape_of(each) for each in known["layers"]]
    rows = [row for cpu in FITTED for row in _rows(cpu, layers, known)]
    section = _section(rows, known)
    click.echo(section)
    results.write_section(path, _HEADING, section)


def _rows(cpu: MicroCpu, layers: list[LayerShape], known: dict[str, Any]) -> list[Row]:
    ours = standalone_layers.counts(cpu, layers)
    found = []
    for kind in dict.fromkeys(layer.kind for layer in layers):
        places = [place for place, layer in enumerate(layers) if layer.kind == kind]
        theirs = known["counts"][cpu]
        found.append(Row(kind, cpu, [ours[place] for place in places], [theirs[place] for place in places]))
    assert known["ds_cnn"]["layers"][_DEPTHWISE_PLACE] == _DEPTHWISE
    ((_, count),) = standalone_layers.counted(cpu, [_depthwise()])
    return [*found, Row(_DEPTHWISE, cpu, [count], [known["ds_cnn"]["counts"][cpu][_DEPTHWISE_PLACE]])]


def _depthwise() -> Operator:
    """The depthwise layer of DS-CNN with random weights."""
    rng, channels, image = np.random.default_rng(0), 64, (25, 5)
    scales = rng.uniform(0.5, 2.0, channels).astype(np.float32) / 64
    weights = rng.integers(-127, 128, (1, 3, 3, channels)).astype(np.int8)
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    inputs: list[Activation | Constant | None] = [
        Activation(shape=(1, *image, channels), scale=1 / 16, zero_point=3),
        Constant(values=weights, scale=scales, axis=3),
        Constant(values=bias, scale=scales / 16),
    ]
    options: dict[str, object] = {"padding": schema.Padding.SAME, "strideH": 1, "strideW": 1, "depthMultiplier": 1}
    options |= {"dilationHFactor": 1, "dilationWFactor": 1}
    y = Activation(shape=(1, *image, channels), scale=0.4, zero_point=-5)
    return Operator("DEPTHWISE_CONV_2D", inputs, [y], 3, options)


def _section(rows: list[Row], known: dict[str, Any]) -> str:
    targets = [row for row in rows if row.kind in _TARGETS and row.cpu == _TARGET_CPU]
    worst = max(float(np.median(row.shares)) for row in targets)
    lines = [
        f"## {_HEADING}",
        "",
        f"`PYTHONPATH=tests python benchmarks/standalone_dense.py`, {datetime.date.today()}; GCC 12.2 at -O2, "
        f"qemu-system-arm 7.2. {known['made_by']}: their counts, on the layers of `micro_dense_counts.json`. Shares "
        "are ours of theirs. Instructions are not cycles.",
        "",
        "| operator | CPU | layers | median share | least | largest | ours in all | CMSIS-NN |",
        f"| --- | --- |{' ---: |' * 6}",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
        "",
        f"Target: CONV_2D and POINTWISE on {_TARGET_CPU} at most {_MOST:.2f} of CMSIS-NN's instructions; the larger "
        f"median is {worst:.2f}, {'reached' if worst <= _MOST else 'missed'}.",
        "",
    ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    shares = (np.median(row.shares), row.shares.min(), row.shares.max())
    return (
        *(row.kind, row.cpu, f"{len(row.ours)}"),
        *(f"{each:.2f}" for each in shares),
        *(f"{sum(each):,}" for each in (row.ours, row.theirs)),
    )


if __name__ == "__main__":
    main()
