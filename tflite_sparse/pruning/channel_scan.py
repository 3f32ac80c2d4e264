"""Measure what a model loses when channels of one group at a time are masked, without training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.pruning import channel_masks, masks, sensitivity
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.channel_masks import Remaining
from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.pruning.structure import CHANNEL
from tflite_sparse.results.scan import KernelScan, Point, Scan
from tflite_sparse.sources.source_model import SourceModel

SHARES = (0.25, 0.5, 0.75, 0.875)
"""Shares of masked channels that are scanned."""


def counts_of(group: ChannelGroup, multiple: int) -> list[int]:
    """Return the numbers of kept channels that a scan measures, from many to few; fewer than the group has now."""
    alive = np.count_nonzero(~channel_masks.dead(group))
    counts = (channel_masks.count_kept(group.channels, share, multiple) for share in SHARES)
    return list(dict.fromkeys(count for count in counts if count < alive))


def estimated_evaluations(groups: Sequence[ChannelGroup], multiple: int) -> int:
    """Return how often :func:`scan` evaluates the model: once unmasked, and once for each group and number."""
    return 1 + sum(len(counts_of(group, multiple)) for group in groups)


def scan(
    source: SourceModel,
    groups: Sequence[ChannelGroup],
    evaluate: Callable[[], Score],
    multiple: int,
    *,
    on_step: Step = ignore_steps,
) -> Scan:
    """Mask the channels of one group at a time, those of the least filters first, and evaluate the model.

    All weights have their original bits when this returns or raises.

    Args:
        source: the model of the groups.
        groups: to scan.
        evaluate: returns the score of the model in its present state, on samples that belong neither to the training
            nor to the test data.
        multiple: that kept numbers are rounded up to.
        on_step: receives (evaluations done, all evaluations).

    Returns:
        An entry for each group; its shares are of channels.

    Raises:
        ModelError: the loss of the model, unmasked or with a group masked, or a weight is NaN or infinite.
    """
    counts = [counts_of(group, multiple) for group in groups]
    total = estimated_evaluations(groups, multiple)
    baseline = sensitivity.finite(evaluate(), f"{source.name} as it is")
    on_step(1, total)
    found: list[KernelScan] = []
    done = 1
    for group, kept in zip(groups, counts, strict=True):
        scores, points = channel_masks.scores(group), []
        for count in kept:
            with _masked(group, channel_masks.keep_largest(scores, count)):
                score = sensitivity.finite(evaluate(), f"{source.name} with {count} {group.name}")
            share = 1 - count / group.channels
            points.append(Point(asked=share, sparsity=share, metric=score.metric, loss=score.loss))
            done += 1
            on_step(done, total)
        found.append(
            KernelScan(
                name=group.name,
                type=group.filters[0].kernel.owner,
                shape=(group.channels,),
                weights=group.channels,
                block=CHANNEL,
                held=float(np.mean(channel_masks.dead(group))),
                points=tuple(points),
            )
        )
    return Scan(model=source.name, baseline_metric=baseline.metric, baseline_loss=baseline.loss, kernels=tuple(found))


@contextlib.contextmanager
def _masked(group: ChannelGroup, kept: np.ndarray) -> Iterator[None]:
    remaining = Remaining({group: kept})
    before = [(part.kernel, part.kernel.read().copy()) for part in group.masked]
    try:
        for kernel, values in before:
            masks.apply_mask(kernel, remaining.mask(kernel.name, values.shape))
        yield
    finally:
        for kernel, values in before:
            kernel.write(values)
