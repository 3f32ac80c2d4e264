"""The model before pruning: given as the baseline, or named by the report of ``prune`` beside the model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import InputError, ModelError
from tflite_sparse.pruning import masks
from tflite_sparse.pruning.strip import strip
from tflite_sparse.results.baseline import FEW_ZEROS, Baseline, BaselineFile
from tflite_sparse.results.prune import report_beside
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import keras_model, model_files
from tflite_sparse.sources.source_model import InputSpec, OutputSpec, SourceModel, check_finite

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """What an export knows of the model before pruning.

    Attributes:
        source: that model; None: the exported model itself, before masks are made.
        origin: see :class:`Baseline`.
        masks_applied: number of masks of pruning wrappers in it.
        reason: why the model that was pruned is not found, where something says that there was one.
    """

    source: SourceModel | None = None
    origin: Literal["model", "option", "prune"] = "model"
    masks_applied: int = 0
    reason: str | None = None

    def described(self, exported: SourceModel, masks_applied: int, sparsity: float) -> Baseline:
        """The baseline in the report.

        Args:
            exported: the model that is exported, before this run makes zeros.
            masks_applied: number of masks of pruning wrappers in it.
            sparsity: share of zeros over its prunable kernels.
        """
        if self.source is not None:
            exported, masks_applied = self.source, self.masks_applied
            sparsity = masks.sparsity_of(masks.prunable(exported)).share
        holds_zeros = masks_applied > 0 or sparsity >= FEW_ZEROS
        reason = self.reason
        if reason is None and holds_zeros:
            reason = f"{exported.name} was pruned before, and nothing says what it was made of"
        return Baseline(
            model=exported.name,
            origin=self.origin,
            sparsity=sparsity,
            is_unpruned=reason is None,
            reason=reason,
        )


def find(model: object, source: SourceModel, settings: ExportSettings, progress: Timed) -> Found:
    """Return the model before pruning, where one is given or the report of ``prune`` beside ``model`` names one.

    Args:
        model: as for :func:`tflite_sparse.export`.
        source: the same, read.
        settings: of the export.
        progress: receives the note that a baseline was found, or why not.

    Raises:
        ModelError: the given baseline cannot be read, or has other inputs or outputs than the model.
    """
    if settings.baseline is not None:
        return _opened(settings.baseline, source, settings, "option")
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    report = None if path is None else report_beside(path)
    if path is None or report is None:
        return Found()
    if report.baseline is None:
        return Found(reason=f"{path} was pruned, and its report names no model before that")
    named = path.parent / report.baseline.path
    why_not = _why_changed(named, report.baseline)
    if why_not is None:
        try:
            found = _opened(named, source, settings, "prune")
        except InputError as error:
            why_not = str(error).rstrip(".")
        else:
            progress.note(f"baseline: {named}, of which prune made {path}")
            return found
    scores = report.baseline
    reason = (
        f"{why_not}; prune measured {scores.metric} {scores.accuracy:.4f} of it on {scores.samples:,} test samples of "
        f"{scores.data}"
    )
    progress.note(f"baseline: {reason}")
    return Found(reason=reason)


def holds_weights_only(model: Path, settings: ExportSettings) -> bool:
    """Return whether the model before pruning is a file with weights only, which `builder` then is for."""
    path = settings.baseline
    if path is None:
        report = report_beside(model)
        path = None if report is None or report.baseline is None else model.parent / report.baseline.path
    try:
        return path is not None and model_files.holds_weights_only(path)
    except ModelError:  # told where it is opened
        return False


def _opened(path: Path, source: SourceModel, settings: ExportSettings, origin: Literal["option", "prune"]) -> Found:
    keras_model.check_path(path)
    opened = keras_model.open_model(
        path,
        settings.custom_objects,
        settings.builder if model_files.holds_weights_only(path) else None,
        settings.signature if path.is_dir() else None,
    )
    check_finite(opened)
    stripped, applied = strip(opened)
    for what, mine, theirs in (
        ("inputs", stripped.inputs(), source.inputs()),
        ("outputs", stripped.outputs(), source.outputs()),
    ):
        if not _are_alike(mine, theirs):
            raise ModelError(
                f"{path} has {what} {_in_words(mine)}, {source.name} has {_in_words(theirs)}: `baseline` takes the "
                "same network before pruning."
            )
    return Found(stripped, origin, applied)


def _are_alike(mine: tuple[InputSpec | OutputSpec, ...], theirs: tuple[InputSpec | OutputSpec, ...]) -> bool:
    """Return whether arrays for one suit the other. A single one is known by its place, several by their names."""
    if [spec.shape for spec in mine] != [spec.shape for spec in theirs]:
        return False
    return len(mine) == 1 or [spec.name for spec in mine] == [spec.name for spec in theirs]


def _in_words(specs: tuple[InputSpec | OutputSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.shape}" for spec in specs)


def named_by_prune(
    model: Path, output: Path, sparsity: float, metric: str, accuracy: float, samples: int, data: str
) -> BaselineFile | None:
    """Return the model before pruning for the report of ``prune``; None if ``model`` was pruned before, by others.

    Args:
        model: the file or folder that was pruned now. If its own report names a baseline, that one is meant.
        output: what ``prune`` writes; paths are relative to its folder.
        sparsity: share of zeros over the kernels of ``model``, with the masks of pruning wrappers applied.
        metric: of ``accuracy``.
        accuracy: of ``model`` on the test samples.
        samples: number of these.
        data: their name.
    """
    earlier = report_beside(model)
    if earlier is not None:
        named = earlier.baseline
        if named is None or _why_changed(model.parent / named.path, named) is not None:
            return None
        return named.model_copy(update={"path": _relative(model.parent / named.path, output)})
    if sparsity >= FEW_ZEROS:
        return None
    return BaselineFile(
        path=_relative(model, output),
        sha256=_checksum(model),
        metric=metric,
        accuracy=accuracy,
        samples=samples,
        data=data,
    )


def _why_changed(path: Path, named: BaselineFile) -> str | None:
    """Return why a path is not what a report named; None if it is."""
    if not (path.is_file() or path.is_dir()):
        return f"{path}, the model before pruning, is not there"
    if _checksum(path) != named.sha256:
        return f"{path}, the model before pruning, changed since"
    return None


def _relative(path: Path, output: Path) -> str:
    return os.path.relpath(path.absolute(), output.absolute().parent)


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    for name, file in _files(path):
        digest.update(name.encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """The file itself, without a name; of a folder: every file with its name."""
    if path.is_file():
        yield "", path
        return
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        yield f"{file.relative_to(path).as_posix()}\0", file
