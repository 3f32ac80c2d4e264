"""The base class of all results."""

from __future__ import annotations

from collections.abc import Iterator

import pydantic

from tflite_sparse.results import in_notebook


class Part(pydantic.BaseModel):
    """A result or a part of one: frozen, without unknown keys. ``model_dump_json()`` has all of it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """Yield what a short ``repr`` shows: single values, and parts that hold nothing else."""
        yield from in_notebook.short(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: every value, tables folded."""
        return in_notebook.html_of(self)
