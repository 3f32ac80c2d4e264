"""Render reports as single HTML files with styles, pictures and the one script inside.

The content security policy of a page forbids the browser to load anything. So even a name from a model file that passed
the escaping could neither run nor load code.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tflite_sparse.report.text.table import Table

if TYPE_CHECKING:
    import jinja2


def render(template: str, **view: object) -> str:
    """Render a template of this package.

    Args:
        template: its file name.
        **view: its variables. Text is escaped.
    """
    environment = _environment()
    script = environment.loader.get_source(environment, "page.js")[0]  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(script=script, script_hash=digest, **view) + "\n"


def data_uri(png: bytes) -> str:
    """Return a picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def pairs(heading: str, values: Mapping[str, object]) -> Table:
    """Return a table of names and values without those that are None."""
    rows = tuple((name, str(value)) for name, value in values.items() if value is not None)
    return Table((heading, "value"), rows, frozenset({heading}))


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("tflite_sparse.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
