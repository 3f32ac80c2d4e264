"""Look up which sparse weights each LiteRT takes, in the measured table ``litert_acceptance.json``.

``benchmarks/acceptance.py`` makes it: it runs small models, dense and with one weight sparse, through every listed
version of ai-edge-litert and TensorFlow. A form is accepted if all of them take it, so that a file loads everywhere.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TypedDict

BEHIND_DENSIFY = ""
"""The form of a weight that a DENSIFY rebuilds in front of the operator."""

NATIVE = "native"
"""The form of a weight that the operator reads sparse itself."""

FLOAT32_BIAS = "float32 bias"
"""The form of a float16 weight behind DENSIFY and DEQUANTIZE whose reader has a float32 bias."""

_FILE = "litert_acceptance.json"
_VERSION = 1
_PACKAGES = {"ai-edge-litert": "LiteRT", "tensorflow": "TensorFlow"}
_KERNELS = {
    "default": "default interpreter",
    "builtin": "interpreter without delegates",
    "compiled_model": "CompiledModel",
}
_VERBS = {"refused": "refuses", "differs": "yields other outputs for", "crashed": "crashes on"}


@dataclass(frozen=True, slots=True)
class Case:
    """One measured model.

    Attributes:
        operator: reader of the weight, as named in the schema.
        position: index of its input that holds the weight.
        weight: dtype of the weight.
        data: dtype of the data; None if they are indices, or there are none.
        form: storage of the weight, one of the constants of this module.
        variant: further properties, in words.
        outcomes: for each runtime (``"ai-edge-litert 2.3.0"``) and each kind of its kernels (``"default"``, with
            XNNPACK, ``"builtin"``, without, ``"compiled_model"``): ``"exact"``, the dense model's bits; ``"differs"``;
            ``"refused"``, with an error; ``"crashed"``; ``"dense_refused"``, the dense model does not run either, so
            nothing is known.
    """

    operator: str
    position: int
    weight: str
    data: str | None
    form: str
    variant: str
    outcomes: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """The whole table: the day of the measurement, the runtimes (the newest LiteRT last), the cases."""

    measured: str
    runtimes: tuple[str, ...]
    cases: tuple[Case, ...]


@functools.cache
def table() -> Table:
    """Return the table, read once."""
    content = json.loads(resources.files(__package__).joinpath(_FILE).read_bytes())
    if content["version"] != _VERSION:
        raise ValueError(f"{_FILE} has version {content['version']}, {_VERSION} is expected.")
    return Table(content["measured"], tuple(content["runtimes"]), tuple(_case(entry) for entry in content["cases"]))


def accepted(operator: str, position: int, weight: str, data: str | None, form: str = BEHIND_DENSIFY) -> bool:
    """Return whether every runtime takes the weight sparse and yields the dense model's bits.

    Args:
        operator: reader of the weight, as named in the schema.
        position: index of its input that holds the weight.
        weight: dtype of the weight, as named by NumPy.
        data: dtype of the operator's data; None if they are indices (GATHER), or there are none (DEQUANTIZE).
        form: storage of the weight, one of the constants of this module.
    """
    return refusal(operator, position, weight, data, form) is None


@functools.cache
def refusal(operator: str, position: int, weight: str, data: str | None, form: str = BEHIND_DENSIFY) -> str | None:
    """Return why the weight stays dense, in one line that names a runtime that does not take it; or None.

    The arguments are those of :func:`accepted`.
    """
    key = (operator, position, weight, data, form)
    cases = [c for c in table().cases if (c.operator, c.position, c.weight, c.data, c.form) == key]
    if not cases:
        return f"no runtime was tried with a sparse {weight} constant as input {position} of {operator}"
    conclusive = [found for found in _results(cases) if found[:2] not in _dense_only() and found[2] != "dense_refused"]
    if not conclusive:
        return f"no runtime runs {operator} with {weight} weights, dense or sparse"
    failures = [found for found in conclusive if found[2] != "exact"]
    if not failures:
        return None
    runtime, kernels, result = max(failures, key=lambda found: table().runtimes.index(found[0]))
    return f"{_name(runtime)}'s {_KERNELS[kernels]} {_VERBS[result]} {_in_words(operator, weight, data, form)}"


@functools.cache
def _dense_only() -> frozenset[tuple[str, str]]:
    """Return the runtimes and kernels that take no sparse weight (the first CompiledModels) and so are not counted."""
    results = list(_results(table().cases))
    return frozenset(found[:2] for found in results) - {found[:2] for found in results if found[2] == "exact"}


def _results(cases: Iterable[Case]) -> Iterator[tuple[str, str, str]]:
    """Yield (runtime, kernels, result) of each run of these cases."""
    for case in cases:
        for runtime, results in case.outcomes.items():
            for kernels, result in results.items():
                yield runtime, kernels, result


class _Entry(TypedDict):
    """A case in the JSON file."""

    operator: str
    position: int
    weight: str
    data: str | None
    variant: str
    outcomes: dict[str, dict[str, str]]


def _case(entry: _Entry) -> Case:
    form, _, variant = entry["variant"].rpartition(": ")
    return Case(entry["operator"], entry["position"], entry["weight"], entry["data"], form, variant, entry["outcomes"])


def _in_words(operator: str, weight: str, data: str | None, form: str) -> str:
    of_data = "" if data in (None, weight) else f"{data} data and "
    of_form = {NATIVE: " that it reads itself", FLOAT32_BIAS: ", whose reader has a float32 bias"}.get(form, "")
    return f"{operator} with {of_data}a sparse {weight} weight{of_form}"


def _name(runtime: str) -> str:
    package, _, version = runtime.partition(" ")
    return f"{_PACKAGES[package]} {version}"
