"""Choose test samples that the sparse file gets wrong, for the report."""

from __future__ import annotations

import base64

import numpy as np

from tflite_sparse.measurement import sample_pictures
from tflite_sparse.results.wrong import WrongSample
from tflite_sparse.scoring.scorer import Decisions, Scored
from tflite_sparse.sources.dataset import Dataset

_MOST = 12


def chosen(best: Scored, reached: Scored, samples: Dataset) -> list[WrongSample]:
    """Return some of them, first those that the dense float32 file gets right.

    Args:
        best: the scores of the dense float32 file.
        reached: those of the sparse file.
        samples: whose test part was run.
    """
    found: list[WrongSample] = []
    for name, mine in reached.decisions.items():
        theirs = best.decisions[name]
        if len(mine.right) != samples.test_samples:
            continue  # one decision for each place in a sample
        wrong = np.flatnonzero(mine.chosen != mine.right)
        lost_first = wrong[np.argsort(theirs.chosen[wrong] != theirs.right[wrong], kind="stable")]
        for number in lost_first[: _MOST - len(found)]:
            found.append(_described(name, int(number), mine, theirs, samples))
    return found


def _described(output: str, number: int, mine: Decisions, theirs: Decisions, samples: Dataset) -> WrongSample:
    def named(label: int) -> str:
        return samples.labels[label] if len(samples.labels) == mine.classes else str(label)

    picture = sample_pictures.png(samples.x_test[number]) if isinstance(samples.x_test, np.ndarray) else None
    return WrongSample(
        output=output,
        sample=number,
        right=named(int(mine.right[number])),
        chosen=named(int(mine.chosen[number])),
        dense=named(int(theirs.chosen[number])),
        png=None if picture is None else base64.b64encode(picture).decode(),
    )
