"""The command that makes a result again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from tflite_sparse.results import data_name
from tflite_sparse.results.export import Report
from tflite_sparse.settings import Flag, PruneSettings, Settings

_IN_MEMORY = "MODEL"
_PRUNED = "pruned.keras"


def model_of(report: Report) -> str | None:
    """Return the model of an export or a fit as a command takes it; None: it was trained by the run itself."""
    return {"training": None, "memory": _IN_MEMORY}.get(report.model_from, report.model)


def line(name: str, model: str | None, data: str | None, settings: Mapping[str, object], kind: type[Settings]) -> str:
    """Return a command as a shell takes it, without options at their defaults.

    Args:
        name: of the command.
        model: see :func:`model_of`.
        data: its name in the report; None: no data.
        settings: of the run, as the report has them; those of other commands are left out.
        kind: the class of these settings.
    """
    words = ["tflite-sparse", name]
    if model is not None:
        words.append(model)
    if data is not None:
        words += ["--data", data_name.given(data)]
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


def prune(model: str | None, data: str, settings: Mapping[str, object], **changed: object) -> str:
    """Return the command that trains a model while it is pruned.

    Args:
        model: see :func:`model_of`.
        data: its name in the report.
        settings: of the export: what says how model and data are read is the same for ``prune``.
        **changed: settings of ``prune`` with other values.
    """
    return f"{line('prune', model, data, {**settings, **changed}, PruneSettings)} -o {_PRUNED}"
