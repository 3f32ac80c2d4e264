"""Name the file that others are compared with: dense float32 only where the model is one before pruning."""

from __future__ import annotations

from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Models

DENSE_FLOAT32 = "dense float32"
_FILE_NAMES = {
    "dense_int8": "dense int8",
    "sparse_int8": "sparse int8",
    "sparse_float32": "sparse float32",
}


def file_name(key: str, models: Models, baseline: Baseline | None) -> str:
    """Return the name of a file for tables: ``dense float32``, ``float32, pruned before: 97.6 % zeros``.

    Args:
        key: the field of ``Models``.
        models: all files.
        baseline: what the dense float32 file holds; None: a report of an earlier version, which did not say.
    """
    if key in _FILE_NAMES:
        return _FILE_NAMES[key]
    if _is_dense(baseline):
        return DENSE_FLOAT32
    return f"float32, pruned before: {100 * models.dense_float32.sparsity:.1f} % zeros"


def in_sentence(key: str, baseline: Baseline | None) -> str:
    """Return the name of a file within a sentence that tells or told its zeros: ``float32 as it was given``."""
    if key in _FILE_NAMES:
        return _FILE_NAMES[key]
    return DENSE_FLOAT32 if _is_dense(baseline) else "float32 as it was given"


def not_judged(baseline: Baseline) -> str:
    """Describe why the accuracy gate cannot be judged against this baseline, and what to do."""
    return (
        f"accuracy: no baseline: accuracy against the unpruned model is unknown ({baseline.reason}). "
        "Name it with --baseline FILE."
    )


def lines(baseline: Baseline | None) -> list[str]:
    """Describe a baseline that is another model than the exported one."""
    if baseline is None or baseline.origin not in ("option", "prune"):
        return []
    how = "given" if baseline.origin == "option" else "named by the report of prune"
    return [f"Baseline: {baseline.model}, the model before pruning ({how})."]


def _is_dense(baseline: Baseline | None) -> bool:
    return baseline is None or baseline.is_unpruned
