"""Generated C on emulated Cortex-M CPUs: flash, RAM and instructions, dense beside sparse.

PYTHONPATH=tests python benchmarks/standalone_c.py [--results FILE] [--inputs N]

The demo network is that of firmware_demo; DS-CNN (MLPerf Tiny) and MobileNet v1 0.25/96 have random weights, of which
87.5 % of the larger layers are zeros. Instructions are counted in qemu-system-arm, which knows no cycles. The same
generator makes the dense form.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import results
import tflite_sparse
from helpers import int8_nets, tiny_models
from tflite_sparse.backends import c_instructions, c_report, in_c
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.results.instructions import CountedOperator
from tflite_sparse.runtime import cortex_m_model, micro
from tflite_sparse.standalone_c import files
from tflite_sparse.standalone_c.header import Naming

_HEADING = "Generated C"
_CPUS: tuple[MicroCpu, ...] = ("cortex-m0", "cortex-m4", "cortex-m55")
_DEMO = Path(__file__).resolve().parents[1] / "firmware_demo" / "digits.tflite"
_TARGET_CPU: MicroCpu = "cortex-m4"
_AT_ONCE = 500
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Form:
    """One model in one form on one CPU."""

    footprint: cortex_m_model.Footprint
    arena_bytes: int
    operators: tuple[CountedOperator, ...]
    seconds: float

    @property
    def instructions(self) -> int:
        return sum(each.instructions for each in self.operators)


@dataclass(frozen=True, slots=True)
class Row:
    model: str
    cpu: str
    dense: Form
    sparse: Form
    weights: int
    micro_arena: int

    @property
    def ratio(self) -> float:
        return self.dense.instructions / self.sparse.instructions


def _demo(path: Path) -> None:
    tflite_sparse.decode(_DEMO, path)


def _written(build: Callable[[], int8_nets.Net]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(tiny_models.to_bytes(build().finished())) and None


_DEMO_NAME = "demo CNN"
_MODELS: dict[str, Callable[[Path], None]] = {
    _DEMO_NAME: _demo,
    "DS-CNN": _written(int8_nets.ds_cnn),
    "MobileNet v1 0.25/96": _written(int8_nets.mobilenet),
}
_LEAST = {_DEMO_NAME: 3, "DS-CNN": 2, "MobileNet v1 0.25/96": 2}
"""How many times fewer instructions the sparse form is to take."""


@click.command()
@results.results_option("standalone_c")
@click.option("--inputs", default=10_000, show_default=True, help="Random inputs of each model on the host.")
def main(path: Path, inputs: int) -> None:
    """Measure, compare with the targets, and write the section."""
    rows, verdicts = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model, write in _MODELS.items():
            dense = folder / "dense.tflite"
            write(dense)
            arena = micro.arena(dense)
            for cpu in _CPUS:
                sparse = folder / f"{cpu}.tflite"
                encode_file(dense, sparse, in_c.planned(cpu, "latency"))
                weights = _weights(dense)
                rows.append(Row(model, cpu, _form(dense, cpu), _form(sparse, cpu), weights, arena))
                click.echo(" | ".join(_cells(rows[-1])))
            verdicts.append(_equal(model, dense, folder / "cortex-m4.tflite", inputs))
            if model == _DEMO_NAME:
                verdicts.append(_smallest(dense, folder / "smallest.tflite"))
    verdicts += _verdicts({(row.model, row.cpu): row for row in rows})
    section = _section(rows, verdicts)
    click.echo(section)
    results.write_section(path, _HEADING, section)
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(1)


def _sources(path: Path, cpu: MicroCpu) -> files.Sources:
    return files.generate(serde.read(path), Naming("model", "tflite-sparse", path.name), cpu)


def _form(path: Path, cpu: MicroCpu) -> Form:
    started = time.perf_counter()
    sources = _sources(path, cpu)
    seconds = time.perf_counter() - started
    footprint = c_report.footprint(sources, cpu)
    if isinstance(footprint, str):
        raise click.ClickException(footprint)
    counted = c_instructions.count(path, cpu)
    return Form(footprint, sources.arena.nbytes, tuple(counted.operators), seconds)


def _weights(path: Path) -> int:
    """Bytes of the dense int8 weights."""
    model = serde.read(path)
    graph = files.reader.Graph(model, model.subgraphs[0])
    constants = (graph.constant(index) for index in range(len(graph.subgraph.tensors)) if graph.is_constant(index))
    return sum(values.nbytes for values in constants if values is not None and values.dtype == np.int8)


def _equal(model: str, dense: Path, sparse: Path, count: int) -> results.Verdict:
    """Whether outputs of random inputs on the host equal those of TensorFlow Lite Micro on the dense file."""
    rng = np.random.default_rng(0)
    sources = _sources(sparse, "cortex-m4")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        program = in_c.compiled(sources, Path(folder))
        for start in range(0, count, _AT_ONCE):
            samples = [c_instructions.sample(sources, rng) for _ in range(min(_AT_ONCE, count - start))]
            found, wanted = program.run(samples), micro.run_separately(dense, samples).rows
            wrong += sum(bool(np.any(a[0] != b[0])) for a, b in zip(found, wanted, strict=True))
    return results.Verdict(f"{model}: outputs of {count:,} random inputs differ", f"{wrong}", wrong == 0)


def _smallest(dense: Path, sparse: Path) -> results.Verdict:
    """Flash of the smallest form, which is the default."""
    encode_file(dense, sparse, in_c.planned("cortex-m4", "size"))
    form = _form(sparse, "cortex-m4")
    share = form.footprint.flash_bytes / _weights(dense)
    words = f"{_DEMO_NAME}, cortex-m4, the smallest form: flash at most 32 % of dense weights"
    return results.Verdict(words, f"{share:.1%}, in {form.instructions:,} instructions", share <= 0.32)


def _verdicts(rows: dict[tuple[str, str], Row]) -> list[results.Verdict]:
    demo = rows[_DEMO_NAME, _TARGET_CPU]
    found = [_at_least(rows[model, _TARGET_CPU], least) for model, least in _LEAST.items()]
    ram = demo.sparse.arena_bytes
    found.append(
        results.Verdict(f"demo CNN: arena at most {demo.micro_arena:,} bytes", f"{ram:,}", ram <= demo.micro_arena)
    )
    seconds = max(row.sparse.seconds for row in rows.values())
    found.append(results.Verdict(f"generated in less than {_SECONDS:g} s", f"{seconds:.1f} s", seconds < _SECONDS))
    return found


def _at_least(row: Row, least: float) -> results.Verdict:
    words = f"{row.model}, {row.cpu}: at least {least:g} times fewer instructions than dense"
    return results.Verdict(words, f"{row.ratio:.2f}", row.ratio >= least)


def _what_is_left(row: Row) -> str:
    """What layers that are the same in both forms leave to the others for the target."""
    both = zip(row.dense.operators, row.sparse.operators, strict=True)
    changed = [pair for pair in both if pair[0].form != pair[1].form]
    dense, sparse = (sum(each.instructions for each in form) for form in zip(*changed, strict=True))
    shared, least = row.sparse.instructions - sparse, _LEAST[row.model]
    left = row.dense.instructions / least - shared
    return (
        f"- {row.model}: layers that are the same in both forms take {shared:,} instructions, the others {dense:,} and "
        f"{sparse:,} ({dense / sparse:.2f} times fewer). For {least:g} times fewer in all, these would have to "
        f"take {left:,.0f} ({dense / left:.2f} times fewer)."
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        *(row.model, row.cpu, f"{row.weights:,}"),
        *(f"{each.footprint.flash_bytes:,}" for each in (row.dense, row.sparse)),
        f"{row.sparse.footprint.code_bytes:,}",
        *(f"{each.arena_bytes:,}" for each in (row.dense, row.sparse)),
        *(f"{row.micro_arena:,}", f"{row.sparse.footprint.stack_bytes:,}"),
        *(f"{each.instructions:,}" for each in (row.dense, row.sparse)),
        f"{row.ratio:.2f}",
    )


_COLUMNS = (
    *("model", "CPU", "int8 weights", "flash dense", "flash sparse", "of it code", "arena dense", "arena sparse"),
    *("TFLM's arena, dense", "stack", "instructions dense", "instructions sparse", "ratio"),
)


def _section(rows: list[Row], verdicts: list[results.Verdict]) -> str:
    lines = [
        f"## {_HEADING}",
        "",
        f"`PYTHONPATH=tests python benchmarks/standalone_c.py`, {datetime.date.today()}, {results.machine()}; "
        f"{results.versions(('tflite-sparse', 'tflite-micro', 'ai-edge-litert'))}. GCC 12.2 at -O2, "
        "qemu-system-arm 7.2. Instructions are not cycles. Sizes are bytes; flash is code and constants, linked. "
        "The sparse form is made for latency. Weights of DS-CNN and MobileNet are random.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{' --- |' * 2}{' ---: |' * (len(_COLUMNS) - 2)}",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
        "",
        "| target | found | |",
        "| --- | ---: | --- |",
        *(f"| {each.target} | {each.result} | {'reached' if each.passed else 'missed'} |" for each in verdicts),
        "",
        f"{_TARGET_CPU}, what is left to the sparse kernels:",
        "",
        *(_what_is_left(row) for row in rows if row.cpu == _TARGET_CPU),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
