"""``prune --scan``: how much each kernel loses when it alone is masked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from typing_extensions import Unpack

from tflite_sparse.base import extras, scratch
from tflite_sparse.base.atomic_files import check_place, publish, write_bytes
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress, Step, Timed
from tflite_sparse.commands.prunable import load, path_of, planner_of
from tflite_sparse.fitting import sharing_scan
from tflite_sparse.planning.sharing import COUNTS
from tflite_sparse.pruning import allocation, sensitivity, training
from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.report.page import plots
from tflite_sparse.report.text.sensitivity import Scan
from tflite_sparse.scoring import keras_score
from tflite_sparse.settings import AnyPath, PruneOptions, PruneSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources.arrays import count as count_samples
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import Kernel

_ANY_SPARSITY = 0.5  # a scan masks to its own


@takes(PruneSettings, PruneOptions)
def scan(
    model: AnyPath,
    data: object,
    *,
    output: AnyPath | None = None,
    progress: Progress | None = None,
    **settings: Unpack[PruneOptions],
) -> Scan:
    """Mask one kernel at a time and evaluate on held-out training samples. Nothing is trained.

    Args:
        model: as for :func:`prune`.
        data: as for :func:`prune`; the test part is not touched.
        output: a name ``NAME.keras``: the result is written as ``NAME.scan.json`` and ``NAME.scan.svg``. None: nothing
            is written.
        progress: receives stages and notes.
        **settings: see below. Of them ``block``, ``recipe``, ``seed``, ``batch_size``, ``custom_objects`` and
            ``builder`` matter.

    Raises:
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: model, data or settings cannot be used.
    """
    extras.require_keras("prune")
    checked = PruneSettings(**{"sparsity": _ANY_SPARSITY, **settings})
    timed, written = Timed(chosen(progress)), None if output is None else Path(output)
    if written is not None:
        check_place(written)  # find out before the work whether the result can be written
    source, samples, _ = load(path_of(model), data, checked, timed)
    plan = planner_of(checked)(source.kernels(), training.span_of(checked, samples.train_samples))
    allocation.refuse_channels(plan)
    shapes = {each.kernel: each.structure for each in plan.kernels}
    found = scan_kernels(source, samples, shapes, sensitivity.SPARSITIES, checked.seed, timed)
    if written is not None:
        _write(found, written)
    return found


def _write(found: Scan, output: Path) -> None:
    write_bytes(output.with_suffix(".scan.json"), (found.model_dump_json(indent=2) + "\n").encode())
    with scratch.folder(output.parent, prefix=f".{output.name}.") as folder:
        drawing = folder / "scan.svg"
        plots.sensitivity(found, drawing)
        publish(drawing, output.with_suffix(".scan.svg"))


def scan_kernels(
    source: KerasSource,
    samples: Dataset,
    kernels: Mapping[Kernel, Structure],
    sparsities: Sequence[float],
    seed: int,
    progress: Timed,
    stage: str = "scan",
) -> Scan:
    """Mask one kernel at a time and evaluate on held-out training samples; the test part is not touched.

    Args:
        source: the model; it is compiled here, and has its weights back at the end.
        samples: with labels.
        kernels: those that are masked, each with the shape of its masks.
        sparsities: of the masks.
        seed: of the choice of held-out samples.
        progress: receives stages and notes.
        stage: how it is called.
    """
    masked = list(kernels)
    count = sensitivity.estimated_evaluations(masked, sparsities)
    with evaluating(source, samples, seed, progress, stage, count) as (evaluate, on_step):
        shapes = list(kernels.values())
        return sensitivity.scan(source, masked, evaluate, sparsities, structure=shapes, on_step=on_step)


def scan_sharing(
    source: KerasSource, samples: Dataset, kernels: Sequence[Kernel], seed: int, progress: Timed
) -> dict[str, dict[int, float]]:
    """Let one kernel at a time share values, see :func:`tflite_sparse.fitting.sharing_scan.scan`; else as above."""
    count = len(kernels) * (1 + len(COUNTS))
    with evaluating(source, samples, seed, progress, "scan shared values", count) as (evaluate, on_step):
        return sharing_scan.scan(kernels, evaluate, on_step=on_step)


@contextlib.contextmanager
def evaluating(
    source: KerasSource, samples: Dataset, seed: int, progress: Timed, stage: str, count: int
) -> Iterator[tuple[Callable[[], Score], Step]]:
    """A stage of so many evaluations on held-out training samples: what evaluates, and what is told the steps."""
    _, _, x, y = sensitivity.held_out(samples, seed=seed)
    assert y is not None  # samples_for() asks for labels
    progress.note(f"{stage}: {count} evaluations of {count_samples(x)} held-out training samples each")
    with progress.stage(stage) as on_step:
        training.compile_for(source, samples, "sgd")  # the scan asks for its loss; nothing is trained
        yield keras_score.evaluator(source, x, y), on_step
