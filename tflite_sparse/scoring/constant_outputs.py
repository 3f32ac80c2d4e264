"""Detect models with the same answer for all samples: no comparison with them shows a loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tflite_sparse.scoring.metrics import Metric

_FEWEST_SAMPLES = 10  # fewer samples may well be all of one class
_LEAST_SPAN = 1e-6  # relative to the largest absolute value; float32 has seven digits


def found(outputs: Mapping[str, np.ndarray], metrics: Mapping[str, Metric]) -> str | None:
    """Describe what the scored outputs have in common for all samples; None if they differ or samples are few.

    Args:
        outputs: of the dense float32 model, each ``(n, ...)``.
        metrics: of the scored outputs.
    """
    words = [_of_one(name, outputs[name], metric) for name, metric in metrics.items()]
    common = [each for each in words if each is not None]
    return "; ".join(common) if common and len(common) == len(words) else None


def _of_one(name: str, output: np.ndarray, metric: Metric) -> str | None:
    count = len(output)
    if count < _FEWEST_SAMPLES:
        return None
    if metric.kind in ("top1", "top5"):
        chosen = np.unique(output.argmax(-1))
        return (
            f"chooses class {chosen[0]} for all {count:,} test samples (output {name!r})" if chosen.size == 1 else None
        )
    if metric.kind == "binary":
        chosen = np.unique(output > metric.threshold)
        if chosen.size > 1:
            return None
        return f"says {'yes' if chosen[0] else 'no'} to all {count:,} test samples (output {name!r})"
    span = float((output.max(axis=0) - output.min(axis=0)).max())
    if span > _LEAST_SPAN * float(np.abs(output).max()):
        return None
    return f"yields the same for all {count:,} test samples (output {name!r})"
