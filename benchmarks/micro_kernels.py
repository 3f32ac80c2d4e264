"""Instructions of the sparse kernels on emulated Cortex-M CPUs, beside CMSIS-NN's dense ones.

python benchmarks/micro_kernels.py [--results FILE]

Instructions are counted in qemu-system-arm, which knows no cycles; nothing runs on silicon. The dense counts are those
of micro_dense_counts.json, of CMSIS-NN 99f736a. The fastest public dense engines take about half of its time
(TinyEngine 0.43 to 0.53 of it on an STM32H743, by its README), so each ratio is told to half of that count as well.
Dense code of our own is counted beside: the plain loop of micro_dense_loop.c, and the kernel for unpruned layers.
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
from tflite_sparse.runtime.kernel_cases import KernelResult

_HEADING = "Sparse kernels for microcontrollers"
_SPARSITY = 0.875

_MATRIX = LayerShape(FULLY_CONNECTED, (1, 1), 1024, 128)
_WIDE = LayerShape(POINTWISE, (8, 8), 128, 128)
_TALL = LayerShape(POINTWISE, (25, 5), 64, 64)
_SQUARE = LayerShape(CONV_2D, (16, 16), 32, 32, (3, 3))
_FIRST = LayerShape(CONV_2D, (49, 10), 1, 64, (10, 4), 2)
_PLAIN_LOOP = costs.HERE / "micro_dense_loop.c"
_LAST = LayerShape(FULLY_CONNECTED, (1, 1), 64, 12)
_WORDS = {
    _MATRIX: "FC 1024 to 128",
    _WIDE: "1x1 8x8x128 to 128",
    _TALL: "1x1 25x5x64 to 64",
    _SQUARE: "3x3 16x16x32 to 32",
    _FIRST: "10x4 49x10x1 to 64, stride 2",
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
_SHARED = {
    _MATRIX: (Kernel.ROW_SHARED, 1.3, 2.3),
    _WIDE: (Kernel.PAIR_SHARED, 1.15, 3.5),
    _TALL: (Kernel.PAIR_SHARED, 1.15, 3.5),
    _SQUARE: (Kernel.STRIP_SHARED, 1.15, 3.5),
}
"""For each layer: the kernel, its most instructions beside those of 8 bits, its least ratio to dense."""
_SHARED_WITH_HELIUM = 1.0
"""Least ratio to dense of FULLY_CONNECTED with shared values on a Cortex-M55."""
_OF_BLOCKS = {
    _MATRIX: (Kernel.ROW_BLOCK16, 6.0),
    _WIDE: (Kernel.PIXEL_BLOCK16, 1.8),
    _SQUARE: (Kernel.PIXEL_BLOCK16, 1.7),
}
_LEAST_POINTWISE, _LEAST_WHOLE = 3.5, 2.0
_UNPRUNED = (_WIDE, _TALL, _SQUARE, _FIRST)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer by one kernel on one CPU."""

    cpu: str
    layer: str
    kernel: str
    share: float
    instructions: int
    plain: int
    dense: int

    @property
    def ratio(self) -> float:
        return self.dense / self.instructions

    def cells(self) -> tuple[str, ...]:
        return (
            *(self.cpu, self.layer, self.kernel, f"{self.share:.3f}"),
            *(f"{self.instructions:,}", f"{self.plain:,}", f"{self.plain / self.instructions:.2f}"),
            *(f"{self.dense:,}", f"{self.ratio:.2f}", f"{self.ratio / 2:.2f}"),
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
    eight_bits = {layer: row.instructions for layer, row in zip(_COUNTS, rows, strict=True)}
    for layer, (kernel, most, least) in _SHARED.items():
        rows.append(_row("cortex-m4", layer, kernel, dense["cortex-m4"][layer]))
        what, beside = f"cortex-m4, {_WORDS[layer]}, shared values", rows[-1].instructions / eight_bits[layer]
        words = f"{what}: at most {most:g} times the instructions of 8 bits"
        verdicts += [results.Verdict(words, f"{beside:.3f}", beside <= most), _at_least(what, rows[-1].ratio, least)]
    for cpu, wanted in _RATIOS.items():
        for layer, (kernel, least) in wanted.items():
            rows.append(_row(cpu, layer, kernel, dense[cpu][layer]))
            verdicts.append(_at_least(f"{cpu}, {_WORDS[layer]}", rows[-1].ratio, least))
    for layer, (kernel, least) in _OF_BLOCKS.items():
        rows.append(_row("cortex-m55", layer, kernel, dense["cortex-m55"][layer]))
        verdicts.append(_at_least(f"cortex-m55, {_WORDS[layer]} with blocks of 1x16", rows[-1].ratio, least))
    rows.append(_row("cortex-m55", _MATRIX, Kernel.ROW_SHARED, dense["cortex-m55"][_MATRIX]))
    what = f"cortex-m55, {_WORDS[_MATRIX]}, shared values"
    verdicts.append(_at_least(what, rows[-1].ratio, _SHARED_WITH_HELIUM))
    first, *_ = counts["ds_cnn"]["counts"]["cortex-m4"]
    unpruned = [
        _row("cortex-m4", layer, Kernel.PAIR_DENSE8, {**dense["cortex-m4"], _FIRST: first}[layer], 0.0)
        for layer in _UNPRUNED
    ]
    more, sentences = _ds_cnn(counts["ds_cnn"])
    verdicts += more
    section = _section(rows, unpruned, sentences, verdicts)
    click.echo(section)
    results.write_section(path, _HEADING, section)
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(1)


def _at_least(what: str, ratio: float, least: float) -> results.Verdict:
    return results.Verdict(f"{what}: at least {least:g} times fewer than dense", f"{ratio:.2f}", ratio >= least)


def _row(cpu: str, layer: LayerShape, kernel: Kernel, dense: int, zeros: float = _SPARSITY) -> Row:
    shape = costs.filter_of(layer)
    weights = costs.random_weights(np.random.default_rng(0), shape, zeros, kernel)

    def counted(by: Kernel, source: Path) -> KernelResult:
        case = costs.case_of(np.random.default_rng(1), layer, shape, weights, by)
        return cortex_m.run(cpu, [case], source)[0]

    found, plain = counted(kernel, cortex_m.KERNELS), counted(Kernel.PAIR_DENSE8, _PLAIN_LOOP)
    if found.output is None or not np.array_equal(found.output, plain.output):
        raise click.ClickException(f"{kernel.name} and the plain loop differ on {cpu}, {layer}.")
    share = stream.nbytes(kernel, shape, weights) / weights.size
    return Row(cpu, _WORDS.get(layer, ""), kernel.name, share, found.instructions, plain.instructions, dense)


def _ds_cnn(counts: dict[str, dict[str, list[int]]]) -> tuple[list[results.Verdict], list[str]]:
    """The keyword spotter of MLPerf Tiny on a Cortex-M4; its depthwise layers are CMSIS-NN's in every sum."""
    first, depthwise, pointwise, last = counts["counts"]["cortex-m4"]
    sparse_first, sparse_pointwise, sparse_last, own_first, own_pointwise = (
        _row("cortex-m4", layer, kernel, 0, zeros).instructions
        for layer, kernel, zeros in (
            (_FIRST, Kernel.PAIR_DELTA8, _SPARSITY),
            (_TALL, Kernel.PAIR_DELTA8, _SPARSITY),
            (_LAST, Kernel.ROW_INDEX8, _SPARSITY),
            (_FIRST, Kernel.PAIR_DENSE8, 0.0),
            (_TALL, Kernel.PAIR_DENSE8, 0.0),
        )
    )
    dense_part, sparse_part = 4 * pointwise + last, 4 * sparse_pointwise + sparse_last
    dense_whole = first + 4 * depthwise + dense_part
    same_first, own, pruned = (each + 4 * depthwise + sparse_part for each in (first, own_first, sparse_first))
    own_whole = own_first + 4 * depthwise + 4 * own_pointwise + last
    verdicts = [
        _at_least("DS-CNN, cortex-m4, pointwise and FULLY_CONNECTED", dense_part / sparse_part, _LEAST_POINTWISE),
        _at_least("DS-CNN, cortex-m4, whole, first layer not pruned", dense_whole / own, _LEAST_WHOLE),
        _at_least("DS-CNN, cortex-m4, whole, first layer pruned too", dense_whole / pruned, _LEAST_WHOLE),
    ]
    sentences = [
        f"DS-CNN (25x5x64) on a Cortex-M4, dense {dense_whole:,} instructions. With the pointwise layers and the last "
        "one pruned, as `--micro-kernels sparse --optimize latency` writes it, "
        f"{own:,} ({dense_whole / own:.2f} times fewer): its first layer keeps all weights and runs in {own_first:,} "
        f"instead of {first:,}. With that layer pruned as well, "
        f"{pruned:,} ({dense_whole / pruned:.2f}); with that layer by CMSIS-NN, {same_first:,} "
        f"({dense_whole / same_first:.2f}).",
        f"The depthwise layers, {4 * depthwise:,}, are CMSIS-NN's in all of these, {4 * depthwise / own:.0%} of the "
        f"instructions that are left. What zeros alone save, beside a dense model whose convolutions run by the kernel "
        f"for unpruned layers ({own_whole:,}), is {own_whole / own:.2f} times.",
    ]
    return verdicts, sentences


def _table(rows: list[Row]) -> str:
    heads = (
        *("CPU", "layer", "kernel", "weights / dense", "instructions"),
        *("plain loop", "ratio", "CMSIS-NN", "ratio", "to half of it"),
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *(r.cells() for r in rows)))


def _section(rows: list[Row], unpruned: list[Row], sentences: list[str], verdicts: list[results.Verdict]) -> str:
    return (
        "\n\n".join(
            (
                f"## {_HEADING}",
                f"{datetime.date.today().isoformat()}; qemu-system-arm with -icount, arm-none-eabi-gcc -O2; "
                f"{_SPARSITY:.1%} unstructured zeros, Laplace weights. CMSIS-NN 99f736a at -O3, counted once. Plain "
                "loop: dense C of our own at -O2, the same outputs.\n"
                "Reproduce: `python benchmarks/micro_kernels.py`",
                "Instructions, not cycles: nothing ran on silicon. The last column compares with half of CMSIS-NN's "
                "count, which is about what the fastest public dense engines take.",
                _table(rows),
                "Layers without zeros, by the kernel that keeps every weight:",
                _table(unpruned),
                *sentences,
                "\n".join(f"- {verdict.in_words()}" for verdict in verdicts),
            )
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
