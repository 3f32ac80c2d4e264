"""Code that runs a file in LiteRT: Python's interpreter, Kotlin's and C++'s CompiledModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tflite_sparse.report.snippets.ports import in_signature_order, ports_of
from tflite_sparse.report.snippets.templates import render
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.results.late import Late

_KOTLIN = {
    # The array, and the end of the names of methods that write and read it.
    "float32": ("FloatArray", "Float"),
    "int8": ("ByteArray", "Int8"),
    "int32": ("IntArray", "Int"),
    "bool": ("BooleanArray", "Boolean"),
}
"""What LiteRT's ``TensorBuffer`` writes and reads in Kotlin."""

_CPP = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
}


def snippets(contract: Contract, file: str) -> Mapping[Language, str]:
    """Return code by language, written when it is read; a language whose API lacks a type of the file is left out.

    Args:
        contract: of the file.
        file: its name, which the code opens.
    """
    ports = ports_of(contract)
    shared = {"ports": ports, "file": file}
    found: dict[Language, Callable[[], str]] = {
        "python": partial(render, "litert.py.j2", signature=contract.signature, **shared)
    }
    shared |= {"inputs": in_signature_order(ports.inputs), "outputs": in_signature_order(ports.outputs)}
    if contract.signature is not None:  # CompiledModel runs signatures
        if ports.dtypes <= set(_KOTLIN):
            found["kotlin"] = partial(render, "litert.kt.j2", types=_KOTLIN, **shared)
        if ports.dtypes <= set(_CPP):
            found["c++"] = partial(render, "litert.cc.j2", types=_CPP, **shared)
    return Late(found)
