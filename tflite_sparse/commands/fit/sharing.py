"""Shared values in ``fit``: what they may cost each kernel, and the file of a plan that has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.base.progress import Timed
from tflite_sparse.commands.scan import scan_sharing
from tflite_sparse.fitting.candidates import Choice
from tflite_sparse.fitting.workspace import Workspace
from tflite_sparse.results.scan import SharingScan
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import FitSettings
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.share_values import SharedFile, Sharing


def counts(
    settings: FitSettings,
    source: KerasSource,
    samples: Dataset,
    kernels: Sequence[Kernel],
    work: Workspace,
    progress: Timed,
) -> dict[str, dict[int | None, float]]:
    """Return the numbers of values that kept weights may share, and the rise of the loss with each, by kernel name.

    For ``auto`` that is measured, once: a run that resumes reads it from disk.

    Args:
        settings: of the run.
        source: the model.
        samples: fitted to it.
        kernels: that can share values.
        work: keeps the measurement.
        progress: receives stages and notes.
    """
    asked = settings.shared_values
    if asked is None or not kernels:
        return {}
    if isinstance(asked, int):
        return {kernel.name: {asked: 0.0} for kernel in kernels}
    path = work.path("shared-values.json")
    if path.exists():
        scan = SharingScan.model_validate_json(path.read_bytes())
    else:
        scan = SharingScan(rises=scan_sharing(source, samples, kernels, settings.seed, progress))
        write_bytes(path, (scan.model_dump_json(indent=2) + "\n").encode())
    none: dict[int | None, float] = {None: 0.0}
    return {name: none | dict(rises.items()) for name, rises in scan.rises.items()}


def share(
    choice: Choice,
    source: KerasSource,
    converted: Path,
    converter: Converter,
    settings: FitSettings,
    metric: Name | UserMetric,
) -> SharedFile | None:
    """Let the weights of the dense int8 file of a plan share values; return what was done, None for nothing.

    Args:
        choice: the plan.
        source: the pruned model.
        converted: its dense int8 file, which is rewritten.
        converter: what made it.
        settings: of the run.
        metric: how outputs are scored.
    """
    if settings.shared_values is None:
        return None
    of_kernels = {}
    exporting = converter.settings
    if settings.shared_values == "auto":  # the plan chose
        of_kernels = {name: option.values for name, option in choice.items() if option.values is not None}
        exporting = exporting.model_copy(update={"shared_values": None})
    sharing = Sharing(exporting, metric, converter.progress, of_kernels)
    return sharing.run(converted, None, converter, source) if sharing.is_asked_for else None
