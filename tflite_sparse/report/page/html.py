"""Reports as single HTML files: styles, pictures and the one script are in the file, and nothing is loaded.

The content security policy of a page says so to the browser: a name in a model file that were to slip through the
escaping could neither run nor load anything.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tflite_sparse.report.text.export import Table

if TYPE_CHECKING:
    import jinja2


def render(template: str, **view: object) -> str:
    """A page of the templates in this package.

    Args:
        template: its file name.
        **view: what it shows. Text is escaped.
    """
    environment = _environment()
    script = environment.loader.get_source(environment, "page.js")[0]  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(script=script, script_hash=digest, **view) + "\n"


def data_uri(png: bytes) -> str:
    """A picture inside of a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def pairs(heading: str, values: Mapping[str, object]) -> Table:
    """A table of names and values; those that are None are left out."""
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
