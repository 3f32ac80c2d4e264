"""Compare dense float32, dense int8, TensorFlow's sparse int8 and ours: bytes, memory and time.

python benchmarks/size_and_speed.py [--models KEY,...] [--results FILE] [--rounds N]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

import children
import contenders
import measurements
import results
from models import RECIPES, ModelRecipe
from results import Effort, ModelResult


class _Recipes(click.ParamType[tuple[ModelRecipe, ...]]):
    """Names of models, separated by commas."""

    name = "names"

    def convert(
        self, value: str | tuple[ModelRecipe, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[ModelRecipe, ...]:
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in value.split(",")]
        for name in names:
            if name not in RECIPES:
                self.fail(f"{name!r} is none of {', '.join(RECIPES)}.", param, ctx)
        return tuple(RECIPES[name] for name in dict.fromkeys(names))


@click.command()
@click.option("--models", "recipes", type=_Recipes(), default=",".join(RECIPES), show_default=True)
@results.results_option("size-and-speed")
@click.option("--rounds", type=click.IntRange(1), default=50, show_default=True, help="Rounds of measuring latency.")
@click.option("--processes", type=click.IntRange(1), default=5, show_default=True, help="Loads of each file.")
@click.option("--calibration-samples", type=click.IntRange(1), default=10, show_default=True)
def main(recipes: tuple[ModelRecipe, ...], path: Path, rounds: int, processes: int, calibration_samples: int) -> None:
    """Compare four files of each model and record the result; fail only if ours is not bit-exact."""
    effort = Effort(rounds, processes, calibration_samples)
    console = Console(width=None if sys.stdout.isatty() else 160)
    found = []
    for recipe in recipes:
        started = time.perf_counter()
        result = _measure(recipe, effort)
        results.write(result, path)
        console.print(results.as_rich(result))
        console.print(results.exactness_in_words(result), *result.remarks, sep="\n", markup=False, highlight=False)
        _say(recipe, f"done in {time.perf_counter() - started:.0f} s")
        found.append(result)
    for result in found:
        for verdict in results.verdicts(result):
            console.print(verdict.in_words(), style=None if verdict.passed else "red", markup=False, highlight=False)
    if any(result.exactness.differences for result in found):
        sys.exit(1)


def _measure(recipe: ModelRecipe, effort: Effort) -> ModelResult:
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as name:
        files, remarks = _make_files(recipe, effort, Path(name))
        dense, ours = files[1], files[-1]
        _say(recipe, "compare weights and outputs")
        exactness = contenders.compare(ours, dense)
        measured = measurements.measure(
            files, processes=effort.processes, rounds=effort.rounds, say=lambda text: _say(recipe, text)
        )
        return ModelResult(recipe, effort, tuple(measured), exactness, remarks)


def _make_files(
    recipe: ModelRecipe, effort: Effort, folder: Path
) -> tuple[list[contenders.Contender], tuple[str, ...]]:
    """Return the files that could be made, ours last, and remarks on the others."""
    _say(recipe, "build and prune")
    source = recipe.make()
    samples = recipe.samples(source, effort.calibration_samples)
    _say(recipe, f"convert: {contenders.DENSE_FLOAT32}")
    files = [contenders.convert_float32(source, folder)]
    _say(recipe, f"convert: {contenders.DENSE_INT8}")
    files.append(contenders.convert_int8(source, samples, folder))
    dense = files[-1]
    _say(recipe, f"convert: {contenders.TENSORFLOW}")
    remarks: tuple[str, ...] = ()
    try:
        files.append(contenders.convert_tensorflow_sparse(source, samples, folder))
    except children.ChildError as error:
        remarks = (f"{contenders.TENSORFLOW}: no file: {measurements.in_short(str(error))}.",)
    _say(recipe, f"encode: {contenders.OURS}")
    files.append(contenders.encode(dense, folder))
    return files, remarks


def _say(recipe: ModelRecipe, text: str) -> None:
    click.echo(f"{recipe.key}: {text}", err=True)


if __name__ == "__main__":
    main()
