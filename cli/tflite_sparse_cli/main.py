"""The program ``tflite-sparse``: one command a file, no logic of its own."""

from __future__ import annotations

import sys
import traceback

import click

from tflite_sparse.errors import TfliteSparseError
from tflite_sparse_cli.export import export


class _Program(click.Group):
    """Turns the library's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (TfliteSparseError, OSError, MemoryError) as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"error: {_in_words(error)}", err=True)
            sys.exit(getattr(error, "exit_code", 2))


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tflite-sparse", prog_name="tflite-sparse")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Make Keras models small for phones and microcontrollers: sparse .tflite files, and what they cost."""
    del debug  # read from the context where an error is shown


cli.add_command(export)


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}."
    if isinstance(error, MemoryError):
        return "out of memory."
    return str(error)


if __name__ == "__main__":
    cli()
