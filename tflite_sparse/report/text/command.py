"""The command that makes a result again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath

from tflite_sparse.settings import Flag, Settings


def line(name: str, model: str, data: str | None, settings: Mapping[str, object], kind: type[Settings]) -> str:
    """Return a command as a shell takes it, without options at their defaults.

    Args:
        name: of the command.
        model: its name in the report; one that is no file was in memory and is written ``MODEL``.
        data: its name in the report; None: no data.
        settings: of the run, as the report has them.
        kind: the class of these settings.
    """
    words = ["tflite-sparse", name, model if PurePath(model).suffix or "/" in model else "MODEL"]
    if data is not None:
        words += ["--data", data]
    for field, about in kind.model_fields.items():
        flag = next((each for each in about.metadata if isinstance(each, Flag)), Flag())
        value = settings.get(field)
        default = about.get_default(call_default_factory=True)
        plain = tuple(value) if isinstance(value, list) else value  # JSON has no tuples
        if flag.hidden or value is None or plain == default or value == str(default):
            continue
        option = f"--{flag.name or field.replace('_', '-')}"
        if isinstance(value, Mapping):
            for key, shape in value.items():
                words += [option, f"{key}={','.join(map(str, shape))}"]
        elif value is True:
            words.append(option)
        else:
            words += [option, ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]
    return shlex.join(words)
