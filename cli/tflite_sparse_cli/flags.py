"""Convert names of settings in texts to flags of the command line.

The library writes the names of its settings and parameters between backticks, in help and in errors: `` `int8=True` ``
is ``--int8`` here, `` `io="float32"` `` is ``--io float32``, and `` `model` `` the argument ``MODEL``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

import click

_SETTING = re.compile(r"`(?P<name>\w+)(?:\.[\w.]+)?(?:=(?P<value>[^`]*))?`")


def in_flags(text: str, names: Mapping[str, str]) -> str:
    """Return a text with settings replaced by flags; settings that ``names`` does not have are unchanged.

    Args:
        text: with settings between backticks.
        names: the flag of each setting, or the name of an argument.
    """

    def spelled(found: re.Match[str]) -> str:
        name = names.get(found["name"])
        return found[0] if name is None else f"{name}{_value(found['value'])}"

    return _SETTING.sub(spelled, text)


def as_typed(text: str) -> str:
    """Return a text with the flags of the running command."""
    context = click.get_current_context(silent=True) if "`" in text else None
    return text if context is None else in_flags(text, names_of(context.command.params))


def names_of(parameters: Iterable[click.Parameter]) -> dict[str, str]:
    """Return the flag, or name of the argument, of each parameter of a command."""
    return {each.name: _name(each) for each in parameters if each.name}


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.human_readable_name.strip("[]")  # of optional arguments


def _value(text: str | None) -> str:
    if text is None or text == "True":
        return ""
    try:
        return f" {_typed(ast.parse(text, mode='eval').body)}"
    except SyntaxError:
        return f" {text}"


def _typed(node: ast.expr) -> str:
    """Return a Python value as typed after an option; a name is a placeholder for the user's value."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Tuple):
        return ",".join(map(_typed, node.elts))
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return " ".join(f"{_typed(key)}={_typed(value)}" for key, value in pairs if key is not None)
    return ast.unparse(node)
