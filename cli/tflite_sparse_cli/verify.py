"""``tflite-sparse verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tflite_sparse_cli.options import input_shape_option, json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

if TYPE_CHECKING:
    from tflite_sparse.commands.verify import Target


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--against",
    required=True,
    type=click.Path(path_type=Path),
    help="The dense .tflite file that says what FILE must compute.",
)
@click.option(
    "--target",
    type=click.Choice(["litert", "micro"]),
    default="litert",
    show_default=True,
    help="The runtime: LiteRT in its four forms, or TensorFlow Lite Micro.",
)
@click.option(
    "--samples",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    help="Random inputs, besides three at the boundaries: all smallest, all largest, all zero.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of the interpreters; on several, float sums may differ in the last bit.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="By how much outputs may differ, in units of their type: steps of an int8 output. Weights must be equal.",
)
@input_shape_option
@json_option
@quiet_option
def verify(
    file: Path,
    against: Path,
    target: Target,
    samples: int,
    seed: int,
    threads: int,
    tolerance: float,
    input_shapes: dict[str, tuple[int, ...]],
    as_json: bool,
    quiet: bool,
) -> None:
    """Check that the .tflite FILE computes what another file does.

    Every weight is read back from disk and compared bit for bit, then the outputs of every signature in LiteRT's
    default interpreter, its built-in and reference kernels and CompiledModel. Where outputs differ, the first tensor
    that does is named. A fault that both files share does not show so: the other file is also compared with itself
    in one runtime beside another, with --target micro in TensorFlow Lite Micro beside LiteRT.

    Exit code: 0 the files agree, 1 they do not, 2 a file cannot be read or the dense one does not run.
    """
    import tflite_sparse
    from tflite_sparse.report.text import verification as verification_tables

    report = tflite_sparse.verify(
        file,
        against,
        target=target,
        samples=samples,
        seed=seed,
        threads=threads,
        tolerance=tolerance,
        input_shapes=input_shapes,
        progress=progress_for(quiet),
    )
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_table(verification_tables.runtimes(report), f"{file} against {against}")
        print_lines(verification_tables.verdicts(report))
    if not report.passed:
        sys.exit(1)
