"""Test that the program ends at once after its work, with its usual status and all of its output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import tiny_models, tools

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


_SIGNALLED = """
import atexit, os, signal, sys
from tflite_sparse_cli.main import cli
number = getattr(signal, sys.argv.pop(1))
original = cli.get_command
def get_command(context, name):
    command = original(context, name)
    if sys.argv[1] == "inspect":
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:
            raise ImportError("initialization failed") from error
    atexit.register(lambda: print("cleaned"))
    atexit.register(os.kill, os.getpid(), number)
    return command
cli.get_command = get_command
cli()
"""


def _signalled(number: str, command: str, prepare: Callable[[], object]) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", _SIGNALLED, number, command, "--help"]
    return subprocess.run(arguments, capture_output=True, text=True, preexec_fn=prepare)


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("command", ["decode", "inspect"])
def test_a_signal_that_an_exception_does_not_carry(number, status, command):
    """In an exit handler it would be printed and lost; an extension that is being imported makes another one of it."""
    ended = _signalled(number, command, tools.heed_sigint)
    assert (ended.returncode, ended.stderr) == (status, "")
    assert command == "inspect" or ended.stdout.endswith("cleaned\n")


def test_an_ignored_signal_stays_ignored():
    """As of a program in the background of a script, or under nohup."""
    ended = _signalled("SIGINT", "decode", lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_that_closes_the_output_is_told_nothing(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected()))
    command = [sys.executable, "-m", "tflite_sparse_cli.main", "inspect", path, "--json"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    program.stdout.close()
    assert "error" not in program.communicate()[1]
    assert program.returncode == 1


def test_output_that_cannot_be_written_is_an_error():
    with Path("/dev/full").open("w") as full:
        ended = _ended("decode", "nothing.tflite", stdout=full)  # only "cleaned" goes to standard output
    assert ended.returncode == 120  # the interpreter's code for output that it cannot flush
    assert "No space left" in ended.stderr
