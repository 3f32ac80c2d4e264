"""Types of option values that click lacks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click


class WholeNumber(click.IntRange):
    """An int. Help shows its range; the settings check it, with the same error as in Python."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, even if out of range."""
        return click.INT.convert(value, param, ctx)


class Number(click.FloatRange):
    """A float. Help shows its range; the settings check it, with the same error as in Python."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, even if out of range."""
        return click.FLOAT.convert(value, param, ctx)


class NumberOrWord(click.ParamType[Any]):
    """A number, or one of some words: ``5``, ``auto``."""

    name = "number or word"

    def __init__(self, number: click.ParamType[Any], words: tuple[str, ...]) -> None:
        self._number = number
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word, or the number even if out of range."""
        return value if value in self._words else self._number.convert(value, param, ctx)


class InputShape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """An input's name and whole shape."""

    name = "NAME=1,16000"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, which may contain ``=``, and the sizes."""
        if not isinstance(value, str):
            return value
        name, _, sizes = value.rpartition("=")
        if not name or not re.fullmatch(r"[1-9][0-9]*( *, *[1-9][0-9]*)*", sizes.strip()):
            self.fail(f"{value!r}: give an input and its whole shape, batch included, as x=1,16000.", param, ctx)
        return name, tuple(int(size) for size in sizes.split(","))


def by_name(
    ctx: click.Context, param: click.Parameter, values: tuple[tuple[str, tuple[int, ...]], ...]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes, by input name, of an option that is given once for each input."""
    names = [name for name, _ in values]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise click.BadParameter(f"{twice!r} is given twice.", ctx, param)
    return dict(values)


class Listed(click.ParamType[tuple[Any, ...]]):
    """Comma-separated values."""

    def __init__(self, name: str, of: Callable[[str], Any]) -> None:
        self.name = name
        self._of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the values as a tuple."""
        if not isinstance(value, str):
            return value
        try:
            return tuple(self._of(part.strip()) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: give {self.name} with commas between them.", param, ctx)


def listed(values: tuple[Any, ...]) -> str:
    """Return the text that :class:`Listed` converts to ``values``."""
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
