"""Show the fields of settings as keywords in signature and documentation of functions."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic.fields import FieldInfo

from tflite_sparse.settings.base import Flag, Settings

_Function = TypeVar("_Function", bound=Callable[..., Any])
_WIDTH = 120


def takes(settings: type[Settings], options: type) -> Callable[[_Function], _Function]:
    """Decorate a function that takes ``**settings`` with the fields of settings.

    ``inspect.signature`` then has a keyword with type and default for each, for completion in notebooks; the docstring
    gets a section of them. Type checkers use ``**settings: Unpack[...]`` instead.

    Args:
        settings: class that checks the keywords; fields that are parameters of the function are not repeated.
        options: the ``TypedDict`` of the same names, with the types for callers.
    """

    def document(function: _Function) -> _Function:
        signature = inspect.signature(function)
        types = get_type_hints(options)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        fields = {name: field for name, field in settings.model_fields.items() if name not in signature.parameters}
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=types[name])
            for name, field in fields.items()
        ]
        shown = signature.replace(parameters=[*own, *keywords])
        function.__signature__ = shown  # type: ignore[attr-defined]
        text = "\n".join(_section(fields))
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{text}\n"
        return function

    return document


def in_python(description: str) -> str:
    """Return the description of a field for Python's documentation, with settings marked as code."""
    return re.sub(r"`([^`]+)`", r"``\1``", description)


def _section(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield "Settings:"
    for name, field in fields.items():
        text = f"{name}: {in_python(field.description or '')} Default: {_default_in_words(field)}."
        yield textwrap.fill(text, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _default_in_words(field: FieldInfo) -> str:
    words = next((each.default for each in field.metadata if isinstance(each, Flag)), None)
    if words is not None:
        return in_python(words)
    default = _default(field)
    return f"``{str(default) if isinstance(default, Path) else default!r}``"
