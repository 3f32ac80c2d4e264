"""Make options of the command line from the fields of settings: name, type, range, default and help."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import click
import pydantic
from pydantic.fields import FieldInfo

from tflite_sparse.settings import Flag, Settings
from tflite_sparse_cli.flags import in_flags, names_of
from tflite_sparse_cli.values import InputShape, Listed, Number, NumberOrWord, WholeNumber, by_name, listed

_NUMBERS: Mapping[type, tuple[type[WholeNumber] | type[Number], str]] = {
    int: (WholeNumber, "INTEGER"),
    float: (Number, "FLOAT"),
}


def options_of(settings: type[Settings], *others: click.Option, order: Sequence[str] = ()) -> list[click.Parameter]:
    """Return the options of a command.

    Args:
        settings: each field becomes an option unless it is hidden.
        others: options that are not settings.
        order: names of fields and others, in the order of help; missing ones follow.

    Raises:
        ValueError: ``order`` has an unknown name.
    """
    fields = {name: field for name, field in settings.model_fields.items() if not _flag(field).hidden}
    names = {"model": "MODEL", **names_of(others), **{name: _option_name(name, fields[name]) for name in fields}}
    made = {name: _option(name, field, names) for name, field in fields.items()}
    made |= {str(option.name): option for option in others}
    unknown = [name for name in order if name not in made]
    if unknown:
        raise ValueError(f"{settings.__name__} has no {', '.join(unknown)}")
    return [made[name] for name in (*order, *(name for name in made if name not in order))]


@dataclass(frozen=True)
class _Kind:
    """The type of a field without None, its constraints, and words that it takes as well."""

    type: Any
    narrowed: tuple[Any, ...]
    words: tuple[str, ...] = ()


def _kind(annotation: Any, metadata: Sequence[Any] = ()) -> _Kind:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _kind(inner, (*metadata, *_constraints(more)))
    if get_origin(annotation) in (Union, types.UnionType):
        inner, *others = (each for each in get_args(annotation) if each is not type(None))
        words = tuple(word for each in others for word in get_args(each))
        found = _kind(inner, metadata)
        return replace(found, words=(*found.words, *words))
    return _Kind(annotation, tuple(metadata))


def _constraints(metadata: Sequence[Any]) -> Sequence[Any]:
    """Return metadata with each ``Field(...)`` replaced by its constraints."""
    return [part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])]


def _flag(field: FieldInfo) -> Flag:
    return next((each for each in field.metadata if isinstance(each, Flag)), Flag())


def _option_name(name: str, field: FieldInfo) -> str:
    return f"--{_flag(field).name or name.replace('_', '-')}"


def _option(name: str, field: FieldInfo, names: Mapping[str, str]) -> click.Option:
    flag, kind = _flag(field), _kind(field.annotation, field.metadata)
    words = in_flags(field.description or "", names)
    if flag.default is not None:
        words += f"  [default: {in_flags(flag.default, names)}]"
    attributes = _value(kind, field.get_default(), flag)
    if flag.metavar is not None:
        attributes["metavar"] = flag.metavar
    spellings = [names[name], name] if flag.letter is None else [f"-{flag.letter}", names[name], name]
    return click.Option(spellings, help=words, **attributes)


def _value(kind: _Kind, default: Any, flag: Flag) -> dict[str, Any]:
    """Return click's arguments for the type of a value."""
    if kind.type is bool:
        return {"is_flag": True, "default": default}
    if get_origin(kind.type) is dict:
        return {"type": InputShape(), "multiple": True, "callback": by_name}
    if get_origin(kind.type) is tuple:
        item = _kind(get_args(kind.type)[0]).type
        return {
            "type": Listed((flag.metavar or "VALUES").lower(), item),
            "default": listed(default),
            "show_default": True,
        }
    return {**_scalar(kind), "default": default, "show_default": default is not None}


def _scalar(kind: _Kind) -> dict[str, Any]:
    if get_origin(kind.type) is Literal:
        return {"type": click.Choice(get_args(kind.type))}
    if kind.type is Path:
        return {"type": click.Path(path_type=Path)}
    if any(isinstance(each, pydantic.BeforeValidator) for each in kind.narrowed) or kind.type is str:
        return {"type": click.STRING}
    range_of, plain = _NUMBERS[kind.type]
    bounds: dict[str, Any] = {}
    for each in kind.narrowed:
        if isinstance(each, annotated_types.Ge):
            bounds |= {"min": each.ge}
        elif isinstance(each, annotated_types.Gt):
            bounds |= {"min": each.gt, "min_open": True}
        elif isinstance(each, annotated_types.Lt):
            limit: Any = each.lt
            bounds |= {"max": limit - 1} if kind.type is int else {"max": limit, "max_open": True}
    number = range_of(**bounds)
    if kind.words:
        return {"type": NumberOrWord(number, kind.words), "metavar": "|".join((plain, *kind.words))}
    return {"type": number, "metavar": plain}  # help shows the range after the default
