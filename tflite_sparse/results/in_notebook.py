"""How results look in Python: a short ``repr``, and tables in notebooks, made of names and values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pydantic

_LONGEST_IN_REPR, _LONGEST_IN_CELL = 60, 200
_MOST_IN_REPR = 4  # values of a part within a part
_MOST_ROWS = 100


class _Omitted:
    """Stands in a ``repr`` for what is left out."""

    def __repr__(self) -> str:
        return "..."


def short(part: pydantic.BaseModel) -> Iterator[tuple[str | None, object]]:
    """Yield names and values for ``repr``: single values, and parts that hold few and nothing else."""
    is_whole = True
    for name, value in _set(part):
        if _is_single(value):
            yield name, _shortened(value)
        elif isinstance(value, pydantic.BaseModel) and _is_small(value):
            yield name, value
        else:
            is_whole = False
    if not is_whole:
        yield None, _Omitted()


def html_of(part: pydantic.BaseModel) -> str:
    """Return a result as HTML; text in it is escaped."""
    return f"<div><strong>{type(part).__name__}</strong>{_fields(dict(_set(part)))}</div>"


def _set(part: pydantic.BaseModel) -> Iterator[tuple[str, object]]:
    """Fields that say something: neither None nor empty nor at their default."""
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value is not None and value not in ([], {}, (), "") and value != field.get_default():
            yield name, value


def _is_small(part: pydantic.BaseModel) -> bool:
    values = [value for _, value in _set(part)]
    return len(values) <= _MOST_IN_REPR and all(map(_is_single, values))


def _is_single(value: object) -> bool:
    return isinstance(value, str | int | float)


def _shortened(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, str) and len(value) > _LONGEST_IN_REPR:
        return f"{value[:_LONGEST_IN_REPR]}..."
    return value


def _fields(values: Mapping[str, object]) -> str:
    single = {name: value for name, value in values.items() if _is_single(value) or _is_line(value)}
    rows = "".join(
        f"<tr><th style='text-align:left'>{_text(n)}</th><td>{_text(v)}</td></tr>" for n, v in single.items()
    )
    folded = "".join(_folded(name, value) for name, value in values.items() if name not in single)
    return f"<table>{rows}</table>{folded}" if rows else folded


def _is_line(value: object) -> bool:
    """Whether a sequence goes into one cell: a shape, a few names."""
    return (
        isinstance(value, list | tuple)
        and all(map(_is_single, value))
        and sum(len(str(each)) + 2 for each in value) <= _LONGEST_IN_CELL
    )


def _folded(name: str, value: object) -> str:
    count = ""
    if isinstance(value, pydantic.BaseModel):
        fields = dict(_set(value))
        inner = _table(fields) if _are_rows(list(fields.values())) else _fields(fields)
    elif isinstance(value, Mapping):
        inner = _fields({str(key): each for key, each in value.items() if each is not None})
    elif isinstance(value, list | tuple):
        count = f" ({len(value)})"
        first = list(value[:_MOST_ROWS])
        numbered = {str(number): each for number, each in enumerate(first)}
        inner = _table(numbered) if _are_rows(first) else _fields(numbered)
        inner += f"<p>... and {len(value) - len(first)} more</p>" if len(value) > len(first) else ""
    else:
        inner = _text(value)
    return f"<details><summary>{_text(name)}{count}</summary>{inner}</details>"


def _are_rows(values: Sequence[object]) -> bool:
    """Whether values are parts of one kind, which make a table."""
    return len({type(each) for each in values}) == 1 and isinstance(values[0], pydantic.BaseModel)


def _table(parts: Mapping[str, object]) -> str:
    rows = {name: dict(_set(part)) for name, part in parts.items() if isinstance(part, pydantic.BaseModel)}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><th>{_text(name)}</th>{''.join(f'<td>{_cell(row.get(column))}</td>' for column in columns)}</tr>"
        for name, row in rows.items()
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, pydantic.BaseModel):
        return ", ".join(f"{_text(name)} {_cell(each)}" for name, each in _set(value))
    return "" if value is None else _text(value)


def _text(value: object) -> str:
    import html  # every command imports this module

    if isinstance(value, list | tuple):
        value = ", ".join(map(_plain, value))
    text = _plain(value)
    return html.escape(text if len(text) <= _LONGEST_IN_CELL else f"{text[:_LONGEST_IN_CELL]}...")


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else str(value)
