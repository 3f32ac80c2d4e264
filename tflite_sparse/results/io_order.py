"""In which order a file has its inputs and outputs."""

from __future__ import annotations

import pydantic


class IoOrder(pydantic.BaseModel):
    """Names by their index, in the file and in the model that it was made of."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    file_inputs: tuple[str, ...]
    model_inputs: tuple[str, ...]
    file_outputs: tuple[str, ...]
    model_outputs: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether there is one input and one output, so that there is no order."""
        return len(self.file_inputs) <= 1 and len(self.file_outputs) <= 1
