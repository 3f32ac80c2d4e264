"""The program ``tflite-sparse``: one command a file, no logic of its own."""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType

import click

from tflite_sparse.errors import TfliteSparseError, one_line
from tflite_sparse_cli.bench import bench
from tflite_sparse_cli.decode import decode
from tflite_sparse_cli.encode import encode
from tflite_sparse_cli.export import export
from tflite_sparse_cli.inspect import inspect
from tflite_sparse_cli.prune import prune
from tflite_sparse_cli.report import report
from tflite_sparse_cli.sweep import sweep
from tflite_sparse_cli.verify import verify

_INTERRUPTED, _TERMINATED, _INTERNAL_ERROR = 130, 143, 70


class _Program(click.Group):
    """Turns whatever ends a command early into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: every error becomes one line
            if ctx.params.get("debug"):
                traceback.print_exc()
            message, code = _in_words(error)
            click.echo(f"error: {message}", err=True)
            sys.exit(code)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tflite-sparse", prog_name="tflite-sparse")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Make models small for phones and microcontrollers: sparse .tflite files, and what they cost."""
    del debug  # read from the context where an error is shown


for command in (export, prune, encode, decode, inspect, verify, bench, sweep, report):
    cli.add_command(command)


def _in_words(error: Exception) -> tuple[str, int]:
    if isinstance(error, TfliteSparseError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}.", TfliteSparseError.exit_code
    if isinstance(error, MemoryError):
        return "out of memory.", TfliteSparseError.exit_code
    return (
        f"{type(error).__name__}: {one_line(error)} (a defect: please report it with what --debug shows)",
        _INTERNAL_ERROR,
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    """End by unwinding, so that temporary folders are removed."""
    del number, frame
    sys.exit(_TERMINATED)


if __name__ == "__main__":
    cli()
