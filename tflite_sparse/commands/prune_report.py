"""Kernels and scores of a pruned model, as the report of ``prune`` has them."""

from __future__ import annotations

from dataclasses import dataclass

from tflite_sparse.pruning import masks
from tflite_sparse.pruning.plan import Plan
from tflite_sparse.pruning.schedule import Schedule
from tflite_sparse.pruning.structure import CHANNEL
from tflite_sparse.results.prune import OutputScores, PrunedKernel
from tflite_sparse.scoring.scorer import Scored, Scorer
from tflite_sparse.settings.kinds import Scope
from tflite_sparse.sources.source_model import Kernel


@dataclass(frozen=True, slots=True)
class Scores:
    """On the test samples, before the training and after it."""

    scorer: Scorer
    before: Scored
    after: Scored

    def of_several_outputs(self) -> list[OutputScores]:
        """One entry for each; none where there is one output only."""
        if len(self.scorer.metrics) == 1:
            return []
        before, after = self.before.evidence, self.after.evidence
        return [
            OutputScores(name=name, metric=metric.name, before=before[name].score(), after=after[name].score())
            for name, metric in self.scorer.metrics.items()
        ]


def kernels_of(plan: Plan) -> list[PrunedKernel]:
    """One entry for each kernel of a bound plan, with its sparsity now; first those of which weights are pruned."""
    found = {
        each.kernel.name: _entry(each.kernel, str(each.structure), each.schedule, plan.scope) for each in plan.kernels
    }
    for each in plan.groups:
        for kernel in each.kernels:
            found.setdefault(kernel.name, _entry(kernel, CHANNEL, each.schedule, plan.scope))
    return list(found.values())


def _entry(kernel: Kernel, block: str, schedule: Schedule, scope: Scope) -> PrunedKernel:
    return PrunedKernel(
        name=kernel.name,
        type=kernel.owner,
        shape=kernel.shape,
        block=block,
        asked=schedule.final if scope == "layer" else None,
        sparsity=masks.sparsity_of([kernel]).share,
    )
