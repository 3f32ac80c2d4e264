"""Run programs and keep their output."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from checks.errors import CheckError
from checks.places import LOGS

_SHOWN_LINES = 30

Command = Sequence[str | Path]
"""A program and its arguments."""


def run(
    name: str,
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program, and return its stdout and stderr together.

    Args:
        name: of the log file, which keeps command and output.
        command: program and arguments.
        environment: variables added to those of this process.
        folder: where it runs.

    Raises:
        CheckError: it is missing or its exit code is not 0.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            cwd=folder,
            check=False,
        )
    except FileNotFoundError as error:
        raise CheckError(f"{words[0]} is not installed") from error
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    log.write_text(f"$ {shlex.join(words)}\n{done.stdout}", encoding="utf-8")
    if done.returncode != 0:
        shown = "\n".join(done.stdout.splitlines()[-_SHOWN_LINES:])
        raise CheckError(f"{name}: exit code {done.returncode}; all of it in {log}\n{shown}")
    return done.stdout
