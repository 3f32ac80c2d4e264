"""The base class of all settings: frozen, typed, refuses unknown keys and values out of range."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pydantic
from pydantic import ConfigDict

from tflite_sparse.errors import SettingsError


@dataclass(frozen=True)
class Flag:
    """Metadata of a field for the command line, where name and type do not determine the option.

    Attributes:
        name: of the option, without dashes. None: that of the field, with ``-`` for ``_``.
        metavar: placeholder of the value, such as ``FILE.py:FUNCTION``. None: derived from the type.
        default: words for a default that is known only at run time, such as ``"a tenth of the steps"``.
        hidden: whether only Python has the setting.
        letter: a short form of the option, without its dash.
    """

    name: str | None = None
    metavar: str | None = None
    default: str | None = None
    hidden: bool = False
    letter: str | None = None


class Settings(pydantic.BaseModel):
    """Base of all settings.

    The ``description`` of each field becomes the help of the command line and of the Python functions. Descriptions and
    errors name settings, and parameters such as the model, between backticks; the command line turns them into flags.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            found = error.errors()
            inner = {detail["loc"][0] for detail in found if len(detail["loc"]) > 1}
            # pydantic also reports a tuple with refused items as too short.
            reported = [each for each in found if each["type"] != "too_short" or each["loc"][0] not in inner]
            known = type(self).model_fields
            raise SettingsError("; ".join(_in_words(detail, known) for detail in reported)) from None


def _in_words(detail: Any, known: Iterable[str]) -> str:
    message = str(detail["msg"])
    own = message.removeprefix("Value error, ")
    if not detail["loc"]:
        return own
    name = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        return f"unknown setting {name!r}: " + (f"did you mean `{near[0]}`?" if near else f"take {', '.join(known)}.")
    return f"`{name}={detail['input']!r}`: {message[:1].lower() + message[1:] if own == message else own}"
