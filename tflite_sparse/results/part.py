"""The base class of all results."""

from __future__ import annotations

import pydantic


class Part(pydantic.BaseModel):
    """A result or a part of one: frozen, without unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)
