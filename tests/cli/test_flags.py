"""Test how the command line names settings in messages of the library."""

import click
import pytest

from tflite_sparse_cli.flags import as_typed, in_flags, names_of
from tflite_sparse_cli.main import cli

NAMES = {"int8": "--int8", "io": "--io", "model": "MODEL", "blocks": "--block", "input_shapes": "--input-shape"}


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("add `int8`", "add --int8"),
        ("add `int8=True`", "add --int8"),
        ("`io='float32'` or `io=\"int8\"`", "--io float32 or --io int8"),
        ("`io=3.0`: input", "--io 3.0: input"),
        ("`io=a file.npz`", "--io a file.npz"),
        ("`io=-1`", "--io -1"),
        ("`blocks=('1x1', '1x16')`", "--block 1x1,1x16"),
        ("`blocks.0='x'`: no", "--block x: no"),
        ("`input_shapes={'a=b': (1, N, 8)}`", "--input-shape a=b=1,N,8"),
        ("only with a `model`", "only with a MODEL"),
        ("`encode` and `foo=1` and ``int8", "`encode` and `foo=1` and ``int8"),
    ],
)
def test_settings_become_flags(text, typed):
    assert in_flags(text, NAMES) == typed


def test_names_of_parameters():
    @click.command()
    @click.argument("source", metavar="IN.tflite")
    @click.argument("model", required=False)
    @click.argument("builder", metavar="[MODEL-BUILDER]", required=False)
    @click.option("-o", "--output", "destination")
    def command():
        pass

    assert names_of(command.params) == {
        "source": "IN.tflite",
        "model": "MODEL",
        "builder": "MODEL-BUILDER",
        "destination": "--output",
    }


def test_outside_of_a_command_texts_stay_as_they_are():
    assert as_typed("add `int8=True`") == "add `int8=True`"
    with click.Context(cli.get_command(None, "export")):
        assert as_typed("add `int8=True`") == "add --int8"
