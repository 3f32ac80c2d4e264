"""Instructions of the sparse kernels on emulated Cortex-M CPUs, beside CMSIS-NN's dense ones.

python benchmarks/micro_kernels.py [--results FILE]

Instructions are counted in qemu-system-arm, which knows no cycles; nothing runs on silicon. The dense counts are those
of micro_dense_counts.json, of CMSIS-NN 99f736a. The fastest public dense engines take about half of its time
(TinyEngine 0.43 to 0.53 of it on an STM32H743, by its README), so each ratio is told to half of that count as well.
"""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import micro_kernel_costs as costs
import results
from micro_layers import CONV_2D, FULLY_CONNECTED, POINTWISE, LayerShape
from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.runtime import cortex_m

_HEADING = "Sparse kernels for microcontrollers"
_SPARSITY = 0.875

_MATRIX = LayerShape(FULLY_CONNECTED, (1, 1), 1024, 128)
_WIDE = LayerShape(POINTWISE, (8, 8), 128, 128)
_TALL = LayerShape(POINTWISE, (25, 5), 64, 64)
_SQUARE = LayerShape(CONV_2D, (16, 16), 32, 32, (3, 3))
_FIRST = LayerShape(CONV_2D, (49, 10), 1, 64, (10, 4), 2)
_LAST = LayerShape(FULLY_CONNECTED, (1, 1), 64, 12)
_WORDS = {
    _MATRIX: "FC 1024 to 128",
    _WIDE: "1x1 8x8x128 to 128",
    _TALL: "1x1 25x5x64 to 64",
    _SQUARE: "3x3 16x16x32 to 32",
}
_WITHOUT_DSP = {
    _MATRIX: (Kernel.ROW_INDEX8, 4.5),
    _WIDE: (Kernel.DIRECT_DELTA8, 3.4),
    _SQUARE: (Kernel.PIXEL_DELTA8, 4.5),
}
_RATIOS = {
    "cortex-m0": _WITHOUT_DSP,
    "cortex-m3": _WITHOUT_DSP,
    "cortex-m55": {
        _MATRIX: (Kernel.ROW_INDEX8, 2.7),
        _WIDE: (Kernel.PIXEL_DELTA8, 1.6),
        _SQUARE: (Kernel.PIXEL_DELTA8, 1.4),
    },
}
_COUNTS = {
    _MATRIX: (Kernel.ROW_INDEX8, 86_000),
    _WIDE: (Kernel.PAIR_DELTA8, 335_000),
    _TALL: (Kernel.PAIR_DELTA8, 258_000),
    _SQUARE: (Kernel.STRIP_DELTA8, 665_000),
}
_OF_BLOCKS = {
    _MATRIX: (Kernel.ROW_BLOCK16, 6.0),
    _WIDE: (Kernel.PIXEL_BLOCK16, 1.8),
    _SQUARE: (Kernel.PIXEL_BLOCK16, 1.7),
}
_LEAST_POINTWISE, _LEAST_WHOLE = 3.5, 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One layer by one kernel on one CPU."""

    cpu: str
    layer: str
    kernel: str
    share: float
    instructions: int
    dense: int

    @property
    def ratio(self) -> float:
        return self.dense / self.instructions

    def cells(self) -> tuple[str, ...]:
        return (
            *(self.cpu, self.layer, self.kernel, f"{self.share:.3f}"),
            *(f"{self.instructions:,}", f"{self.dense:,}", f"{self.ratio:.2f}", f"{self.ratio / 2:.2f}"),
        )


@click.command()
@results.results_option("microcontrollers")
def main(path: Path) -> None:
    """Count, compare with the targets, and write the section."""
    counts = json.loads((costs.HERE / "micro_dense_counts.json").read_text("utf-8"))
    dense = {
        cpu: dict(zip(map(costs.shape_of, counts["layers"]), found, strict=True))
        for cpu, found in counts["counts"].items()
    }
    rows, verdicts = [], []
    for layer, (kernel, limit) in _COUNTS.items():
        rows.append(_row("cortex-m4", layer, kernel, dense["cortex-m4"][layer]))
        words = f"cortex-m4, {_WORDS[layer]}: at most {limit:,} instructions"
        verdicts.append(results.Verdict(words, f"{rows[-1].instructions:,}", rows[-1].instructions <= limit))
    for cpu, wanted in _RATIOS.items():
        for layer, (kernel, least) in wanted.items():
            rows.append(_row(cpu, layer, kernel, dense[cpu][layer]))
            verdicts.append(_at_least(f"{cpu}, {_WORDS[layer]}", rows[-1].ratio, least))
    for layer, (kernel, least) in _OF_BLOCKS.items():
        rows.append(_row("cortex-m55", layer, kernel, dense["cortex-m55"][layer]))
        verdicts.append(_at_least(f"cortex-m55, {_WORDS[layer]} with blocks of 1x16", rows[-1].ratio, least))
    more, sentences = _ds_cnn(counts["ds_cnn"])
    verdicts += more
    section = _section(rows, sentences, verdicts)
    click.echo(section)
    results.write_section(path, _HEADING, section)
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(1)


def _at_least(what: str, ratio: float, least: float) -> results.Verdict:
    return results.Verdict(f"{what}: at least {least:g} times fewer than dense", f"{ratio:.2f}", ratio >= least)


def _row(cpu: str, layer: LayerShape, kernel: Kernel, dense: int) -> Row:
    rng = np.random.default_rng(0)
    shape = costs.filter_of(layer)
    weights = costs.random_weights(rng, shape, _SPARSITY, kernel)
    (found,) = cortex_m.run(cpu, [costs.case_of(rng, layer, shape, weights, kernel)])
    share = stream.nbytes(kernel, shape, weights) / weights.size
    return Row(cpu, _WORDS.get(layer, ""), kernel.name, share, found.instructions, dense)


def _ds_cnn(counts: dict[str, dict[str, list[int]]]) -> tuple[list[results.Verdict], list[str]]:
    """The keyword spotter of MLPerf Tiny on a Cortex-M4: what is not pruned is CMSIS-NN's in both sums."""
    first, depthwise, pointwise, last = counts["counts"]["cortex-m4"]
    sparse = {
        layer: _row("cortex-m4", layer, kernel, 0).instructions
        for layer, kernel in ((_FIRST, Kernel.PAIR_DELTA8), (_TALL, Kernel.PAIR_DELTA8), (_LAST, Kernel.ROW_INDEX8))
    }
    dense_part, sparse_part = 4 * pointwise + last, 4 * sparse[_TALL] + sparse[_LAST]
    dense_whole = first + 4 * depthwise + dense_part
    kept_first = first + 4 * depthwise + sparse_part
    pruned_first = sparse[_FIRST] + 4 * depthwise + sparse_part
    verdicts = [
        _at_least("DS-CNN, cortex-m4, pointwise and FULLY_CONNECTED", dense_part / sparse_part, _LEAST_POINTWISE),
        _at_least("DS-CNN, cortex-m4, whole, first layer pruned too", dense_whole / pruned_first, _LEAST_WHOLE),
    ]
    sentence = (
        f"DS-CNN (25x5x64) on a Cortex-M4: dense {dense_whole:,} instructions, {kept_first:,} with the pointwise "
        f"layers and the last one pruned ({dense_whole / kept_first:.2f} times fewer), {pruned_first:,} with the first "
        f"one as well ({dense_whole / pruned_first:.2f}). The depthwise layers, {4 * depthwise:,}, stay dense."
    )
    return verdicts, [sentence]


def _section(rows: list[Row], sentences: list[str], verdicts: list[results.Verdict]) -> str:
    heads = ("CPU", "layer", "kernel", "weights / dense", "instructions", "dense", "ratio", "to half of dense")
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *(row.cells() for row in rows))]
    return (
        "\n\n".join(
            (
                f"## {_HEADING}",
                f"{datetime.date.today().isoformat()}; qemu-system-arm with -icount, arm-none-eabi-gcc -O2; "
                f"{_SPARSITY:.1%} unstructured zeros, Laplace weights. Dense: CMSIS-NN 99f736a at -O3, counted once.\n"
                "Reproduce: `python benchmarks/micro_kernels.py`",
                "Instructions, not cycles: nothing ran on silicon. The last column compares with half of CMSIS-NN's "
                "count, which is about what the fastest public dense engines take.",
                "\n".join(lines),
                *sentences,
                "\n".join(f"- {verdict.in_words()}" for verdict in verdicts),
            )
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
