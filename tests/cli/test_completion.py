"""Test completion in a shell, as the shell asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tools import run_cli

PROGRAM = Path(sys.executable).with_name("tflite-sparse")


def asked(instruction, **variables):
    environment = {**os.environ, "_TFLITE_SPARSE_COMPLETE": instruction, **variables}
    return subprocess.run([PROGRAM], capture_output=True, text=True, env=environment, check=True).stdout


def completed(words):
    return asked("bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)).split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_made(shell):
    assert "_TFLITE_SPARSE_COMPLETE" in asked(f"{shell}_source")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("tflite-sparse e", ["plain,export", "plain,encode"]),
        ("tflite-sparse --de", ["plain,--debug"]),
        ("tflite-sparse export --max", ["plain,--max-accuracy-drop"]),
        ("tflite-sparse export --target m", ["plain,micro"]),
        ("tflite-sparse export --data di", ["plain,digits"]),
        ("tflite-sparse export --data some", ["file,some"]),
        ("tflite-sparse export mod", ["file,mod"]),
    ],
)
def test_what_is_completed(words, found):
    assert completed(words) == found


def test_help_says_how_it_is_turned_on():
    words = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    for shell in ("bash", "zsh", "fish"):
        assert f"_TFLITE_SPARSE_COMPLETE={shell}_source tflite-sparse" in words


@pytest.mark.parametrize(("name", "words"), [("exprot", "Did you mean 'export'?"), ("xyz", "No such command 'xyz'.")])
def test_a_command_that_does_not_exist(name, words):
    found = run_cli(name)
    assert found.code == 2
    assert words in found.stderr
    assert ("Did you mean" in found.stderr) == (name == "exprot")
