"""Measure well-known architectures with random weights: sizes, runtimes, memory and time, a row for each.

python benchmarks/architectures.py [--models KEY,...] [--sparsity S,...] [--rounds N] [--results FILE] [--cache DIR]
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

import children
import contenders
import measurements
import results
from architecture_models import ARCHITECTURES
from contenders import Contender
from models import EVERY_KERNEL
from tflite_sparse.base.progress import Silent
from tflite_sparse.errors import TfliteSparseError
from tflite_sparse.planning import encoder
from tflite_sparse.targets.micro import Micro
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.runtimes import Subject
from tflite_sparse.verification.samples import Real

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from helpers import runtime_versions
from helpers.runtime_versions import Job

_CACHE = Path.home() / ".cache" / "tflite-sparse-architectures"
_RUNTIMES = Path.home() / ".cache" / "tflite-sparse-runtimes"
_KERNELS = ("default", "builtin")
_SAMPLES, _PROBES, _PROCESSES = 6, 5, 3
_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "tf-keras", "ai-edge-litert")
_MOST_LATENCY = 1.05
_HEADINGS = (
    "model",
    "float32 (bytes)",
    "int8 (bytes)",
    "TensorFlow sparse (bytes)",
    "ours (bytes)",
    "micro (bytes)",
    "ours, gzip (bytes)",
    "entropy bound (bytes)",
    "load + first invoke (ms), int8 / ours",
    "latency (ms), int8 / ours",
    "latency ratio",
    "memory (MB), int8 / ours",
    "export (s)",
    "bit-exact",
)


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of one model at one sparsity.

    Attributes:
        sizes: bytes of float32, int8, TensorFlow's sparse one (None: it made none), ours, micro, and ours by gzip.
        entropy_bytes: zeroth-order bound of the int8 weights.
        load_ms: of dense int8 and ours, including the first invoke.
        latency_ms: of dense int8 and ours.
        ratio: of the latencies: the median over the rounds.
        memory_mb: of dense int8 and ours.
        export_seconds: conversion to int8, encoding, and the check of the weights.
        problems: failures, in words.
    """

    key: str
    sparsity: float
    rounds: int
    sizes: tuple[int, int, int | None, int, int, int]
    entropy_bytes: int
    load_ms: tuple[float, float]
    latency_ms: tuple[float, float]
    ratio: float
    memory_mb: tuple[float, float]
    export_seconds: float
    exact: bool
    problems: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        return (
            ARCHITECTURES[self.key].title,
            *(f"{size:,}" if size is not None else "-" for size in self.sizes),
            f"{self.entropy_bytes:,}",
            " / ".join(f"{each:.1f}" for each in self.load_ms),
            " / ".join(f"{each:.3f}" for each in self.latency_ms),
            f"{self.ratio:.3f}",
            " / ".join(f"{each:.1f}" for each in self.memory_mb),
            f"{self.export_seconds:.1f}",
            "yes" if self.exact else "NO",
        )


@click.command()
@click.option("--models", "keys", default=",".join(ARCHITECTURES), show_default=True)
@click.option("--sparsity", "sparsities", default="0.75,0.875", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="Rounds of measuring latency.")
@results.results_option("architectures")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), default=_CACHE, show_default=True)
@click.option("--runtimes", type=click.Path(file_okay=False, path_type=Path), default=_RUNTIMES, show_default=True)
@click.option("--again", is_flag=True, help="Measure again what the cache holds.")
def main(
    keys: str, sparsities: str, rounds: int, path: Path, cache: Path, runtimes: Path, again: bool
) -> None:  # fmt: skip
    """Measure rows that are not in the cache, and write the table after each; fail if a file is not exact."""
    unknown = [key for key in keys.split(",") if key not in ARCHITECTURES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(ARCHITECTURES)}.", param_hint="--models")
    cache.mkdir(parents=True, exist_ok=True)
    missing = []
    for sparsity in map(float, sparsities.split(",")):
        for key in keys.split(","):
            stored = cache / f"{key}-{sparsity:g}.json"
            if again or not stored.exists():
                found = _in_child(key, sparsity, rounds, runtimes)
                if isinstance(found, str):
                    missing.append(f"{key} at {sparsity:g}: {found}")
                    continue
                stored.write_text(json.dumps(asdict(found)), "utf-8")
            _write(sparsity, _cached(cache, sparsity), path)
    rows = [row for sparsity in map(float, sparsities.split(",")) for row in _cached(cache, sparsity)]
    for words in (*missing, *(f"{row.key} at {row.sparsity:g}: {each}" for row in rows for each in row.problems)):
        click.echo(words, err=True)
    if missing or any(not row.exact for row in rows):
        sys.exit(1)


def _in_child(key: str, sparsity: float, rounds: int, runtimes: Path) -> Row | str:
    """Return the row, measured in a child process whose memory is freed at its end; or why there is none."""
    started = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            row = pool.submit(_measure, key, sparsity, rounds, runtimes).result()
        except (TfliteSparseError, BrokenProcessPool) as error:
            return str(error)
    click.echo(f"{key} at {sparsity:g}: done in {time.perf_counter() - started:.0f} s", err=True)
    return row


