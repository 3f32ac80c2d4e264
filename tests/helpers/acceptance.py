"""Measure which sparse tensors a runtime accepts, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helpers.acceptance_cases import Case
from helpers.runtime_versions import Job, Result, Runtime, run

_FEWEST_DIFFERENT_OUTPUTS = 10


def measure(runtime: Runtime, cases: Sequence[Case]) -> list[dict[str, str]]:
    """Return for each case its outcome with each kind of kernels.

    ``exact``: the sparse file yields the dense file's bits; ``differs``; ``refused`` with an error; ``crashed``, with
    the whole process; ``dense_refused``: not even the dense file runs, so that nothing is known.
    """
    jobs = [
        Job(content, case.calls_as_filed() if kernels == "compiled_model" else case.calls(), kernels, case.outputs())
        for case in cases
        for content in (case.dense(), case.sparse())
        for kernels in runtime.kernels
    ]
    results = iter(run(runtime, jobs))
    found = []
    for case in cases:
        dense = {kernels: next(results) for kernels in runtime.kernels}
        sparse = {kernels: next(results) for kernels in runtime.kernels}
        found.append({kernels: _outcome(case, dense[kernels], sparse[kernels]) for kernels in runtime.kernels})
    return found


def _outcome(case: Case, dense: Result, sparse: Result) -> str:
    if dense.outputs is None:
        return "dense_refused"
    different = min(np.unique(array).size for row in dense.outputs for array in row)
    if different < _FEWEST_DIFFERENT_OUTPUTS:
        raise ValueError(f"{case.name}: the outputs of the dense file hardly differ, a mistake would not show.")
    if sparse.outputs is None:
        return "crashed" if sparse.refusal is None else "refused"
    return "exact" if sparse.same_outputs(dense) else "differs"
