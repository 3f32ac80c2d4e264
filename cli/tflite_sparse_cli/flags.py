"""Settings as the command line spells them.

The library writes the names of its settings and parameters between backticks, in help and in errors: `` `int8=True` ``
is ``--int8`` here, `` `io="float32"` `` is ``--io float32``, and `` `model` `` the argument ``MODEL``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

import click

from tflite_sparse_cli.values import listed

_SETTING = re.compile(r"`(?P<name>\w+)(?:=(?P<value>[^`]*))?`")


def in_flags(text: str, names: Mapping[str, str]) -> str:
    """A text with flags for the settings in it; what ``names`` does not have stays as it is.

    Args:
        text: with settings between backticks.
        names: the flag of each setting, or the name of an argument.
    """

    def spelled(found: re.Match[str]) -> str:
        name = names.get(found["name"])
        return found[0] if name is None else f"{name}{_value(found['value'])}"

    return _SETTING.sub(spelled, text)


def names_of(parameters: Iterable[click.Parameter]) -> dict[str, str]:
    """How the command line calls each parameter of a command."""
    return {each.name: _name(each) for each in parameters if each.name}


def _name(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name


def _value(text: str | None) -> str:
    if text is None:
        return ""
    try:
        value: Any = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return f" {text}"
    if value is True:
        return ""
    if isinstance(value, dict):
        return " " + " ".join(f"{name}={listed(tuple(sizes))}" for name, sizes in value.items())
    return f" {listed(value)}" if isinstance(value, tuple) else f" {value}"
