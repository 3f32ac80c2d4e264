"""Ways out of an int8 export that lost too much accuracy, as measured."""

from __future__ import annotations

import pydantic


class Alternative(pydantic.BaseModel):
    """One way out.

    ``accuracy``, ``drop`` (against the dense float32 file) and ``file_bytes`` are those of the sparse file;
    None where it could not be made, and then ``words`` says why.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    option: str
    accuracy: float | None = None
    drop: float | None = None
    file_bytes: int | None = None
    words: str
