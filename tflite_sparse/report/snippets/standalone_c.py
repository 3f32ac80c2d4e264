"""C that calls a model of ``--target c``."""

from __future__ import annotations

import re

from tflite_sparse.report.snippets.ports import ports_of
from tflite_sparse.report.snippets.templates import render
from tflite_sparse.results.contract import Contract, Language

_C = {"float32": "float", "int8": "int8_t", "int32": "int32_t"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_USUAL_PREFIX = "model"
_FUNCTIONS = ("input", "output", "run", "labels", "input_in", "output_in", "run_in")
"""What follows the prefix in the names that ``model.h`` declares."""
_LANGUAGE: Language = "c"


def snippets(contract: Contract, prefix: str) -> dict[Language, str]:
    """Return C99 that fills the inputs, runs the model and reads the outputs; nothing where generated C lacks a type.

    Args:
        contract: of the file.
        prefix: of the model's functions; where it cannot be one, the usual one.
    """
    name = prefix if _NAME.fullmatch(prefix) else _USUAL_PREFIX
    ports = ports_of(contract, [f"{name}_{each}" for each in _FUNCTIONS])
    if not ports.dtypes <= set(_C):
        return {}
    return {_LANGUAGE: render("standalone.c.j2", ports=ports, types=_C, prefix=name)}
