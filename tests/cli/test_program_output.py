"""Test the program with empty arguments, and an output that is closed or that cannot encode every name."""

import io
import json
import os
import signal
import sys

import pytest

from helpers.tools import run_cli
from tflite_sparse_cli import main
from tflite_sparse_cli.signals import Signals


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_the_output_cannot_encode_are_escaped_as_json_reads_them(encoding, monkeypatch):
    name = "ä 日本 😀 \udcff"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    main._escape_what_the_output_lacks()
    print(f'"{name}"', end="", flush=True)
    assert json.loads(sys.stdout.buffer.getvalue().decode(encoding)) == name


def test_a_closed_output_is_no_error(monkeypatch):
    statuses = []
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(os, "_exit", statuses.append)
    main._escape_what_the_output_lacks()
    ending = main._Ending(Signals())
    ending.status = 3
    ending.now()
    assert statuses == [3]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["export", "", "--int8"], "An argument"),
        (["export", "m.keras", "--int8", "--out", ""], "The value of --out"),
        (["export", "m.keras", "--out="], "The value of --out"),
        (["encode", "in.tflite", "-o", ""], "The value of -o"),
        (["inspect", ""], "An argument"),
        ([""], "An argument"),
    ],
)
def test_an_empty_argument_is_no_path(arguments, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = run_cli(*arguments)
    assert run.code == 2
    assert f"{what} is empty: is a variable of the shell not set?" in run.stderr
    assert not list(tmp_path.iterdir())


def test_an_interrupt_after_which_a_command_went_on_is_not_its_status(monkeypatch):
    """Ctrl-C ends a training of `export` early, which then writes its files."""
    handlers = {}
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)  # a background job ignores SIGINT
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    signals = Signals()
    signals.raise_exceptions()
    with pytest.raises(KeyboardInterrupt):
        handlers[signal.SIGINT](signal.SIGINT, None)
    assert signals.status == 130
    signals.set_the_status()
    assert signals.status is None
    handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert signals.status == 143
