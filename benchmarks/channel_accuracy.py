"""Measure what it costs to prune channels: beside small networks from scratch, and together with unstructured zeros.

python benchmarks/channel_accuracy.py [--study NAME] [--seeds N] [--epochs N] [--work DIR] [--results FILE]

Fashion-MNIST; a plain and a separable CNN. All runs of a network have the same epochs, batches and learning rates.
Accuracy is that of the int8 file on the 10,000 test images.
"""

from __future__ import annotations

import contextlib
import datetime
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import channel_training as training
import results
from channel_training import Form, Method, Net, Result
from results import Verdict
from tflite_sparse.scoring.frontier import half_interval
from tflite_sparse.sources import dataset

_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert")
_LARGEST_FILE = 40 * 1024
_MOST_MULTIPLY_ADDS = 0.5
_CPU = "cortex-m4"

_HALF = Method("half of the channels pruned", rules=(training.rule(block="channel", sparsity=0.5),))
_SMALL = Method("half as many from scratch", share=0.5)
_CHANNELS = Method(
    "channels",
    rules=(training.rule(block="channel", sparsity=0.5), training.rule("dense", block="channel", sparsity=0.75)),
)
_ZEROS = Method("unstructured zeros", rules=(training.rule(sparsity=0.948),))


def _together(conv1: float, zeros: float) -> tuple[training.Rule, ...]:
    """Channels where the multiply-adds are, in the convolutions, and zeros where the bytes are, in the large matrix."""
    return (
        training.rule("conv1", block="channel", sparsity=conv1, channel_multiple=1),
        training.rule("conv2", block="channel", sparsity=0.5),
        training.rule("dense", sparsity=zeros),
    )


_BOTH = Method("both", rules=_together(0.1875, 0.9))
_ZEROS_MICRO = Method("unstructured zeros for micro", rules=(training.rule(sparsity=0.9385),))
_BOTH_MICRO = Method("both for micro", rules=_together(0.125, 0.865))
_LITERT = Form("LiteRT", "", (), {})
_MICRO = Form(
    f"TensorFlow Lite Micro with the sparse kernels, `--micro-cpu {_CPU}`",
    "-micro",
    ("tflite-micro",),
    {"target": "micro", "micro_kernels": "sparse", "micro_cpu": _CPU},
)

