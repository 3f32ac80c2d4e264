"""Find out in which range a model takes pixels: run it on images in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.errors import DataError
from tflite_sparse.results.contract import PixelCheck, PixelScore
from tflite_sparse.scoring import scorer, uncertainty
from tflite_sparse.scoring.scorer import Scored
from tflite_sparse.settings.kinds import Pixels
from tflite_sparse.sources import arrays, pixels
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel

_FIRST_SAMPLES, _MOST_SAMPLES, _AT_ONCE = 20, 100, 20
_CHANCE = 1e-3
"""Probability of a difference by chance, below which one range is said to fit better than another."""


@dataclass(frozen=True, slots=True)
class Found:
    """The scores of a model in each range of pixels.

    Attributes:
        check: them, for the report.
        fits: the range that fits better than the one that was fed, by more than chance; None: there is none.
    """

    check: PixelCheck
    fits: Pixels | None


def compare(source: SourceModel, samples: Dataset, *, told: bool) -> Found | None:
    """Score a float model on some test images in each range of pixels; on more where the first do not decide.

    Args:
        source: the model.
        samples: fitted to it.
        told: whether the user told their range.

    Returns:
        None where the data are no images in a known range, have no labels, or the model takes integers; or where its
        score is no share of right samples.
    """
    fed, x, labels = samples.pixels, samples.x_test, samples.y_test
    if fed is None or labels is None or not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return None
    chosen = arrays.spread_rows(len(x), _MOST_SAMPLES)
    rows = chosen[arrays.spread_rows(len(chosen), _FIRST_SAMPLES)]
    outputs = _in_each_range(source, x[rows], fed)
    known = _shares(outputs, arrays.take(labels, rows))
    if known is not None and len(rows) < len(chosen) and not _is_decided(known, fed):
        rest = np.setdiff1d(chosen, rows)
        more = _in_each_range(source, x[rest], fed)
        outputs = {name: _joined([outputs[name], more[name]]) for name in outputs}
        rows = np.concatenate([rows, rest])
        known = _shares(outputs, arrays.take(labels, rows))
    if known is None:
        return None
    check = PixelCheck(
        fed=fed,
        metric=scorer.make_scorer(outputs[fed], arrays.take(labels, rows)).metric,
        samples=len(rows),
        scores=[PixelScore(pixels=name, score=each.mean) for name, each in known.items()],
        alike=[name for name in known if name != fed and not _is_better(known[fed], known[name])],
        told=told,
    )
    best = max(known, key=lambda name: known[name].mean)
    return Found(check, best if _is_better(known[best], known[fed]) else None)


def refuse(check: PixelCheck, fits: Pixels, data: str) -> DataError:
    """Return the error where images were fed in one range and another one fits the model."""
    scores = {each.pixels: each.score for each in check.scores}
    return DataError(
        f"{data}: pixels are {check.fed}, where the float model has {check.metric} {scores[check.fed]:.3f} on "
        f"{check.samples} samples; in {fits} it has {scores[fits]:.3f}. Give `pixels={fits!r}` if the model was "
        f"trained on {fits}, or `pixels={check.fed!r}` to feed {check.fed} all the same."
    )


def _in_each_range(source: SourceModel, x: np.ndarray, fed: Pixels) -> dict[Pixels, dict[str, np.ndarray]]:
    """The outputs of a model by range and name, a few images at a time: activations of large ones fill memory."""
    outputs = {}
    for name in pixels.RANGES:
        converted = pixels.converted(x, fed, name).astype(x.dtype, copy=False)
        parts = [source.compute_many(converted[row : row + _AT_ONCE]) for row in range(0, len(x), _AT_ONCE)]
        outputs[name] = _joined(parts)
    return outputs


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shares(outputs: Mapping[Pixels, dict[str, np.ndarray]], labels: arrays.Arrays) -> dict[Pixels, Scored] | None:
    """The scores in each range; None where some are no shares of right samples."""
    scored = {name: _scored(each, labels) for name, each in outputs.items()}
    known = {name: each for name, each in scored.items() if each is not None and _is_share(each)}
    return known if len(known) == len(scored) else None


def _is_decided(known: Mapping[Pixels, Scored], fed: Pixels) -> bool:
    """Whether each range is better or worse than the one that was fed, or as good: no answer differs.

    Of 100 samples, 11 must differ to tell two ranges apart. None of them is among the first 20 with a probability of
    8 % or less.
    """
    return all(
        not _differ(known[fed], each) or _is_better(known[fed], each) or _is_better(each, known[fed])
        for name, each in known.items()
        if name != fed
    )


def _scored(outputs: Mapping[str, np.ndarray], labels: arrays.Arrays) -> Scored | None:
    if any(not np.isfinite(each).all() for each in outputs.values()):
        return None
    return scorer.make_scorer(outputs, labels).scored(outputs)


def _is_share(scored: Scored) -> bool:
    return len(scored.evidence) == 1 and all(each.trials is not None for each in scored.evidence.values())


def _differ(one: Scored, other: Scored) -> bool:
    """Return whether only one of the two gets some sample right."""
    test = uncertainty.mcnemar(list(one.evidence.values()), list(other.evidence.values()))
    return test is not None and test.lost + test.gained > 0


def _is_better(one: Scored, other: Scored) -> bool:
    test = uncertainty.mcnemar(list(one.evidence.values()), list(other.evidence.values()))
    return test is not None and test.gained > test.lost and test.p_value < _CHANCE
