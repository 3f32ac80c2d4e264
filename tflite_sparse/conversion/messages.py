"""Shorten the error messages of TensorFlow and its converter to their cause."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tflite_sparse.errors import without_colours

_MOST_CHARACTERS = 300
_NAMES_AN_OPERATOR = re.compile(r"'[\w.]+' op\b|\bfor op\b")
_SAYS_NO_MORE = "failed while converting"


def in_short(error: BaseException) -> str:
    """Return the message on one line of at most 300 characters and three dots, a sentence naming an operator first.

    AutoGraph's traceback and MLIR's locations (one for each call that leads to an operator) precede the cause and are
    dropped.
    """
    text = without_colours(str(error))
    found = list(dict.fromkeys(_errors_of_mlir(text)))
    if found:
        telling = [each for each in found if _SAYS_NO_MORE not in each] or found
        text = "; ".join(sorted(telling, key=lambda each: _NAMES_AN_OPERATOR.search(each) is None))
    elif "in user code:" in text:
        text = _without_frames(text)
    text = " ".join(text.split())
    if len(text) > _MOST_CHARACTERS:
        return text[:_MOST_CHARACTERS] + " ..."
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _without_frames(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    frames = {i for i, line in enumerate(lines) if line.lstrip().startswith('File "')}
    return "\n".join(
        line for i, line in enumerate(lines) if i not in frames and i - 1 not in frames and "in user code:" not in line
    )


def _errors_of_mlir(text: str) -> Iterator[str]:
    """Yield the sentences of ``error: loc(callsite(fused["Kind:", "path/of/operator@function"] at ...)): sentence``."""
    for start in (match.end() for match in re.finditer(r"error: (?=loc\()", text)):
        end = _closing(text, start + len("loc"))
        sentence = text[end:].partition("\n")[0].strip(": ")
        operator = re.search(r'", "([^"@]+)', text[start:end])
        yield sentence if operator is None else f"{sentence} (at {operator[1]})"


def _closing(text: str, start: int) -> int:
    """Return the index after the bracket that closes the one at ``start``, or the end of the text."""
    depth = 0
    for place, character in enumerate(text[start:], start):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place + 1
    return len(text)