def _measure(key: str, sparsity: float, rounds: int, runtimes: Path) -> Row:
    def say(text: str) -> None:
        click.echo(f"{key} at {sparsity:g}: {text}", err=True)

    recipe = ARCHITECTURES[key]
    say("build and prune")
    source = recipe.make(sparsity)
    samples = recipe.samples(source, _SAMPLES)
    problems = []
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as name:
        folder = Path(name)
        say("convert to float32, int8, TensorFlow's sparse int8")
        plain = contenders.convert_float32(source, folder)
        dense = contenders.convert_int8(source, samples, folder, recipe.recurrent)
        tensorflow_bytes = None
        try:
            tensorflow_bytes = contenders.convert_tensorflow_sparse(source, samples, folder).path.stat().st_size
        except children.ChildError as error:
            problems.append(f"{contenders.TENSORFLOW}: no file: {measurements.in_short(str(error))}")
        say("encode")
        ours = contenders.encode(dense, folder)
        micro = folder / "micro.tflite"
        encoder.encode_file(dense.path, micro, Micro())
        plain_bytes, micro_bytes = plain.path.stat().st_size, micro.stat().st_size
        say("compare in every runtime")
        compared = contenders.compare(ours, dense)
        wrong, skipped = _in_every_version(ours, dense, recipe.samples(source, _PROBES), runtimes)
        wrong = [*compared.differences, *wrong]
        problems += [*wrong, *skipped]
        first, second = measurements.measure([dense, ours], processes=_PROCESSES, rounds=rounds, say=say)
    assert first.loading is not None
    assert second.loading is not None
    assert first.latency is not None
    assert second.latency is not None
    if tensorflow_bytes is not None and second.sizes.file_bytes >= tensorflow_bytes:
        problems.append("not smaller than TensorFlow's")
    if second.latency.ratio > _MOST_LATENCY:
        problems.append(f"latency {second.latency.ratio:.3f} of dense int8")
    return Row(
        key,
        sparsity,
        rounds,
        (
            plain_bytes,
            first.sizes.file_bytes,
            tensorflow_bytes,
            second.sizes.file_bytes,
            micro_bytes,
            second.sizes.gzip_bytes,
        ),
        first.sizes.entropy_bytes,
        (first.loading.first_ms, second.loading.first_ms),
        (first.latency.milliseconds, second.latency.milliseconds),
        second.latency.ratio,
        (first.loading.resident_megabytes, second.loading.resident_megabytes),
        dense.conversion_seconds + (ours.added_seconds or 0.0),
        not wrong,
        tuple(problems),
    )


def _in_every_version(ours: Contender, dense: Contender, samples: object, cache: Path) -> tuple[list[str], list[str]]:
    """Return runtimes in which our file differs from the dense one, and those that do not run the dense one."""
    columns = (samples,) if isinstance(samples, np.ndarray) else samples
    real = Real(columns, _PROBES)  # type: ignore[arg-type]
    calls = tuple(real.draw(LiteRTRuntimes(), Subject.of(dense.path), None, Silent()).samples)
    here, tensorflow = runtime_versions.installed()
    older = [runtime_versions.unpack(number, cache) for number in runtime_versions.OLDER if number != here.version]
    pair = (dense.path.read_bytes(), ours.path.read_bytes())
    jobs = [Job(content, calls, kind) for content in pair for kind in _KERNELS]
    wrong, skipped = [], []
    for runtime in (tensorflow, *older, here):
        found = runtime_versions.run(runtime, jobs)
        half = len(_KERNELS)
        for kind, expected, result in zip(_KERNELS, found[:half], found[half:], strict=True):
            if expected.outputs is None:
                skipped.append(f"{runtime.name}, {kind}: does not run dense int8 either")
            elif not result.same_outputs(expected):
                what = "other outputs" if result.outputs is not None else result.refusal or "crashes"
                wrong.append(f"{runtime.name}, {kind}: {what}")
    return wrong, skipped


def _cached(cache: Path, sparsity: float) -> list[Row]:
    paths = [cache / f"{key}-{sparsity:g}.json" for key in ARCHITECTURES]
    return [Row(**json.loads(path.read_text("utf-8"))) for path in paths if path.exists()]


def _write(sparsity: float, rows: list[Row], path: Path) -> None:
    heading = f"Architectures at {sparsity:.1%} zeros"
    lines = [_HEADINGS, ("---", *["---:"] * (len(_HEADINGS) - 1)), *(row.cells() for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    notes = [f"- {ARCHITECTURES[row.key].title}: {each}" for row in rows for each in row.problems]
    section = f"""## {heading}

{datetime.date.today().isoformat()}; {results.machine()}; {versions}.
Random weights, zeros by magnitude in {EVERY_KERNEL}. Calibrated on {_SAMPLES} samples. ConvNeXtTiny, the
transformer and the LSTMs have a fixed batch of 1. The fused LSTM is of Keras 2.
Reproduce: `python benchmarks/architectures.py --sparsity {sparsity:g} --rounds {rows[-1].rounds}`

Bit-exact: weights, and outputs beside those of dense int8 in the default interpreter and without delegates, in
TensorFlow and ai-edge-litert {", ".join(runtime_versions.OLDER)} and the installed one, there also in
CompiledModel where that runs dense int8. Latency: one thread, both files interleaved. Load and memory: medians of
{_PROCESSES} fresh processes. Micro: encoded only, not run.
Export: conversion to int8, encoding, check of the weights.

{table}

""" + "\n".join(
        notes or ["- every file is exact, smaller than TensorFlow's, and within 5 % of the latency of dense int8"]
    )
    results.write_section(path, heading, section)


if __name__ == "__main__":
    main()
