"""Write docs/cli.md from the program itself: ``python docs/generate_cli.py``. A test checks that it is up to date."""

from __future__ import annotations

from pathlib import Path

import click

from tflite_sparse_cli.main import cli

TARGET = Path(__file__).with_name("cli.md")
_WIDTH = 100


def reference() -> str:
    """The whole reference as Markdown."""
    program = _context(cli, "tflite-sparse", None)
    parts = [
        "# Command line",
        "Generated from the program by `python docs/generate_cli.py`.",
        _section(program),
    ]
    for name in sorted(cli.list_commands(program)):
        command = cli.get_command(program, name)
        assert command is not None
        parts.append(_section(_context(command, name, program)))
    return "\n\n".join(parts) + "\n"


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _section(context: click.Context) -> str:
    return f"## {context.command_path}\n\n```text\n{context.get_help()}\n```"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
