"""Test the command that a report shows."""

import shlex

import click
import pytest

from helpers.example_reports import make
from tflite_sparse.report.text import command
from tflite_sparse.results import data_name
from tflite_sparse.settings import ExportSettings, FitSettings
from tflite_sparse_cli.main import cli


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, ""),
        ({"sparsity": 0.875, "int8": True, "out": "my out"}, " --out 'my out' --sparsity 0.875 --int8"),
        ({"verification_samples": 8}, ""),  # no option has it
    ],
)
def test_only_what_is_not_the_default_is_there(settings, options):
    as_reported = ExportSettings(**settings).model_dump(mode="json")
    found = command.line("export", "net.keras", "digits", as_reported, ExportSettings)
    assert found == f"tflite-sparse export net.keras --data digits{options}"


def test_the_program_reads_it_back():
    settings = FitSettings(budget="100kB", blocks=("1x1", "1x8"), epochs=3)
    line = command.line("fit", "net.keras", "data.npz", settings.model_dump(mode="json"), FitSettings)
    program = click.Context(cli, **cli.context_settings)  # whose options for help a command keeps once it is used
    read = cli.get_command(program, "fit").make_context("fit", shlex.split(line)[2:], parent=program).params
    assert FitSettings(**{name: read[name] for name in FitSettings.model_fields if name in read}) == settings


@pytest.mark.parametrize("name", ["gen.py:make", "(the first 20 samples) of", "x (the first 2 samples).npz"])
def test_data_are_named_as_they_were_given(name):
    for told in (name, data_name.of_first(name, 20_000)):
        assert (
            command.line("export", None, told, {}, ExportSettings) == f"tflite-sparse export --data {shlex.quote(name)}"
        )


@pytest.mark.parametrize(
    ("model", "origin", "words"),
    [
        ("saved model", "file", " 'saved model'"),  # a folder
        ("net.keras", "file", " net.keras"),
        ("digits", "memory", " MODEL"),
        ("demo CNN", "training", ""),
    ],
)
def test_the_model_is_named_as_the_command_takes_it(model, origin, words):
    given = command.model_of(make(model=model, model_from=origin))
    assert command.line("export", given, None, {}, ExportSettings) == f"tflite-sparse export{words}"
