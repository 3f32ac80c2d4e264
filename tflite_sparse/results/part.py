"""What all results have in common."""

from __future__ import annotations

import pydantic


class Part(pydantic.BaseModel):
    """A result or a part of one: frozen, and without keys that it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)
