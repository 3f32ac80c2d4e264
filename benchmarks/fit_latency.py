"""Measure whether a file of ``fit --max-latency`` keeps the limit when it is timed again.

python benchmarks/fit_latency.py [--width FACTOR] [--share SHARE] [--epochs N] [--results FILE]

A CNN with the layers of the demo but its softmax, mnist-5k. The limit is a share of the time of its dense int8 file, as
``bench`` tells it. The file that is found is timed again beside the dense one, in processes of their own.
"""

from __future__ import annotations

import datetime
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import channel_training
import results
import tflite_sparse
from results import Verdict
from tflite_sparse.base.progress import ignore_steps
from tflite_sparse.conversion.convert import to_int8
from tflite_sparse.errors import BudgetError
from tflite_sparse.pruning import training
from tflite_sparse.results.fit import FitReport
from tflite_sparse.results.latency import BenchReport
from tflite_sparse.sources import dataset, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource

_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert")
_DATA, _SEED, _CALIBRATION_SAMPLES = "mnist-5k", 0, 200
_AGAIN, _ROUNDS = 10, 200
_NOISE = 0.02  # of a ratio: two copies of one file differ by as much


@dataclass(frozen=True, slots=True)
class Timed:
    """A file within a limit, timed again.

    Attributes:
        width: factor on the channels of the network.
        share: of the dense file's time that is allowed.
        dense_ms: median time of one run of the dense file, before ``fit``.
        report: of ``fit``.
        again: the written file beside the dense one of the same run, once for each process.
        load: of the machine, the mean of a minute, before and after.
    """

    width: int
    share: float
    dense_ms: float
    report: FitReport
    again: Sequence[BenchReport]
    load: tuple[float, float]

    @property
    def ratios(self) -> list[float]:
        """Time over that of the dense file in turns with it, ascending."""
        return sorted(each.files[1].ratios.latency for each in self.again)

    @property
    def allowed_ratio(self) -> float:
        """The limit over the dense file's time as ``fit`` measured it."""
        (limit,) = self.report.limits
        return limit.limit / limit.untouched

    @property
    def heading(self) -> str:
        """Of its section."""
        return f"fit --max-latency at {self.share:g} of the dense file's time, width {self.width}"


@click.command()
@click.option("--width", type=click.IntRange(1), default=4, show_default=True, help="Factor on the network's channels.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.6,
    show_default=True,
    help="Of the dense file's time.",
)
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Before fit, and in it.")
@results.results_option("fit")
def main(width: int, share: float, epochs: int, path: Path) -> None:
    """Train, fit, time again, print and record; exit with 1 if the limit is not kept."""
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as folder:
        try:
            found = _measured(width, share, epochs, Path(folder))
        except BudgetError as error:
            raise click.ClickException(str(error)) from error
    verdicts = list(_verdicts(found))
    section = _section(found, verdicts, epochs)
    results.write_section(path, found.heading, section)
    click.echo(section)
    sys.exit(not all(verdict.passed for verdict in verdicts))


def _measured(width: int, share: float, epochs: int, folder: Path) -> Timed:
    data, keras = dataset.load(_DATA), tensorflow_import.keras3()
    net = channel_training.PLAIN
    keras.utils.set_random_seed(_SEED)
    source = KerasSource(net.build(keras, [width * count for count in net.channels]), keras, "plain CNN")
    training.train_from_scratch(source, data, 0.0, seed=_SEED, epochs=epochs, on_step=ignore_steps)
    model, dense = folder / "dense.keras", folder / "dense.tflite"
    source.model.save(model)
    dense.write_bytes(_dense(source, data))
    load = os.getloadavg()[0]
    dense_ms = tflite_sparse.bench([dense], rounds=_ROUNDS).files[0].latency_ms_median
    out = folder / "out"
    report = tflite_sparse.fit(model, data, max_latency=share * dense_ms, epochs=epochs, seed=_SEED, out=out)
    files = [out / "dense-int8.tflite", out / "model.tflite"]
    again = [tflite_sparse.bench(files, rounds=_ROUNDS) for _ in range(_AGAIN)]
    return Timed(width, share, dense_ms, report, again, (load, os.getloadavg()[0]))


def _dense(source: KerasSource, data: Dataset) -> bytes:
    return to_int8(source, data.x_train[:_CALIBRATION_SAMPLES], "int8")


def _verdicts(found: Timed) -> Iterator[Verdict]:
    median = statistics.median(found.ratios)
    yield Verdict(
        f"the limit is kept in {_AGAIN} processes, median of the ratios, at most {_NOISE:.0%} above",
        f"{median:.3f} of {found.allowed_ratio:.3f}",
        median <= found.allowed_ratio * (1 + _NOISE),
    )
    (limit,) = found.report.limits
    yield Verdict("`fit` says the same", f"{limit.used:.4g} of {limit.limit:.4g} ms", limit.used <= limit.limit)


def _section(found: Timed, verdicts: Sequence[Verdict], epochs: int) -> str:
    report, (limit,) = found.report, found.report.limits
    dense = [each.files[0].latency_ms_median for each in found.again]
    fitted = [each.files[1].latency_ms_median for each in found.again]
    kept = ", ".join(f"{each.kept} of {each.channels}" for each in report.channels)
    parts = [
        f"## {found.heading}",
        f"Measured on {datetime.date.today().isoformat()}, {results.machine()}, load {found.load[0]:.0f} to "
        f"{found.load[1]:.0f}; {results.versions(_PACKAGES)}. "
        f"Command: `python benchmarks/fit_latency.py --width {found.width} --share {found.share:g} --epochs {epochs}`.",
        f"A CNN with the demo's layers but its softmax, {found.width} times its channels, {_DATA}. "
        f"Dense int8, before `fit`: {found.dense_ms:.4f} ms; measured by `fit`: {limit.untouched:.4f} ms. "
        f"Found in {len(report.rounds)} round{'s' * (len(report.rounds) > 1)}, "
        f"{sum(report.seconds.values()):.0f} s, of which "
        f"{report.seconds.get('choose channels', 0.0):.0f} s choose channels. Kept: {kept}. {report.file_bytes:,} "
        f"bytes; top-1 {report.accuracy:.3f}, dense float32 {report.dense_accuracy:.3f}. Timed again: {_AGAIN} "
        f"processes, {_ROUNDS} rounds each, one thread.",
        f"| | limit | by `fit` | again, median | least to most |\n| --- | ---: | ---: | ---: | ---: |\n"
        f"| ms | {limit.limit:.4f} | {limit.used:.4f} | {statistics.median(fitted):.4f} | {min(fitted):.4f} to "
        f"{max(fitted):.4f} |\n"
        f"| ms, dense | | {limit.untouched:.4f} | {statistics.median(dense):.4f} | {min(dense):.4f} to "
        f"{max(dense):.4f} |\n"
        f"| ratio | {found.allowed_ratio:.3f} | {limit.used / limit.untouched:.3f} | "
        f"{statistics.median(found.ratios):.3f} | {found.ratios[0]:.3f} to {found.ratios[-1]:.3f} |",
        "\n".join(f"- {verdict.in_words()}" for verdict in verdicts),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
