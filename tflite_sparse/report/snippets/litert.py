"""Code that runs a file in LiteRT: Python's interpreter, Kotlin's and C++'s CompiledModel."""

from __future__ import annotations

from tflite_sparse.report.snippets.ports import in_signature_order, ports_of
from tflite_sparse.report.snippets.templates import render
from tflite_sparse.results.contract import Contract, Language

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


def snippets(contract: Contract, file: str) -> dict[Language, str]:
    """Return code by language; a language whose API lacks a type of the file is left out.

    Args:
        contract: of the file.
        file: its name, which the code opens.
    """
    ports = ports_of(contract)
    found: dict[Language, str] = {
        "python": render("litert.py.j2", ports=ports, signature=contract.signature, file=file)
    }
    listed = {"inputs": in_signature_order(ports.inputs), "outputs": in_signature_order(ports.outputs)}
    if contract.signature is None:  # CompiledModel runs signatures
        return found
    if ports.dtypes <= set(_KOTLIN):
        found["kotlin"] = render("litert.kt.j2", ports=ports, types=_KOTLIN, file=file, **listed)
    if ports.dtypes <= set(_CPP):
        found["c++"] = render("litert.cc.j2", ports=ports, types=_CPP, file=file, **listed)
    return found
