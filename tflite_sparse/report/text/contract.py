"""Describe the inputs and outputs of a file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import get_args

from tflite_sparse.errors import ExecutionError
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.contract import Contract, Language, PixelCheck, Port, Range
from tflite_sparse.target_registry import DEFAULT_TARGET, TARGETS, listed

LANGUAGES: dict[Language, str] = dict(zip(get_args(Language), ("Python", "Kotlin", "C++", "C"), strict=True))
"""Names for headings, by the key of a snippet."""

AS_STORED = "0..255"
"""The range of image files and ``uint8`` arrays, which nobody chose for the model."""

_SHOWN_LABELS = 20


def ports(contract: Contract) -> Table:
    """Return a row for each input and output."""
    rows = tuple(
        _row(kind, each)
        for kind, listed in (("input", contract.inputs), ("output", contract.outputs))
        for each in listed
    )
    headings = ("port", "name", "shape", "type", "scale", "zero", "holds", "meaning")
    left = frozenset({"port", "name", "shape", "type", "holds", "meaning"})
    return Table(headings, rows, left, frozenset({"name", "meaning"}), ("holds",))


def lines(contract: Contract) -> list[str]:
    """Return sentences: how to quantise, the ranges of the data, the classes."""
    found = [f"Input {shortened(each.name)}: feed {_fed(each)}{_quantise(each)}." for each in contract.inputs]
    found += [f"Output {shortened(each.name)}: {each.meaning}{_dequantise(each)}." for each in contract.outputs]
    if contract.labels:
        shown = ", ".join(f"{index} {name}" for index, name in enumerate(contract.labels[:_SHOWN_LABELS]))
        more = len(contract.labels) - _SHOWN_LABELS
        found.append(f"Classes: {shown}{f' and {more} more' if more > 0 else ''}.")
    return found


def pointer(contract: Contract, file: str, target: str | None, others: Sequence[str] = ()) -> list[str]:
    """Return the commands that print code for a file, as sentences.

    Args:
        contract: of the file.
        file: its path.
        target: that the code of the contract is for; None: there is no code.
        others: further targets that there is code for.
    """
    if not contract.snippets or target is None:
        return []
    return [
        f"Code that calls it: {_printing(file, target, tuple(contract.snippets))}.",
        *(f"Code for {each}: {_printing(file, each, TARGETS[each].languages)}." for each in others),
    ]


def code(contract: Contract, language: Language, file: str, target: str | None, others: Sequence[str] = ()) -> str:
    """Return the code in a language.

    Args:
        contract: of the file.
        language: the language.
        file: its path.
        target: that the code of the contract is for; None: there is no code.
        others: further targets that load the file.

    Raises:
        ExecutionError: there is none.
    """
    found = contract.snippets.get(language)
    if found is not None:
        return found
    name = LANGUAGES[language]
    having = tuple(each for each in others if language in TARGETS[each].languages)
    if having:
        raise ExecutionError(f"{file}: {name} code is that of another target: add --target {listed(having)}.")
    if target is None or language not in TARGETS[target].languages:
        raise ExecutionError(
            f"{file}: there is no {name} code, for no runtime that has it loads the file; inspect says why."
        )
    others = ", ".join(LANGUAGES[each] for each in contract.snippets)
    raise ExecutionError(
        f"{file}: there is no {name} code, for its runtime lacks that API, a type of an input or output, or the file "
        f"lacks a signature. There is {others}."
    )


def pixels(check: PixelCheck) -> str:
    """Return the range that was fed, and the scores of the float model in each, as a sentence."""
    scores = ", ".join(f"{each.score:.3f} in {each.pixels}" for each in check.scores)
    found = f"Pixels: fed as {check.fed}; {check.metric} of the float model on {check.samples} samples: {scores}."
    if check.told or check.fed != AS_STORED or not check.alike:
        return found
    ranges = " or ".join([check.fed, *check.alike])
    return (
        f"{found} WARNING: accuracy does not tell whether the model was trained on {ranges}. "
        f"The file takes {check.fed}, and so must the app; if that is wrong, give `pixels={check.alike[0]!r}`."
    )


def _printing(file: str, target: str, languages: Sequence[str]) -> str:
    """Return the command that prints code: with its target where ``inspect`` would choose another, or could."""
    traits = TARGETS[target]
    option = f" --target {target}" if target != DEFAULT_TARGET and traits.runs_here else ""
    return f"tflite-sparse inspect {shlex.quote(file)} --snippet {'|'.join(languages)}{option}"


def _row(kind: str, port: Port) -> tuple[str, ...]:
    meaning = port.meaning if port.data is None else f"{port.meaning} ({_range(port.data)} in the data)"
    return (
        f"{kind} {port.index}",
        shortened(port.name),
        "x".join("?" if size < 0 else str(size) for size in port.shape) or "scalar",
        port.dtype,
        "" if port.scale is None else f"{port.scale:.6g}",
        "" if port.zero_point is None else str(port.zero_point),
        "" if port.representable is None else _range(port.representable),
        meaning,
    )


def _fed(port: Port) -> str:
    data = "" if port.data is None else f" ({_range(port.data)} in the data that the file was made with)"
    return f"{port.meaning}{data}"


def _quantise(port: Port) -> str:
    if port.scale is None or port.representable is None:
        return f", as {port.dtype}"
    return (
        f", as {port.dtype}: round(x / {port.scale:.9g}) {_signed(port.zero_point or 0)}, clipped; it holds "
        f"{_range(port.representable)}"
    )


def _dequantise(port: Port) -> str:
    if port.scale is None:
        return f", as {port.dtype}"
    return f", as {port.dtype}: x = (q {_signed(-(port.zero_point or 0))}) * {port.scale:.9g}"


def _signed(number: int) -> str:
    return f"- {-number}" if number < 0 else f"+ {number}"


def _range(found: Range) -> str:
    return f"{found.low:.4g} to {found.high:.4g}"
