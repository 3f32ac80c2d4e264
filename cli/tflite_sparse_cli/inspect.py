"""``tflite-sparse inspect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

import tflite_sparse
from tflite_sparse.results.contract import Language
from tflite_sparse.settings import InspectSettings
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.options import json_option, progress_for, quiet_option
from tflite_sparse_cli.tables import print_lines, print_table

_SNIPPET = click.Option(
    ["--snippet"],
    type=click.Choice(get_args(Language)),
    help="Print code that calls FILE, in this language, and nothing else.",
)


@click.command(params=options_of(InspectSettings, _SNIPPET, order=("snippet", "target", "input_shapes")))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@quiet_option
def inspect(file: Path, snippet: Language | None, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Show what is in a .tflite FILE: inputs and outputs, every constant and how it is stored, who loads it, what it
    could take.

    Nothing is written. Exit code: 0 done, 1 --target is given and does not load FILE, 2 FILE cannot be read.
    """
    from tflite_sparse.report.text import contract as contract_words
    from tflite_sparse.report.text import files as file_tables

    found = tflite_sparse.inspect(file, progress=progress_for(quiet), **settings)
    if snippet is not None:
        others = file_tables.loading_targets(found)
        click.echo(contract_words.code(found.contract, snippet, str(file), found.target, others), nl=False)
        for sentence in () if quiet else file_tables.without_proof(found):
            click.echo(sentence, err=True)
    elif as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        print_table(file_tables.constants(found), f"Constants of {file}")
        print_table(contract_words.ports(found.contract), f"Inputs and outputs of {file}")
        print_lines(file_tables.summary(found))
        print_lines(contract_words.lines(found.contract))
        print_lines(contract_words.pointer(found.contract, str(file), found.target, file_tables.other_targets(found)))
    target = settings["target"]
    if snippet is None and target is not None and not found.is_for(target):
        sys.exit(1)
