"""Kernels and scores of a pruned model, as the report of ``prune`` has them."""

from __future__ import annotations

from dataclasses import dataclass

from tflite_sparse.pruning import masks
from tflite_sparse.pruning.plan import Plan
from tflite_sparse.results.prune import OutputScores, PrunedKernel
from tflite_sparse.scoring import scorer as scoring


@dataclass(frozen=True, slots=True)
class Scores:
    """On the test samples, before the training and after it."""

    scorer: scoring.Scorer
    before: scoring.Scored
    after: scoring.Scored

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
    """One entry for each kernel of a plan, with its sparsity now."""
    return [
        PrunedKernel(
            name=each.kernel.name,
            type=each.kernel.owner,
            shape=each.kernel.shape,
            block=str(each.structure),
            asked=each.schedule.final if plan.scope == "layer" else None,
            sparsity=masks.sparsity_of([each.kernel]).share,
        )
        for each in plan.kernels
    ]
