"""Measure which sparse tensors each LiteRT accepts, and write the table of ``tflite_sparse.targets.acceptance``.

python benchmarks/acceptance.py --versions 1.2.0,... --cache DIR -o tflite_sparse/targets/litert_acceptance.json
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from acceptance_cases import CASES, Case
from runtime_versions import OLDER, Job, Result, Runtime, installed, run, unpack

_FEWEST_DIFFERENT_OUTPUTS = 10


@click.command()
@click.option(
    "--versions", default=",".join(OLDER), show_default=True, help="Of ai-edge-litert, besides the installed one."
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path.home() / ".cache" / "tflite-sparse-runtimes",
    show_default=True,
    help="Folder for the wheels of these versions, outside of the repository.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(versions: str, cache: Path, output: Path) -> None:
    """Run every case in every version, and in TensorFlow, and write the table."""
    here, tensorflow = installed()
    older = [number for number in dict.fromkeys(versions.split(",")) if number and number != here.version]
    runtimes = [tensorflow, *(unpack(number, cache) for number in older), here]  # the newest LiteRT last
    outcomes = {}
    for runtime in runtimes:
        click.echo(f"{runtime.name}: {len(CASES)} cases", err=True)
        outcomes[runtime.name] = measure(runtime, CASES)
    output.write_text(as_json(CASES, outcomes), "utf-8")
    click.echo(f"{len(CASES)} cases in {len(runtimes)} runtimes: {output}", err=True)


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


def as_json(cases: Sequence[Case], outcomes: dict[str, list[dict[str, str]]]) -> str:
    """Return the table: version, day, runtimes, and one line for each case."""
    head = {"version": 1, "measured": datetime.date.today().isoformat(), "runtimes": list(outcomes)}
    lines = [
        json.dumps(
            {
                "operator": case.operator,
                "position": case.position,
                "weight": case.weight,
                "data": case.data,
                "variant": case.variant,
                "outcomes": {name: found[number] for name, found in outcomes.items()},
            }
        )
        for number, case in enumerate(cases)
    ]
    return json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n"


def _outcome(case: Case, dense: Result, sparse: Result) -> str:
    if dense.outputs is None:
        return "dense_refused"
    different = min(np.unique(array).size for row in dense.outputs for array in row)
    if different < _FEWEST_DIFFERENT_OUTPUTS:
        raise ValueError(f"{case.name}: the outputs of the dense file hardly differ, a mistake would not show.")
    if sparse.outputs is None:
        return "crashed" if sparse.refusal is None else "refused"
    return "exact" if sparse.same_outputs(dense) else "differs"


if __name__ == "__main__":
    main()
