"""``tflite-sparse encode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tflite_sparse.config import EncodeSettings
from tflite_sparse_cli.options import json_option, output_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_DEFAULTS = EncodeSettings()


@click.command(short_help="Make a .tflite file as small as LiteRT takes it.")
@click.argument("source", metavar="IN.tflite", type=click.Path(path_type=Path))
@output_option
@click.option(
    "--target",
    type=click.Choice(["litert", "micro", "ethos-u"]),
    default=_DEFAULTS.target,
    show_default=True,
    help="The runtime. micro: TensorFlow Lite Micro, constants behind its DECODE operator. ethos-u: the dense file, "
    "and OUT_vela.tflite beside it, compiled by Vela.",
)
@click.option(
    "--optimize",
    type=click.Choice(["size", "latency"]),
    default=_DEFAULTS.optimize,
    show_default=True,
    help="size: the smallest file, every bit kept. latency: of each operator's forms the fastest on this machine, "
    "native sparse kernels included, which round in their own way.",
)
@click.option(
    "--micro-codec",
    type=click.Choice(["auto", "prune", "huffman", "lut", "dense"]),
    default=_DEFAULTS.micro_codec,
    show_default=True,
    help="Of the target micro: how constants are compressed.",
)
@click.option(
    "--micro-min-saving",
    type=click.IntRange(0),
    default=_DEFAULTS.micro_min_saving,
    show_default=True,
    help="Of the target micro: constants that would save fewer bytes stay dense.",
)
@click.option("--c-array", is_flag=True, help="Of the target micro: also write OUT.h and OUT.cc, the file as an array.")
@click.option(
    "--accelerator-config",
    default=_DEFAULTS.accelerator_config,
    show_default=True,
    help="Of the target ethos-u: what Vela compiles for.",
)
@click.option(
    "--samples",
    "verification_samples",
    type=click.IntRange(0),
    default=_DEFAULTS.verification_samples,
    show_default=True,
    help="How many random inputs the new file is compared on with its source, beside three at the boundaries.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=_DEFAULTS.seed, show_default=True, help="Of the random inputs."
)
@json_option
@quiet_option
def encode(source: Path, destination: Path, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write IN.tflite as the smallest file that the target takes and that computes the same.

    IN.tflite may come from any converter, dense or sparse already. The zeros must be in its weights. The new file is
    read back and compared, weights and outputs, before it gets its name; it may replace IN.tflite.

    Exit code: 0 done, 1 the new file is not what it must be (nothing written), 2 bad usage or input, nothing written.
    """
    from tflite_sparse.file_pipeline import encode as run
    from tflite_sparse.report import file_tables, tables

    report = run(source, destination, progress=progress_for(quiet), **settings)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return
    print_table(tables.tensors(report), f"Weights of {destination}")
    print_lines(file_tables.encoding(report))
