"""The stages of ``sweep``: many trainings, each measured as a file, and what they say about size and accuracy."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydantic
from typing_extensions import Unpack

from tflite_sparse.base import child, extras, pool
from tflite_sparse.base.atomic_files import make_folder, write_bytes
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress, Step, Timed, ignore_steps
from tflite_sparse.commands.sweep import point_progress
from tflite_sparse.commands.sweep.point import Facts, Job, Place
from tflite_sparse.errors import OutputError, SettingsError, TfliteSparseError, one_line
from tflite_sparse.pruning import structure
from tflite_sparse.report.page import plots
from tflite_sparse.report.page import sweep as sweep_page
from tflite_sparse.report.text import sweep as sweep_tables
from tflite_sparse.report.text import sweep_comparison
from tflite_sparse.results.sweep import Measured, Point, PointFile, SweepReport
from tflite_sparse.settings import SweepOptions, SweepSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources import data_spec
from tflite_sparse.stages import deliver
from tflite_sparse.version import TOOL

REPORT_JSON, REPORT_MARKDOWN, PLOT = deliver.SWEEP_JSON, "sweep.md", "sweep.svg"
BUILT_IN = "built-in"

_PARTS = 1000  # of a point, in which progress is told
_LOST = "its worker died each time it was tried; memory may have run out: try fewer --jobs"
_WHERE_AND_HOW_FAST = {"jobs", "ray_address", "resume", "out"}
_GRID = {"sparsity", "width", "block", "seeds", "grid"}


@takes(SweepSettings, SweepOptions)
def sweep(
    model: str | None = None,
    data: object = None,
    *,
    progress: Progress | None = None,
    **settings: Unpack[SweepOptions],
) -> SweepReport:
    """Train, prune, quantise, encode and measure every point of a grid, and compare large sparse with small dense.

    Each point is trained from a seeded start while it is pruned, for the same number of epochs, in a process of its
    own, and its file is verified. What it came to is written to ``points/`` in the folder ``out`` as it comes; at the
    end ``sweep.json``, ``sweep.md``, ``sweep.svg`` and ``report.html`` are written beside it.

    Args:
        model: ``path/to/module.py:function``, a function of the width that returns a Keras model; it is run. None: the
            built-in depthwise-separable network for images.
        data: as for :func:`tflite_sparse.export`, with labels. The test part is used for the accuracies only.
        progress: receives stages and notes.
        **settings: see below.

    Returns:
        The report. A point that failed is in it with its error; the rest went on.

    Raises:
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: builder, data, settings or output folder cannot be used, or what is in the folder was made with
            other settings; no point was trained.
    """
    extras.require_keras("sweep")
    return _Sweep(SweepSettings(**settings), Timed(chosen(progress)), model, data).run()


def places(settings: SweepSettings) -> list[Place]:
    """The points of the grid, the longest trainings first.

    Raises:
        SettingsError: a block is none.
    """
    for block in settings.block:
        if block != structure.CHANNEL and structure.parse(block).kept_of is not None:
            raise SettingsError(
                f"`block={block!r}`: a sweep sets the sparsity; it takes outputs x inputs, as 1x16, or channel."
            )
    largest = max(settings.width)
    found = []
    for width, sparsity, block in itertools.product(
        sorted(settings.width, reverse=True), sorted(settings.sparsity), settings.block
    ):
        is_dense = sparsity == 0
        if is_dense and block != settings.block[0]:
            continue  # nothing becomes zero: the block makes no other model
        if settings.grid == "families" and not is_dense and width != largest:
            continue
        name = str(structure.UNSTRUCTURED) if is_dense else block
        found += [Place(width, sparsity, name, settings.seed + number) for number in range(settings.seeds)]
    return found


@dataclass(frozen=True)
class _Sweep:
    settings: SweepSettings
    progress: Timed
    builder: str | None
    data: object

    def run(self) -> SweepReport:
        settings, grid = self.settings, places(self.settings)
        if self.data is None:
            raise SettingsError("a sweep needs labelled data: give `data`.")
        data_spec.check(self.data)
        deliver.check_folder(settings.out, "out", (REPORT_JSON, REPORT_MARKDOWN, deliver.REPORT_HTML, PLOT))
        deliver.check_no_result_of((deliver.FIT_JSON, deliver.REPORT_JSON), settings.out)
        with self.progress.stage("check"):
            facts: Facts = child.call(
                "tflite_sparse.commands.sweep.point:check",
                needs="tensorflow",
                places=grid,
                settings=settings,
                builder=self.builder,
                data=self.data,
            )
        shared = self._shared(facts)
        done = self._done(shared)
        missing = [place for place in grid if place.name not in done]
        workers = _workers(settings, len(missing), facts.bytes_per_point)
        self._warn(grid)
        make_folder(settings.out / deliver.SWEEP_POINTS)
        done |= self._train(missing, shared, workers)
        report = self._report(facts, [done[place.name] for place in grid])
        self._write(report)
        return report

    def _shared(self, facts: Facts) -> dict[str, object]:
        """What a point that is done must have in common with this sweep to be one of it."""
        settings = self.settings.model_dump(mode="json", exclude=_WHERE_AND_HOW_FAST | _GRID)
        return {
            "builder": self.builder or BUILT_IN,
            "builder_crc32": facts.builder_crc32,
            "data": facts.data,
            "data_crc32": facts.data_crc32,
            **settings,
        }

    def _done(self, shared: dict[str, object]) -> dict[str, Point]:
        """The points on the disk that were measured; with ``resume`` there may be some."""
        folder = self.settings.out / deliver.SWEEP_POINTS
        files = sorted(folder.glob("*.json"))
        if files and not self.settings.resume:
            raise OutputError(
                f"{folder} holds the points of a sweep: go on with `resume=True`, or choose another `out`."
            )
        found = {}
        for path in files:
            kept = _read(path)
            if kept.point.measured is None:
                continue  # it is run again, with whatever is right now
            for name, value in shared.items():
                if kept.settings.get(name) != value:
                    raise SettingsError(
                        f"{path} was made with {name} = {kept.settings.get(name)!r}, this sweep has {value!r}: "
                        "give the same, or choose another `out`."
                    )
            found[kept.point.name] = kept.point
        if self.settings.resume and not files:
            self.progress.note(f"warning: {folder} holds no points to go on from: all are run")
        return found

    def _warn(self, grid: Sequence[Place]) -> None:
        """Say before hours of work what it will not answer."""
        sparse, dense = (any((place.sparsity > 0) is wanted for place in grid) for wanted in (True, False))
        if not (sparse and dense):
            family, cure = ("small dense", "0") if sparse else ("large sparse", "a share of zeros")
            self.progress.note(f"warning: there will be no {family} models to compare: put {cure} among `sparsity`")

    def _train(
        self, missing: Sequence[Place], shared: dict[str, object], workers: pool.Local | pool.Ray
    ) -> dict[str, Point]:
        folder = self.settings.out / deliver.SWEEP_POINTS
        found: dict[str, Point] = {}
        if not missing:
            return found
        self.progress.note(f"{len(missing)} points, {workers.workers} at once; threads for each: {workers.threads}")
        with self.progress.stage("sweep") as on_step:
            jobs = [Job(place, self.settings, self.builder, self.data, workers.threads) for place in missing]

            def tell(share: float) -> None:
                on_step(round(_PARTS * min(len(found) + share, len(missing))), _PARTS * len(missing))

            try:
                with contextlib.closing(_outcomes(jobs, workers, tell)) as outcomes:
                    for number, outcome in outcomes:
                        point, content = outcome or (_lost(missing[number]), None)
                        if content is not None:
                            write_bytes(folder / f"{point.name}.tflite", content)
                        kept = PointFile(settings=shared, point=point)
                        write_bytes(folder / f"{point.name}.json", (kept.model_dump_json(indent=2) + "\n").encode())
                        found[point.name] = point
                        self.progress.note(f"{len(found)} of {len(missing)}: {sweep_tables.point_in_words(point)}")
            except (KeyboardInterrupt, SystemExit):
                self.progress.note(
                    f"{len(found)} of {len(missing)} points are done, in {folder}: go on with `resume=True`"
                )
                raise
        return found

    def _report(self, facts: Facts, points: list[Point]) -> SweepReport:
        measured = [(point, point.measured) for point in points if point.measured is not None]
        return SweepReport(
            tool=TOOL,
            model=self.builder or BUILT_IN,
            data=facts.data,
            settings=self.settings.model_dump(mode="json"),
            points=points,
            comparisons=sweep_comparison.comparisons(measured, self.settings.seeds),
            front=sweep_comparison.front(measured),
            failures=[f"{point.name}: {point.error}" for point in points if point.measured is None],
            seconds=self.progress.seconds,
        )

    def _write(self, report: SweepReport) -> None:
        out = self.settings.out
        with self.progress.stage("write"):
            if report.measured:
                plots.frontier(report, out / PLOT)
            write_bytes(out / REPORT_MARKDOWN, sweep_tables.markdown(report, PLOT).encode())
            write_bytes(out / deliver.REPORT_HTML, sweep_page.render(report).encode())
            write_bytes(out / REPORT_JSON, (report.model_dump_json(indent=2) + "\n").encode())


def _workers(settings: SweepSettings, jobs: int, bytes_per_point: int) -> pool.Local | pool.Ray:
    if settings.ray_address is None or jobs == 0:
        return pool.Local(settings.jobs, jobs, bytes_per_point)
    return pool.Ray(settings.ray_address, settings.jobs, jobs)


def _lost(place: Place) -> Point:
    return Point(**dataclasses.asdict(place), name=place.name, error=_LOST, seconds=0.0)


_Outcome = tuple[Point, bytes | None]


def _outcomes(
    jobs: Sequence[Job], workers: pool.Local | pool.Ray, tell: Callable[[float], None]
) -> Generator[tuple[int, _Outcome | None], None, None]:
    """Yield number and outcome of each job as it comes; ``tell`` receives the shares of points that are at work here.

    When the caller stops, points that are at work here end.
    """
    if isinstance(workers, pool.Ray):
        yield from pool.on_ray(_run, jobs, workers)
        return
    shares, group = point_progress.Shares(tell), child.Group()

    def run(job: Job) -> _Outcome:
        with shares.of(job.place.name) as on_step:
            return _run(job, on_step=on_step, group=group)

    yield from pool.in_threads(run, jobs, workers.workers, group.stop)


def _run(
    job: Job,
    *,
    on_step: Step = ignore_steps,
    group: child.Group | None = None,
) -> _Outcome:
    """One point in a process of its own; whatever goes wrong in it is told in the point."""
    place, started = job.place, time.monotonic()
    measured: Measured | None = None
    content: bytes | None = None
    error: str | None = None
    try:
        measured, content = child.call(
            "tflite_sparse.commands.sweep.point:run",
            needs="tensorflow",
            on_step=on_step,
            group=group,
            environment=_limit_of_threads(job.threads),
            job=job,
        )
    except child.ChildDiedError as died:
        memory = "; memory may have run out: try fewer --jobs" if died.was_killed else ""
        error = f"the process of the point {died.how}{memory}"
    except Exception as problem:  # noqa: BLE001 - of one point; the others go on
        error = str(problem) if isinstance(problem, TfliteSparseError) else one_line(problem)
    point = Point(
        **dataclasses.asdict(place),
        name=place.name,
        measured=measured,
        error=error,
        seconds=round(time.monotonic() - started, 3),
    )
    return point, content


def _limit_of_threads(count: int) -> dict[str, str]:
    """Environment of processes that train, convert and run; TensorFlow reads it when it begins."""
    return dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), str(count))


def _read(path: Path) -> PointFile:
    try:
        return PointFile.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise OutputError(f"{path} is no point of a sweep: delete it, or choose another `out`.") from error
