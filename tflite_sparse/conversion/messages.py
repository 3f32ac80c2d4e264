"""What TensorFlow and its converter say when they fail, in the words that tell most."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tflite_sparse.errors import without_colours

_MOST_CHARACTERS = 300
_NAMES_AN_OPERATOR = re.compile(r"'[\w.]+' op\b|\bfor op\b")
_SAYS_NO_MORE = "failed while converting"


def in_short(error: BaseException) -> str:
    """The message on one line of at most 300 characters and three dots, the sentence that names an operator first.

    AutoGraph's traceback comes before the cause and would hide it, as would MLIR's locations, one for every call that
    leads to an operator.
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
    """The sentences of ``error: loc(callsite(fused["Kind:", "path/of/operator@function"] at ...)): sentence``."""
    for start in (match.end() for match in re.finditer(r"error: (?=loc\()", text)):
        end = _closing(text, start + len("loc"))
        sentence = text[end:].partition("\n")[0].strip(": ")
        operator = re.search(r'", "([^"@]+)', text[start:end])
        yield sentence if operator is None else f"{sentence} (at {operator[1]})"


def _closing(text: str, start: int) -> int:
    """The place behind the bracket that closes the one at ``start``; the end of the text if none does."""
    depth = 0
    for place, character in enumerate(text[start:], start):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place + 1
    return len(text)