Found = dict[Method, list[Result]]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A section of the results.

    Attributes:
        name: on the command line.
        heading: of the section.
        net: what is trained.
        methods: how; what the first one must reach is judged beside the others.
        form: of the files.
        judge: makes the verdicts.
    """

    name: str
    heading: str
    net: Net
    methods: tuple[Method, ...]
    form: Form
    judge: Callable[[Study, Found], list[Verdict]]


@click.command()
@click.option("--study", "names", multiple=True, help="Which, by name; all by default.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps results and models; a later run resumes from it.",
)
@results.results_option("channels")
def main(names: Sequence[str], seeds: int, epochs: int, work: Path | None, path: Path) -> None:
    """Train, measure, print and record; missed targets are reported and do not fail the run."""
    unknown = set(names) - {study.name for study in _STUDIES}
    if unknown:
        raise click.UsageError(
            f"--study: {', '.join(sorted(unknown))}; there are {', '.join(each.name for each in _STUDIES)}."
        )
    data = dataset.load("fashion-mnist")
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        for study in _STUDIES:
            if names and study.name not in names:
                continue
            found: Found = {method: [] for method in study.methods}
            for seed in range(seeds):  # all methods of a seed, before the next one
                for method in study.methods:
                    found[method].append(training.result(study.net, method, study.form, seed, epochs, data, root))
            section = _section(study, found, epochs)
            results.write_section(path, study.heading, section)
            click.echo(section)


def _at_half(study: Study, found: Found) -> list[Verdict]:
    pruned, small = (found[method] for method in study.methods)
    lead, name = _Lead.of(pruned, small), study.net.name
    return [Verdict(f"{name}: at least as accurate as the small network from scratch", lead.in_words(), lead.mean >= 0)]


def _at_one_size(study: Study, found: Found) -> list[Verdict]:
    name, (both, *alone) = study.net.name, study.methods
    best = max(alone, key=lambda method: _mean(found[method]))
    lead = _Lead.of(found[both], found[best])
    some, most = (statistics.mean(each.multiply_adds for each in found[method]) for method in (both, alone[-1]))
    largest = max(each.file_bytes for runs in found.values() for each in runs)
    return [
        Verdict(f"{name}: files of at most {_LARGEST_FILE:,} bytes", f"{largest:,}", largest <= _LARGEST_FILE),
        Verdict(f"{name}: both at least as accurate as {best.name} alone", lead.in_words(), lead.mean >= 0),
        Verdict(
            f"{name}: both with at most {_MOST_MULTIPLY_ADDS:g} of the multiply-adds of all channels",
            f"{some / most:.2f}",
            some <= _MOST_MULTIPLY_ADDS * most,
        ),
    ]


_STUDIES = (
    *(
        Study(net.name, f"Half of the channels of a {net.name} CNN", net, (_HALF, _SMALL), _LITERT, _at_half)
        for net in (training.PLAIN, training.SEPARABLE)
    ),
    Study(
        "one-size",
        f"Channels and unstructured zeros in {_LARGEST_FILE:,} bytes",
        training.PLAIN,
        (_BOTH, _CHANNELS, _ZEROS),
        _LITERT,
        _at_one_size,
    ),
    Study(
        "one-size-micro",
        f"Channels and unstructured zeros in {_LARGEST_FILE:,} bytes, sparse kernels",
        training.PLAIN,
        (_BOTH_MICRO, _CHANNELS, _ZEROS_MICRO),
        _MICRO,
        _at_one_size,
    ),
)


@dataclass(frozen=True, slots=True)
class _Lead:
    """Mean difference of accuracy of two methods, seed by seed, in points; None: no interval for a single seed."""

    mean: float
    half: float | None

    @classmethod
    def of(cls, one: Sequence[Result], two: Sequence[Result]) -> _Lead:
        differences = [100 * (a.int8_accuracy - b.int8_accuracy) for a, b in zip(one, two, strict=True)]
        return cls(statistics.mean(differences), half_interval(differences))

    def in_words(self) -> str:
        if self.half is None:
            return f"{self.mean:+.2f} points, one seed"
        return f"{self.mean:+.2f} points, 95 % interval {self.mean - self.half:+.2f} to {self.mean + self.half:+.2f}"


def _mean(runs: Sequence[Result]) -> float:
    return statistics.mean(each.int8_accuracy for each in runs)


def _rows(found: Found) -> Iterator[tuple[str, ...]]:
    on_cpu = any(each.instructions is not None for runs in found.values() for each in runs)
    headings = ("method", "int8 accuracy (%)", "of each seed", "float32", "file (bytes)", "multiply-adds")
    headings += ("instructions", "arena (bytes)") if on_cpu else ()
    yield headings
    yield "---", *["---:"] * (len(headings) - 1)
    for method, runs in found.items():
        percent = [100 * each.int8_accuracy for each in runs]
        half = half_interval(percent)
        yield (
            method.name,
            f"{statistics.mean(percent):.2f}" + ("" if half is None else f" ± {half:.2f}"),
            ", ".join(f"{each:.2f}" for each in percent),
            f"{100 * statistics.mean(each.float_accuracy for each in runs):.2f}",
            _mean_of([each.file_bytes for each in runs]),
            _mean_of([each.multiply_adds for each in runs]),
            *((_mean_of([each.instructions for each in runs]), _mean_of([each.arena_bytes for each in runs])) * on_cpu),
        )


def _mean_of(numbers: Sequence[int | None]) -> str:
    known = [each for each in numbers if each is not None]
    return f"{statistics.mean(known):,.0f}" if len(known) == len(numbers) else "unknown"


def _section(study: Study, found: Found, epochs: int) -> str:
    seeds = max(len(each) for each in found.values())
    parts = [
        f"## {study.heading}",
        f"Measured on {datetime.date.today().isoformat()}, {results.machine()}; "
        f"{results.versions((*_PACKAGES, *study.form.packages))}. "
        f"Command: `python benchmarks/channel_accuracy.py --study {study.name} --seeds {seeds} --epochs {epochs}`.",
        f"Fashion-MNIST, {training.TRAINING_SAMPLES:,} training images, {epochs} epochs, Adam from a rate of "
        f"{training.RATE:g} along a cosine. Pruned while they train, by the defaults. Accuracy on 10,000 test images: "
        "mean over seeds and 95 % interval of this mean (Student). File and multiply-adds: as `encode` writes it for "
        f"{study.form.name}. "
        "Instructions, where there are some: of FULLY_CONNECTED and CONV_2D in one run, by the model of costs.",
        "\n".join(f"- {method.name}: {method.in_words()}" for method in study.methods if method.rules),
        "\n".join(f"| {' | '.join(row)} |" for row in _rows(found)),
        "\n".join(f"- {verdict.in_words()}" for verdict in study.judge(study, found)),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
