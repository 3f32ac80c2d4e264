"""Test that the program ends at once after its work, with its usual status and all of its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_AS_PROGRAM = """
import atexit, sys, types
sys.modules["tensorflow"] = types.ModuleType("tensorflow")  # only then is there anything to hurry for

class Destructor:
    def __del__(self):
        sys.stderr.write("destroyed")

sys.modules["tensorflow"].kept = Destructor()
from tflite_sparse_cli.main import cli
original = cli.get_command
def get_command(context, name):
    atexit.register(lambda: print("cleaned"))
    return original(context, name)
cli.get_command = get_command
cli()
"""


def _ended(*arguments: str, stdout: int | object = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _AS_PROGRAM, *arguments]
    environment = dict(os.environ, PYTHONUNBUFFERED="")  # so that the program itself must flush its output
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(("arguments", "status"), [(["decode", "--help"], 0), (["decode", "nothing.tflite"], 2)])
def test_status_output_and_clean_up_are_as_always(arguments, status):
    ended = _ended(*arguments)
    assert ended.returncode == status
    assert ended.stdout.endswith("cleaned\n")
    assert "destroyed" not in ended.stderr


def test_output_that_cannot_be_written_is_an_error():
    with Path("/dev/full").open("w") as full:
        ended = _ended("decode", "nothing.tflite", stdout=full)  # only "cleaned" goes to standard output
    assert ended.returncode == 120  # the interpreter's code for output that it cannot flush
    assert "No space left" in ended.stderr
