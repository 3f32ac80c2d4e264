"""Types and named defaults of settings."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from tflite_sparse.codecs.names import MicroCodec as MicroCodec
from tflite_sparse.target_registry import BenchedTarget as BenchedTarget
from tflite_sparse.target_registry import FittedTarget as FittedTarget
from tflite_sparse.target_registry import RunnableTarget as RunnableTarget
from tflite_sparse.target_registry import Target as Target

DEFAULT_OUT = Path("tflite-sparse-out")
DEFAULT_SWEEP_OUT = Path("tflite-sparse-sweep")
DEMO_SPARSITY = 0.875
DEMO_DATA = "mnist-5k"
DEFAULT_DROP = 0.01
ANY_DROP = 1e9
"""An accuracy gate that every drop passes; drops of the metrics mse and psnr may exceed 1."""

Optimize = Literal["size", "latency"]
Alternatives = Literal["auto", "all", "none"]
Activations = Literal["int8", "int16", "float32"]
Calibration = Literal["min-max", "percentile", "mse"]
DenseScales = Literal["per-channel", "per-tensor"]
Recurrent = Literal["auto", "loop", "unroll", "step"]
Schedule = Literal["polynomial", "constant"]
Scope = Literal["layer", "global"]
Grid = Literal["full", "families"]
Pixels = Literal["0..255", "0..1", "-1..1"]
Kernels = Literal["default", "builtin"]

Count = Annotated[int, Field(ge=1)]
CountFromZero = Annotated[int, Field(ge=0)]
Sparsity = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0)]
Drop = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Allowed drop of accuracy; see :data:`DEFAULT_DROP`."""
Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
AnyPath = str | os.PathLike[str]
"""A path as an argument; settings hold a :class:`pathlib.Path`."""


def _whole_or(other: str, least: int, most: float, words: str) -> pydantic.WrapValidator:
    """Check with one error message; pydantic would give one for each part of the union."""

    def checked(value: Any, check: pydantic.ValidatorFunctionWrapHandler) -> Any:
        try:
            found = check(value)
        except pydantic.ValidationError:
            found = least - 1
        if isinstance(found, int) and not least <= found <= most:
            raise ValueError(f"it takes {other} or a whole number {words}")
        return found

    return pydantic.WrapValidator(checked)


_C_HEADERS = frozenset(
    {"assert", "ctype", "errno", "features", "float", "inttypes", "limits", "locale", "math", "new", "setjmp", "signal"}
    | {"stdarg", "stdbool", "stddef", "stdint", "stdio", "stdlib", "string", "strings", "time", "wchar", "wctype"}
)
_CMAKE_TARGETS = frozenset(
    {
        "all",
        "clean",
        "edit_cache",
        "help",
        "install",
        "package",
        "package_source",
        "preinstall",
        "rebuild_cache",
        "test",
    }
)


def _no_name_of_a_kernel(name: str) -> str:
    if name.startswith("tfl"):
        raise ValueError("names that begin with tfl are those of the kernels")
    if name in _C_HEADERS:
        raise ValueError(f"{name}.h is a header of C itself, which the new one would hide")
    if name in _CMAKE_TARGETS:
        raise ValueError(f"CMake has a target of its own called {name}")
    return name


CName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$"), pydantic.AfterValidator(_no_name_of_a_kernel)]
"""A C identifier in lower case that no kernel has."""

EpochsOrAuto = Annotated[int | Literal["auto"], _whole_or("auto", 0, math.inf, "greater than or equal to 0")]
"""A number of epochs, or ``"auto"``: as many as accuracy needs."""


MOST_SHARED_VALUES = 127
SharedCount = Annotated[int, Field(ge=2, le=MOST_SHARED_VALUES)]
"""A number of values that the kept weights of a tensor share."""

_FEW = (2, MOST_SHARED_VALUES, f"from 2 to {MOST_SHARED_VALUES}")
ValuesOrAuto = Annotated[int | Literal["auto"], _whole_or("auto", *_FEW)]
"""A number of values that the kept weights of a tensor share, or ``"auto"``: the fewest that accuracy bears."""
SharedCountOrAll = Annotated[int | Literal["all"], _whole_or("all", *_FEW)]
"""The same for the weights of one kernel, or ``"all"``: they keep the values that they have."""

METRICS = ("auto", "top1", "top5", "mse", "psnr", "auc")
"""Built-in metrics."""

_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _in_bytes(value: Any) -> Any:
    """Convert text to bytes: ``"100kB"`` is 100,000. Return numbers unchanged."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)", value.strip())
    if found is None or found[2] not in _UNITS:
        raise ValueError(
            f"expected bytes, as 100kB, 100KiB, 1.5MB or 100000; units are {', '.join(filter(None, _UNITS))}"
        )
    return int(float(found[1].replace(",", "").replace("_", "")) * _UNITS[found[2]])


Bytes = Annotated[int, pydantic.BeforeValidator(_in_bytes), Field(ge=1)]
"""A number of bytes, as number or text: ``100kB`` is 100,000, ``100KiB`` 102,400."""


def _known_metric(value: str) -> str:
    if value not in METRICS and not re.search(r"\.py:\w+$", value):
        raise ValueError(f"it takes {', '.join(METRICS)} or FILE.py:FUNCTION")
    return value


Metric = Annotated[str, pydantic.AfterValidator(_known_metric)]
"""One of :data:`METRICS`, or ``path/to/module.py:function``."""

InputShapes = dict[str, tuple[Count, ...]]
"""Whole shapes, batch included, by the name of an input."""
