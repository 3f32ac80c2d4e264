"""Compare large sparse with small dense models at equal size: Fashion-MNIST, and LSTMs on its rows, speech and text.

python benchmarks/sweep.py [--only fashion|rows|vowels|words] [--seeds N] [--epochs N] [--work DIR] [--results FILE]
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

import image_rows
import results
import vowels
import words
from results import Verdict
from tflite_sparse.commands.sweep.command import sweep
from tflite_sparse.report.text import sweep as sweep_tables
from tflite_sparse.report.text import sweep_comparison
from tflite_sparse.report.text.markdown import table
from tflite_sparse.results.sweep import SweepReport
from tflite_sparse.scoring import frontier
from tflite_sparse_cli.progress import TerminalProgress

_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert", "joblib")
_WIDTHS = (0.25, 0.5, 0.75, 1.0)
_BUDGETS = 60
_LEAST_LEAD = 1.0  # points, at the size of the smallest dense model


@dataclass(frozen=True)
class Study:
    """One sweep, with descriptions of its model, data and training.

    Attributes:
        key: for ``--only``.
        heading: of its section.
        sources: given a folder, the builder (None: the built-in one) and the data.
        settings: of the sweep.
        words: describe the training.
        range_bytes: the sizes that the target applies to.
    """

    key: str
    heading: str
    sources: Callable[[Path], tuple[str | None, Any]]
    settings: Mapping[str, Any]
    words: str
    range_bytes: tuple[float, float]


def _fashion(_folder: Path) -> tuple[None, str]:
    return None, "fashion-mnist"


def _rows(folder: Path) -> tuple[str, str]:
    path = folder / "rows.npz"
    if not path.exists():
        image_rows.write(path)
    return f"{Path(image_rows.__file__).resolve()}:network", str(path)


def _vowels(folder: Path) -> tuple[str, str]:
    path = folder / "vowels.npz"
    if not path.exists():
        vowels.write(path, folder / "packages")
    return f"{Path(vowels.__file__).resolve()}:network", str(path)


def _words(folder: Path) -> tuple[str, str]:
    path = folder / "words.npz"
    if not path.exists():
        words.write(path, folder / "packages")
    return f"{Path(words.__file__).resolve()}:network", str(path)


_STUDIES = (
    Study(
        "fashion",
        "Large sparse against small dense, Fashion-MNIST",
        _fashion,
        {"sparsity": (0.0, 0.75, 0.875, 0.93, 0.965, 0.98, 0.985), "epochs": 3, "learning_rate": 2e-3},
        "The built-in network; 60,000 training and 10,000 test images; batches of 128.",
        (20e3, 200e3),
    ),
    Study(
        "rows",
        "Large sparse against small dense, an LSTM on the rows of Fashion-MNIST",
        _rows,
        {
            "width": (0.25, 0.5, 1.0),
            "sparsity": (0.0, 0.9, 0.95),
            "epochs": 8,
            "learning_rate": 3e-3,
            "recurrent": "step",
            "dense_scales": "per-tensor",
        },
        "An LSTM of 192 units at width 1 reads an image row by row; 60,000 training and 5,000 test images; batches of "
        "128. Files of one time step (`--recurrent step`) whose kernels have one scale each (`--dense-scales "
        "per-tensor`), measured over whole images.",
        (0.0, np.inf),
    ),
    Study(
        "vowels",
        "Large sparse against small dense, an LSTM on the Japanese Vowels",
        _vowels,
        {
            "sparsity": (0.0, 0.75, 0.875, 0.95),
            "epochs": 50,
            "learning_rate": 5e-3,
            "batch_size": 32,
            "recurrent": "step",
        },
        "An LSTM of 192 units at width 1; 270 training and 370 test utterances of nine speakers; batches of 32. Files "
        "of one time step (`--recurrent step`), measured over whole utterances.",
        (0.0, np.inf),
    ),
    Study(
        "words",
        "Large sparse against small dense, an LSTM that suggests the next word",
        _words,
        {
            "width": (0.25, 0.5, 1.0),
            "sparsity": (0.0, 0.8, 0.9, 0.93),
            "epochs": 14,
            "learning_rate": 3e-3,
            "batch_size": 32,
            "recurrent": "step",
            "dense_scales": "per-tensor",
        },
        "An LSTM of 192 units at width 1 reads the World English Bible word by word and yields a logit for each of "
        "1,000 words at each of 20 steps; 816,480 words for training, 40,000 for the test; batches of 32 sequences. A "
        "word is fed as a vector of 48 numbers, made of the training text. Files of one time step (`--recurrent step`) "
        "whose kernels have one scale each (`--dense-scales per-tensor`), measured over whole sequences.",
        (0.0, np.inf),
    ),
)


@click.command()
@click.option("--only", type=click.Choice([study.key for study in _STUDIES]), help="One of them.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Epochs of every point, instead of the study's.")
@click.option("--jobs", type=click.IntRange(1), help="Number of points at a time.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps the points; a later run resumes from it.",
)
@results.results_option("sweeps")
def main(only: str | None, seeds: int, epochs: int | None, jobs: int | None, work: Path | None, path: Path) -> None:
    """Sweep, print and record; missed targets are reported and do not fail the run."""
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-")))
        for study in _STUDIES:
            if only in (None, study.key):
                section = _run(study, root, seeds, epochs, jobs)
                results.write_section(path, study.heading, section)
                click.echo(section)


def _run(study: Study, root: Path, seeds: int, epochs: int | None, jobs: int | None) -> str:
    settings = {"width": _WIDTHS, **study.settings, "epochs": epochs or study.settings["epochs"]}
    folder = root / study.key
    folder.mkdir(parents=True, exist_ok=True)
    builder, data = study.sources(folder)
    report = sweep(
        builder,
        data,
        grid="families",
        seeds=seeds,
        jobs=jobs,
        resume=True,
        out=folder / f"{settings['epochs']}-epochs",
        progress=TerminalProgress(Console(stderr=True)),
        **settings,
    )
    return _section(study, report)


def _verdicts(study: Study, report: SweepReport) -> list[Verdict]:
    """Return verdicts over the sizes that both families reach, and at the size of the smallest dense model."""
    sparse, dense = (sweep_comparison.curve(each, "file_bytes") for each in sweep_comparison.families(report.measured))
    common = frontier.common_range(sparse, dense)
    if common is None:
        return [Verdict("large sparse and small dense reach a common size", "none", passed=False)]
    low, high = max(common[0], study.range_bytes[0]), min(common[1], study.range_bytes[1])
    leads = [frontier.lead(sparse, dense, float(budget)) for budget in np.geomspace(low, high, _BUDGETS)]
    worst = min(leads, key=lambda lead: lead.difference)
    smallest = min(float(np.exp(at[0])) for at, _ in dense.lines.values())
    ahead = f"ahead at every common file size, {low / 1000:.1f} to {high / 1000:.1f} kB"
    verdicts = [Verdict(ahead, f"least at {worst.budget / 1000:.1f} kB, {_points(worst)}", worst.difference > 0)]
    target = f"at least {_LEAST_LEAD:g} point ahead at the size of the smallest dense model, {smallest / 1000:.1f} kB"
    if common[0] > smallest * 1.001:
        reached = f"not reached: the smallest large sparse file takes {common[0] / 1000:.1f} kB"
        return [*verdicts, Verdict(target, reached, passed=False)]
    first = frontier.lead(sparse, dense, common[0])
    return [*verdicts, Verdict(target, _points(first), 100 * first.difference >= _LEAST_LEAD)]


def _points(lead: frontier.Lead) -> str:
    interval = "" if lead.interval is None else f" +-{100 * lead.interval:.2f}"
    return f"{100 * lead.difference:+.2f}{interval} points ({lead.ours:.2%} to {lead.theirs:.2%})"


def _section(study: Study, report: SweepReport) -> str:
    settings = report.settings
    parts = [
        f"## {study.heading}",
        f"""{datetime.date.today().isoformat()}; {results.machine()}; {results.versions(_PACKAGES)}.
{study.words}
Every point of both families starts from the weights of its seed and is trained for {settings["epochs"]} epochs of Adam,
the rate falling from {settings["learning_rate"]:g} along a cosine; the sparse ones are pruned on the way, to a sparsity
{"over all kernels together" if settings["scope"] == "global" else "of each kernel"}.
Reproduce: `python benchmarks/sweep.py --only {study.key} --seeds {settings["seeds"]} --epochs {settings["epochs"]}`;
the points took {_minutes(report)} minutes together.""",
        table(sweep_tables.points(report)),
        "Means over the seeds; +- is half the 95 % interval.",
        *_comparisons(report),
        "\n".join(f"- {line}" for line in report.failures),
        "\n".join(f"- {verdict.in_words()}" for verdict in _verdicts(study, report)),
    ]
    return "\n\n".join(part for part in parts if part)


def _comparisons(report: SweepReport) -> Sequence[str]:
    return [
        part
        for each in report.comparisons
        for part in (f"{sweep_tables.title(each)}:", table(sweep_tables.margins(each)), " ".join(each.sentences))
    ]


def _minutes(report: SweepReport) -> int:
    return round(sum(point.seconds for point in report.points) / 60)


if __name__ == "__main__":
    main()
