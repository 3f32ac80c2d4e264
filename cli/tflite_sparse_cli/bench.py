"""``tflite-sparse bench``."""

from __future__ import annotations

from pathlib import Path

import click

from tflite_sparse_cli.options import input_shape_option, json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_table


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the interpreters.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="How often each file has its turn of about 10 ms.",
)
@click.option(
    "--kernels",
    type=click.Choice(["default", "builtin"]),
    default="default",
    show_default=True,
    help="LiteRT's default interpreter (XNNPACK), or its built-in kernels without any delegate.",
)
@input_shape_option
@json_option
@quiet_option
def bench(
    files: tuple[Path, ...],
    threads: int,
    rounds: int,
    kernels: str,
    input_shapes: dict[str, tuple[int, ...]],
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure .tflite files beside each other; ratios refer to the first.

    Load is loading the file and running it once, resident what that adds to the memory of a fresh process: medians of
    five. Latency is that of one run on random inputs with a batch of 1, all files taking turns in one process.

    Exit code: 0 done, 2 a FILE cannot be read or the runtime refuses it.
    """
    from tflite_sparse.measurement import latency
    from tflite_sparse.report.text import latency as latency_tables

    with progress_for(quiet).stage("measure") as on_step:
        measured = latency.compare(
            files,
            threads=threads,
            rounds=rounds,
            kernels=kernels,  # type: ignore[arg-type]
            input_shapes=input_shapes,
            on_step=on_step,
        )
    found = latency.in_report(measured, threads=threads, rounds=rounds, kernels=kernels)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        print_table(
            latency_tables.files(found), f"{threads} thread{'s' * (threads > 1)}, {rounds} rounds, {kernels} kernels"
        )
