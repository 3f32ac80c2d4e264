"""Options made from the fields of settings."""

from pathlib import Path
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import Field

from tflite_sparse import settings
from tflite_sparse.settings import Bytes, Flag, InputShapes, Settings
from tflite_sparse.settings.kinds import EpochsOrAuto
from tflite_sparse_cli.from_settings import options_of
from tflite_sparse_cli.main import cli

COMMANDS = {
    "bench": settings.BenchSettings,
    "decode": settings.DecodeSettings,
    "encode": settings.EncodeSettings,
    "export": settings.ExportSettings,
    "fit": settings.FitSettings,
    "inspect": settings.InspectSettings,
    "prune": settings.PruneSettings,
    "sweep": settings.SweepSettings,
    "verify": settings.VerifySettings,
}


class Base(Settings):
    out_dir: Annotated[Path, Flag(letter="o")] = Field(Path("out"), description="Folder.")


class Made(Base):
    fast: bool = Field(False, description="Faster than `out_dir`.")
    kind: Literal["a", "b"] = Field("a", description="Which.")
    count: Annotated[int, Field(ge=1, lt=8)] = Field(2, description="How many.")
    share: Annotated[Annotated[float, Field(gt=0)] | None, Flag(default="that of `count`")] = Field(
        None, description="How much of `model`."
    )
    name: Annotated[str | None, Flag("alias", metavar="WORD")] = Field(None, description="Who.")
    parts: tuple[float, ...] = Field((0.5, 1.0), description="Parts.")
    size: Bytes = Field(1000, description="Bytes.")
    input_shapes: Annotated[InputShapes, Flag("input-shape")] = Field(default_factory=dict, description="Shapes.")
    some: EpochsOrAuto | None = Field(None, description="Some or auto.")
    secret: Annotated[int, Flag(hidden=True)] = Field(0, description="Of Python only.")


OTHER = click.Option(["--other"], is_flag=True, help="Other.")


def run(*arguments):
    seen = {}
    command = click.Command("made", params=options_of(Made, OTHER, order=("other", "name")), callback=seen.update)
    result = CliRunner().invoke(command, arguments)
    return result, seen


def test_help():
    result, _ = run("--help")
    assert result.output == (
        "Usage: made [OPTIONS]\n\nOptions:\n"
        "  --other                     Other.\n"
        "  --alias WORD                Who.\n"
        "  -o, --out-dir PATH          Folder.  [default: out]\n"
        "  --fast                      Faster than --out-dir.\n"
        "  --kind [a|b]                Which.  [default: a]\n"
        "  --count INTEGER             How many.  [default: 2; 1<=x<=7]\n"
        "  --share FLOAT               How much of MODEL.  [default: that of --count]\n"
        "                              [x>0]\n"
        "  --parts VALUES              Parts.  [default: 0.5,1]\n"
        "  --size TEXT                 Bytes.  [default: 1000]\n"
        "  --input-shape NAME=1,16000  Shapes.\n"
        "  --some INTEGER|auto         Some or auto.\n"
        "  --help                      Show this message and exit.\n"
    )


def test_values():
    _, seen = run()
    assert Made(**{name: value for name, value in seen.items() if name != "other"}) == Made()
    given = ("--fast", "--kind", "b", "--count", "9", "--share", "0.5", "--alias", "x", "--parts", "2, 3", "--other")
    _, seen = run(
        *given, "--size", "1kB", "--input-shape", "a=1,8", "--input-shape", "b=2", "-o", "d", "--some", "auto"
    )
    assert seen == {
        "other": True,
        "name": "x",
        "out_dir": Path("d"),
        "fast": True,
        "kind": "b",
        "count": 9,  # the settings refuse it
        "share": 0.5,
        "parts": (2.0, 3.0),
        "size": "1kB",
        "input_shapes": {"a": (1, 8), "b": (2,)},
        "some": "auto",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "c"), "'c' is not one of 'a', 'b'"),
        (("--count", "x"), "'x' is not a valid integer"),
        (("--parts", "1;2"), "'1;2': give values with commas between them"),
        (("--input-shape", "8"), "give an input and its whole shape"),
        (("--input-shape", "a=1", "--input-shape", "a=2"), "'a' is given twice"),
    ],
)
def test_what_click_refuses(arguments, words):
    result, _ = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_an_order_of_names_that_are_none():
    with pytest.raises(ValueError, match="Made has no nonsense"):
        options_of(Made, order=("nonsense", "kind"))


@pytest.mark.parametrize(("name", "taken"), COMMANDS.items())
def test_commands_have_the_settings_as_options(name, taken):
    params = {each.name: each for each in cli.get_command(None, name).params}
    hidden = {field for field, about in taken.model_fields.items() if Flag(hidden=True) in about.metadata}
    assert hidden == ({"verification_samples"} if name == "export" else set())
    assert taken.model_fields.keys() - hidden <= params.keys()
    defaults = {field: about.get_default(call_default_factory=True) for field, about in taken.model_fields.items()}
    context = click.Context(cli.get_command(None, name))
    for field in taken.model_fields.keys() - hidden:
        if field != "input_shapes":
            assert params[field].type_cast_value(context, params[field].get_default(context)) == defaults[field]
