"""Render templates of code."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from tflite_sparse.report.snippets.ports import one_line

if TYPE_CHECKING:
    import jinja2


def render(template: str, **view: object) -> str:
    """Render a template of code.

    Args:
        template: its file name in ``templates/snippets``.
        **view: its variables.
    """
    return _environment().get_template(f"snippets/{template}").render(**view).rstrip("\n") + "\n"


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tflite_sparse.report"),
        autoescape=False,  # code, not HTML; names go through the filters
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "python": ascii,
        "kotlin": _kotlin,
        "cpp": _cpp,
        "one_line": one_line,
        "real": _real,
        "plus": _plus,
        "minus": lambda number: _plus(-number),
    }
    return environment


def _kotlin(value: str) -> str:
    return json.dumps(value).replace("$", "\\$")


def _cpp(value: str) -> str:
    """A string literal of C++: bytes of UTF-8 as octal escapes, which cannot swallow a digit that follows."""
    return '"' + "".join(_cpp_byte(byte) for byte in value.encode()) + '"'


def _cpp_byte(byte: int) -> str:
    is_plain = 0x20 <= byte < 0x7F and chr(byte) not in '"\\?'
    return chr(byte) if is_plain else f"\\{byte:03o}"


def _real(value: float) -> str:
    """A float32 as a literal: nine digits tell it from every other one."""
    text = f"{value:.9g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def _plus(number: int) -> str:
    """What follows the left side of a sum."""
    return f"- {-number}" if number < 0 else f"+ {number}"
