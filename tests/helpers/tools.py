"""Run the program as a user does."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from tflite_sparse_cli.main import cli


@dataclass(frozen=True)
class Run:
    """The end of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self):
        return json.loads(self.stdout)


def run_cli(*arguments: object) -> Run:
    """Run the program in this process (TensorFlow is imported once), as a shell would."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    return Run(result.exit_code, result.stdout, result.stderr)


def run_program(*arguments: object, cwd: Path, **environment: str) -> Run:
    """Run the installed program in a process of its own."""
    program = Path(sys.executable).with_name("tflite-sparse")
    done = subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return Run(done.returncode, done.stdout, done.stderr)


def heed_sigint() -> None:
    """Restore SIGINT in a child (``preexec_fn``), which ignores it where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
