"""Compare ``fit --budget`` with the points of a sweep, and a blocked file that runs with the gzip of an unblocked one.

    python benchmarks/sweep.py --only fashion --work DIR
    python benchmarks/fit.py DIR/fashion/N-epochs [--out FOLDER] [--results FILE]

For each seed, the network of the largest width is trained dense like the dense point of the sweep. ``fit`` then prunes
it, with as many epochs again, to two kinds of budget:

* the bytes of a sparse point of that width, compared with the best point of the sweep, of any width, block and
  sparsity, that is no larger;
* the bytes of a gzip of the dense int8 file of the same model, pruned weight by weight to the zeros of that point
  in as many epochs, compared with that file: the fitted one runs directly, the gzip must be unpacked first.

So ``fit`` has twice the training of a point. With ``--share`` it has as much: both halves have half of the epochs.

Each fit is kept in ``OUT`` and not repeated. So several runs with one ``OUT`` and a ``--seed`` each can share the work,
and a run without ``--seed`` collects the results.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import pydantic

import results
import tflite_sparse
from results import Verdict
from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.base.progress import ignore_steps
from tflite_sparse.commands.fit.rounds import schedule_of
from tflite_sparse.pruning import repeatable, training
from tflite_sparse.report.text import markdown
from tflite_sparse.report.text.export import Table
from tflite_sparse.results import sweep as report
from tflite_sparse.settings import PruneSettings
from tflite_sparse.sources import dataset, keras_model, scalable, tensorflow_import
from tflite_sparse.sources.dataset import Dataset

_HEADINGS = {
    "file": "fit beside the best point of a sweep, Fashion-MNIST",
    "shared": "fit beside the best point of a sweep with as much training, Fashion-MNIST",
    "gzip": "A fitted file that runs beside gzip of an unstructured one, Fashion-MNIST",
}
_TARGETS = {
    "file": "at least as accurate as the best point of the sweep in those bytes, mean over the seeds",
    "shared": "at least as accurate as the best point of the sweep in those bytes, mean over the seeds",
    "gzip": "no larger than gzip of the unstructured dense int8 file at no lower accuracy, mean over the seeds",
}
_EPOCHS = {
    "file": "The points of the sweep had {epochs} epochs in all.",
    "shared": "The points of the sweep had {epochs} epochs in all, pruned on the way.",
    "gzip": "The file beside it is that of the same dense model, pruned weight by weight on the same schedule.",
}
_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert")

Aim = Literal["file", "shared", "gzip"]


class Fitted(pydantic.BaseModel):
    """One fit and its competitor.

    Attributes:
        aim: kind of the budget.
        point: of the sweep, that the budget comes from.
        sparsity: of that point.
        seed: of both.
        budget: in bytes.
        file_bytes: of the fitted file.
        accuracy: of the fitted file.
        beside: the competitor.
        beside_accuracy: of the competitor.
        plan: block and sparsity of each kernel.
    """

    aim: Aim
    point: str
    sparsity: float
    seed: int
    budget: int
    file_bytes: int
    accuracy: float
    beside: str
    beside_accuracy: float
    plan: dict[str, tuple[str | None, float | None]]

    @property
    def margin(self) -> float:
        """The lead of the fitted file, in percentage points."""
        return 100 * (self.accuracy - self.beside_accuracy)

    def in_words(self) -> str:
        """Describe the fit for the terminal."""
        return (
            f"seed {self.seed}, {self.aim} of {self.sparsity:g}, {self.budget:,} bytes: fit {self.accuracy:.4f} in "
            f"{self.file_bytes:,}; {self.beside} {self.beside_accuracy:.4f}: {self.margin:+.2f} points"
        )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of fits, for resuming.")
@click.option("--sparsity", "sparsities", multiple=True, type=float, help="Of the points; may be repeated. [all]")
@click.option("--aim", "aims", multiple=True, type=click.Choice(["file", "gzip"]), help="May be repeated. [both]")
@click.option("--share", is_flag=True, help="Of the aim file: fit has the epochs of a point, not twice as many.")
@click.option("--seed", "seeds", multiple=True, type=int, help="Of the points; may be repeated. [all]")
@results.results_option("fit")
def main(
    folder: Path,
    out: Path | None,
    sparsities: tuple[float, ...],
    aims: tuple[Aim, ...],
    seeds: tuple[int, ...],
    share: bool,
    path: Path,
) -> None:
    """Fit, compare and record; missed targets are reported and do not fail the run."""
    sweep = report.SweepReport.model_validate_json((folder / "sweep.json").read_bytes())
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as temporary:
        points = _points(sweep, sparsities, seeds)
        chosen_aims: tuple[Aim, ...] = ("shared",) if share else aims or ("file", "gzip")
        found = list(_fits(sweep, points, out or Path(temporary), chosen_aims))
    for aim in _HEADINGS:
        chosen = [each for each in found if each.aim == aim]
        if chosen:
            section = _section(aim, chosen, sweep)
            click.echo(section)
            results.write_section(path, _HEADINGS[aim], section)


def _fits(
    sweep: report.SweepReport,
    points: Sequence[tuple[report.Point, report.Measured]],
    out: Path,
    aims: Sequence[Aim],
) -> Iterator[Fitted]:
    out.mkdir(parents=True, exist_ok=True)
    samples = dataset.load(sweep.data)
    for point, measured in points:
        for aim in aims:
            kept = out / f"{aim}-{point.name}.json"
            if kept.exists():
                yield Fitted.model_validate_json(kept.read_bytes())
                continue
            dense = _dense_model(point, sweep, samples, out, _epochs(aim, sweep))
            if aim != "gzip":
                budget = measured.file_bytes
                beside, accuracy = _best(sweep, point.seed, budget)
            else:
                budget, accuracy = _unstructured(dense, samples, point, sweep, out)
                beside = f"as dense int8, {point.sparsity:g} zeros"
            fitted = _fit(dense, samples, budget, point, sweep, kept.with_suffix(""), _epochs(aim, sweep))
            if fitted.accuracy is None:
                raise click.ClickException(f"{kept.with_suffix('')}: {'; '.join(fitted.gates.failures)}")
            done = Fitted(
                aim=aim,
                point=point.name,
                sparsity=point.sparsity,
                seed=point.seed,
                budget=budget,
                file_bytes=fitted.file_bytes,
                accuracy=fitted.accuracy,
                beside=beside,
                beside_accuracy=accuracy,
                plan={kernel.name: (kernel.block, kernel.planned) for kernel in fitted.kernels},
            )
            write_bytes(kept, (done.model_dump_json(indent=2) + "\n").encode())
            click.echo(done.in_words())
            yield done


def _points(
    sweep: report.SweepReport, sparsities: Sequence[float], seeds: Sequence[int]
) -> list[tuple[report.Point, report.Measured]]:
    """Return the points of the largest width that were pruned weight by weight, seed by seed."""
    widest = max(point.width for point in sweep.points)
    chosen = [
        (point, measured)
        for point, measured in sweep.measured
        if point.width == widest
        and point.block == "1x1"
        and point.sparsity > 0
        and (not sparsities or point.sparsity in sparsities)
        and (not seeds or point.seed in seeds)
    ]
    return sorted(chosen, key=lambda each: (each[0].seed, each[0].sparsity))


def _best(sweep: report.SweepReport, seed: int, file_bytes: int) -> tuple[str, float]:
    fitting = [(p, m) for p, m in sweep.measured if p.seed == seed and m.file_bytes <= file_bytes]
    point, measured = max(fitting, key=lambda each: each[1].accuracy)
    return point.name, measured.accuracy


def _unstructured(
    dense: Path, samples: Dataset, point: report.Point, sweep: report.SweepReport, out: Path
) -> tuple[int, float]:
    """Return gzip bytes and accuracy of the dense int8 file of the model pruned weight by weight."""
    settings = {name: sweep.settings[name] for name in ("epochs", "batch_size", "learning_rate", "scope")}
    pruned, exported = out / f"unstructured-{point.name}.keras", out / f"unstructured-{point.name}"
    steps = settings["epochs"] * repeatable.steps(samples.train_samples, settings["batch_size"])
    schedule = schedule_of(steps)  # the schedule of fit
    tflite_sparse.prune(dense, samples, pruned, sparsity=point.sparsity, seed=point.seed, **settings, **schedule)
    files = tflite_sparse.export(pruned, samples, int8=True, max_accuracy_drop=1.0, out=exported).models
    assert files.dense_int8 is not None
    assert files.dense_int8.accuracy is not None
    return files.dense_int8.gzip_bytes, files.dense_int8.accuracy


def _epochs(aim: Aim, sweep: report.SweepReport) -> int:
    """Return the number of epochs of the dense model, and of its pruning."""
    epochs: int = sweep.settings["epochs"]
    return epochs // 2 if aim == "shared" else epochs


def _fit(
    dense: Path,
    samples: Dataset,
    budget: int,
    point: report.Point,
    sweep: report.SweepReport,
    out: Path,
    epochs: int,
) -> Any:
    return tflite_sparse.fit(
        dense,
        samples,
        budget=budget,
        epochs=epochs,
        batch_size=sweep.settings["batch_size"],
        learning_rate=sweep.settings["learning_rate"],
        seed=point.seed,
        out=out,
        resume=(out / "unfinished").exists(),
    )


def _dense_model(point: report.Point, sweep: report.SweepReport, samples: Dataset, folder: Path, epochs: int) -> Path:
    """Train the network of the point dense, like the sweep; once for each seed."""
    path = folder / f"dense-{epochs}-epochs-seed{point.seed}.keras"
    if not path.exists():
        keras = tensorflow_import.keras3()
        keras.utils.set_random_seed(point.seed)
        classes = int(samples.y_train.max()) + 1
        source = keras_model.KerasSource(
            scalable.build(keras, point.width, samples.x_train.shape[1:], classes), keras, "dense"
        )
        settings = {name: sweep.settings[name] for name in ("batch_size", "learning_rate")}
        training.train_repeatably(
            source,
            samples,
            PruneSettings(**settings, epochs=epochs, seed=point.seed),
            None,
            on_step=ignore_steps,
            after_epoch=lambda epoch, loss: click.echo(f"dense, seed {point.seed}: epoch {epoch}, loss {loss:.4f}"),
        )
        source.model.save(path)
    return path


def _section(aim: Aim, found: Sequence[Fitted], sweep: report.SweepReport) -> str:
    by_sparsity: dict[float, list[Fitted]] = {}
    for each in found:
        by_sparsity.setdefault(each.sparsity, []).append(each)
    rows, verdicts = [], []
    for sparsity, entries in sorted(by_sparsity.items()):
        budget, fitted = (np.mean([getattr(each, name) for each in entries]) for name in ("budget", "file_bytes"))
        ours, theirs = (
            100 * np.mean([getattr(each, name) for each in entries]) for name in ("accuracy", "beside_accuracy")
        )
        margins = [each.margin for each in entries]
        beside = ", ".join(sorted({each.beside.rsplit("-seed", 1)[0] for each in entries}))
        spread = f"{min(margins):+.2f} to {max(margins):+.2f}"
        sizes, scores = (f"{budget:,.0f}", f"{fitted:,.0f}"), (f"{ours:.2f}", f"{theirs:.2f}")
        rows.append((f"{sparsity:g}", *sizes, *scores, f"{np.mean(margins):+.2f}", spread, beside))
        passed = bool(np.mean(margins) >= 0) and all(each.file_bytes <= each.budget for each in entries)
        verdicts.append(Verdict(f"{budget:,.0f} bytes, {_TARGETS[aim]}", f"{np.mean(margins):+.2f} points", passed))
    epochs, width = _epochs(aim, sweep), max(point.width for point in sweep.points)
    in_sweep = sweep.settings["epochs"]
    option = "--share" if aim == "shared" else f"--aim {aim}"
    seeds = len({each.seed for each in found})
    zeros = ",".join(f"{each:g}" for each in sorted(by_sparsity))
    start = (
        f"tflite-sparse sweep --data {sweep.data} --sparsity {zeros} --width {width:g} --seeds {seeds} "
        f"--epochs {in_sweep} --out DIR"
        if aim == "shared"
        else f"python benchmarks/sweep.py --only fashion --epochs {in_sweep} --work DIR"
    )
    folder = "DIR" if aim == "shared" else f"DIR/fashion/{in_sweep}-epochs"
    chosen = "".join(f" --sparsity {sparsity:g}" for sparsity in sorted(by_sparsity))
    headings = ("zeros of the point", "budget B", "fit B", "fit %", "beside %", "points", "of the seeds", "beside")
    table = Table(headings, tuple(rows), frozenset({"beside"}))
    return "\n\n".join(
        [
            f"## {_HEADINGS[aim]}",
            f"""{datetime.date.today().isoformat()}; {results.machine()}; {results.versions(_PACKAGES)}.
The built-in network at width {width:g}, {seeds} seed{"s" * (seeds > 1)}, int8. `fit` starts from the dense model
after {epochs} epochs and prunes it in {epochs} more, with blocks of 1x1, 1x4 and 1x16.
{_EPOCHS[aim].format(epochs=in_sweep)} Means over the seeds.
Reproduce: `{start}`, then
`python benchmarks/fit.py {folder} {option}{chosen}`""",
            markdown.table(table),
            "\n".join(f"- {verdict.in_words()}" for verdict in verdicts),
        ]
    )


if __name__ == "__main__":
    main()
