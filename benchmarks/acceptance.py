"""Measure which sparse tensors each LiteRT accepts, and write the table of ``tflite_sparse.targets.acceptance``.

python benchmarks/acceptance.py --versions 1.2.0,... --cache DIR -o tflite_sparse/targets/litert_acceptance.json
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.acceptance import measure
from helpers.acceptance_cases import CASES, Case
from helpers.runtime_versions import OLDER, installed, unpack


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


if __name__ == "__main__":
    main()
