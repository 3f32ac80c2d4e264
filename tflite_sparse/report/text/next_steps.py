"""Say when nothing got smaller, and which command comes next."""

from __future__ import annotations

import shlex
from pathlib import Path

from tflite_sparse.report.text import command
from tflite_sparse.results.baseline import FEW_ZEROS
from tflite_sparse.results.export import Report
from tflite_sparse.scoring import metrics
from tflite_sparse.settings import ExportSettings
from tflite_sparse.target_registry import DEFAULT_TARGET, TARGETS

_SPARSITY = 0.875
"""That of the commands in this text, where the export had none."""
_MAY_HOLD_WEIGHTS_ONLY = (".h5", ".hdf5")
_OF_KERAS = (".keras", *_MAY_HOLD_WEIGHTS_ONLY)
_KERAS_MODEL, _LABELLED = "MODEL.keras", "LABELLED.npz"
"""In the command, where the export had a SavedModel without layers, or no labels."""


def nothing_smaller(report: Report) -> str | None:
    """Return a sentence if no weight takes fewer bytes than dense and no channel went.

    None otherwise, and for a target that stores no weight so.
    """
    target = TARGETS.get(str(report.settings.get("target")))
    if report.models.sparse is None or any(each.encoded_bytes < each.dense_bytes for each in report.tensors):
        return None
    if target is not None and target.leaves_weights_dense:
        return None
    if _lost_channels(report):
        return None
    if _has_zeros(report):
        return "Nothing got smaller: the zeros are too few, or in weights that are stored dense (the table says why)."
    return f"Nothing got smaller: no zeros: see prune, or give `sparsity={_SPARSITY:g}`."


def lines(report: Report, out: Path) -> list[str]:
    """Return where the page is, and the next command in a shell.

    Args:
        report: of the export.
        out: the folder of its files.
    """
    return [f"Report: {out / 'report.html'}", f"Next: {_command(report, out)}"]


def _command(report: Report, out: Path) -> str:
    is_pruned = _has_zeros(report) or _lost_channels(report, FEW_ZEROS)
    if _may_be_pruned(report) and (not is_pruned or _lost_by_pruning(report)):
        return _prune(report)
    if report.gates.failures:
        return _of_program("report", out, "--open")
    if report.gates.unjudged:
        return command.line(
            "export", command.model_of(report), report.data, {**report.settings, "baseline": "FILE"}, ExportSettings
        )
    dense = report.models.dense_int8 or report.models.dense_float32
    sparse = report.models.sparse
    assert sparse is not None  # a gate failed otherwise
    files = out / dense.path, out / sparse.path
    target = str(report.settings.get("target", DEFAULT_TARGET))
    traits = TARGETS[target]
    if traits.loaded_by_litert:
        return _of_program("bench", *files)
    if traits.counts_instructions:
        return _of_program("bench", *files, "--target", target, "--micro-cpu", report.settings["micro_cpu"])
    return _of_program("report", out, "--open")


def _may_be_pruned(report: Report) -> bool:
    """Return whether ``prune`` takes the model or, of a SavedModel, one that the user may have: no subclassed one."""
    is_folder = report.model_from == "file" and Path(report.model).suffix not in _OF_KERAS
    return report.model_from != "training" and (report.pruning.has_layers or is_folder)


def _prune(report: Report) -> str:
    """Return the command that prunes the model before pruning, where it is known; in capitals what must be added."""
    given = report.settings | _aim(report)
    is_labelled = report.accuracy is not None and not metrics.is_agreement(report.accuracy.metric)
    data = report.data if report.data is not None and is_labelled else _LABELLED
    baseline = report.baseline
    if baseline is not None and baseline.origin in ("option", "prune"):
        needs_builder = Path(baseline.model).suffix in _MAY_HOLD_WEIGHTS_ONLY
        return command.prune(baseline.model, data, given if needs_builder else {**given, "builder": None})
    model = command.model_of(report) if report.pruning.has_layers else _KERAS_MODEL
    return command.prune(model, data, given)


def _aim(report: Report) -> dict[str, object]:
    """Return how much is to be pruned: as by the export, by its recipe, or less than what the model came with."""
    if report.settings.get("sparsity"):
        return {}
    if not _has_zeros(report):
        return {"sparsity": _SPARSITY}
    if report.settings.get("recipe") is not None:
        return {"sparsity": None}
    zeros = report.pruning.after
    less = round(min(_SPARSITY, max(2 * zeros - 1, zeros / 2)), 3)  # with twice the weights, if that leaves zeros
    return {"sparsity": less} | ({"block": "channel"} if _lost_channels(report, FEW_ZEROS) else {})


def _lost_by_pruning(report: Report) -> bool:
    """Return whether the accuracy gate fails, and pruning costs more than int8."""
    accuracy = report.accuracy
    if accuracy is None or accuracy.passes or not report.gates.failures:
        return False
    return (accuracy.drop_by_pruning or 0.0) > (accuracy.drop_by_int8 or 0.0)


def _has_zeros(report: Report) -> bool:
    return report.pruning.after >= FEW_ZEROS


def _lost_channels(report: Report, least: float = 0.0) -> bool:
    """Return whether channels went, with at least that share of the bytes of dense weights."""
    found = report.channels
    return found is not None and found.removed and 1 - found.dead.dense_bytes.share >= least


def _of_program(*words: object) -> str:
    return shlex.join(["tflite-sparse", *map(str, words)])
