"""The program ``tflite-sparse``: one command a file, no logic of its own."""

from __future__ import annotations

import atexit
import codecs
import difflib
import importlib
import io
import itertools
import os
import sys
import traceback
from typing import Any

import click
from click.shell_completion import CompletionItem

from tflite_sparse.base import imports
from tflite_sparse.errors import TfliteSparseError, one_line
from tflite_sparse_cli.flags import in_flags, names_of
from tflite_sparse_cli.signals import Signals

_COMMANDS = {
    "export": "Export a Keras model, sparse and verified.",
    "prune": "Train a Keras model to be sparse.",
    "fit": "Make the most accurate file under a budget of bytes.",
    "sweep": "Compare large sparse with small dense models of equal size.",
    "encode": "Make a .tflite file as small as LiteRT takes it.",
    "decode": "Make a sparse .tflite file dense again.",
    "inspect": "Show what a .tflite file holds and who loads it.",
    "verify": "Compare two .tflite files, weights and outputs.",
    "bench": "Measure .tflite files side by side.",
    "report": "Make report.html again, and open it.",
}
"""Summary of each command, which is the function of this name in the module of this name."""

_ON_FILES = frozenset({"encode", "decode", "inspect", "verify", "bench", "report"})
_OF_SHORT_RUNS = {
    "OPENBLAS_NUM_THREADS": "1",  # NumPy starts a thread a core when it is imported; nothing here multiplies matrices
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # else it reads the metadata of every installed package to find some
}
"""Variables for commands on files, whose run is mostly start; what the user has set stays."""

_INTERRUPTED, _INTERNAL_ERROR = 130, 70
_ESCAPED = "tflite_sparse_escaped"


class _Program(click.Group):
    """Imports commands on demand, and converts errors and interrupts to one line and an exit code."""

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Run the program; entry point of ``tflite-sparse`` in a shell."""
        signals = Signals()
        ending = _Ending(signals)
        atexit.register(ending.now)  # registered first, so called last
        imports.freeze()
        _escape_what_the_output_lacks()
        try:
            return super().__call__(*args, obj=signals, **kwargs)
        except SystemExit as end:
            signals.set_the_status()
            ending.status = end.code if isinstance(end.code, int) else None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of help."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _ON_FILES and "numpy" not in sys.modules:
            for name, value in _OF_SHORT_RUNS.items():
                os.environ.setdefault(name, value)
        with imports.uncollected():
            command: click.Command = getattr(importlib.import_module(f"tflite_sparse_cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for; a name close to one is told.

        An empty argument would be the current folder where a path is meant, and is none of any other value.
        """
        for before, each in itertools.pairwise(["", *args]):
            name, equals, value = each.partition("=")
            if not each or (each.startswith("--") and equals and not value):
                option = name or before
                what = f"The value of {option}" if option.startswith("-") else "An argument"
                raise click.UsageError(f"{what} is empty: is a variable of the shell not set?", ctx)
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return names of commands and options, without importing the commands."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        found = [CompletionItem(name, help=words) for name, words in _COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands for help, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        signals = ctx.ensure_object(Signals)
        signals.raise_exceptions()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes one line
            if signals.status is not None:  # an extension that was being imported makes it another exception
                sys.exit(signals.status)
            if ctx.params.get("debug"):
                traceback.print_exc()
            message, code = _in_words(error)
            click.echo(f"error: {self._in_flags(message, ctx)}", err=True)
            sys.exit(code)

    def _in_flags(self, message: str, ctx: click.Context) -> str:
        """Return a message with settings replaced by flags: of the command, else of another one with this setting."""
        if "`" not in message:
            return message
        own = ctx.invoked_subcommand
        for name in sorted(_COMMANDS, key=lambda name: name != own):
            command = self.get_command(ctx, name)
            message = message if command is None else in_flags(message, names_of(command.params))
        return message


def _escape_what_the_output_lacks() -> None:
    r"""Let names print that standard output cannot encode, as in a pipe of Windows: as ``\u65e5``, which JSON reads."""
    codecs.register_error(_ESCAPED, _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):  # not where the shell closed it
        sys.stdout.reconfigure(errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2)), error.end


class _Ending:
    """Ends the process without destructors, which take over a second of TensorFlow and a tenth of a short run.

    Attributes:
        status: exit status; None: the interpreter ends the process.
    """

    def __init__(self, signals: Signals) -> None:
        self.status: int | None = None
        self._signals = signals

    def now(self) -> None:
        """End the process after writing buffered output; on failure, leave it to the interpreter to report."""
        status = self.status if self._signals.status is None else self._signals.status
        if status is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:  # as where the shell closed it: >&-
                    stream.flush()
        except OSError:
            return
        os._exit(status)


_COMPLETION = """\b
Complete commands, options and data sets in your shell: put into its start file
  bash: eval "$(_TFLITE_SPARSE_COMPLETE=bash_source tflite-sparse)"
  zsh:  eval "$(_TFLITE_SPARSE_COMPLETE=zsh_source tflite-sparse)"
  fish: _TFLITE_SPARSE_COMPLETE=fish_source tflite-sparse | source
"""


@click.group(
    cls=_Program, epilog=_COMPLETION, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="tflite-sparse", prog_name="tflite-sparse")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Make models small for phones and microcontrollers: sparse .tflite files, and what they cost."""
    del debug  # :meth:`_Program.invoke` reads it from the context


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


if __name__ == "__main__":
    cli()
