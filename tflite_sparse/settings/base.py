"""The base of all settings: frozen, typed, refusing unknown keys and values out of range."""

from __future__ import annotations

from typing import Any

import pydantic
from pydantic import ConfigDict

from tflite_sparse.errors import SettingsError


class Settings(pydantic.BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            found = error.errors()
            inner = {detail["loc"][0] for detail in found if len(detail["loc"]) > 1}
            # A tuple whose items were refused counts as too short as well.
            told = [each for each in found if each["type"] != "too_short" or each["loc"][0] not in inner]
            raise SettingsError("; ".join(map(_in_words, told))) from None


def _in_words(detail: Any) -> str:
    message = str(detail["msg"])
    own = message.removeprefix("Value error, ")
    if not detail["loc"]:
        return own
    return f"{'.'.join(map(str, detail['loc']))} = {detail['input']!r}: {message.lower() if own == message else own}"
