"""The backend of each target, loaded when it is used."""

from __future__ import annotations

import importlib
from typing import cast

from tflite_sparse.backends.protocol import Backend
from tflite_sparse.target_registry import TARGETS, Target


def backend(target: Target) -> Backend:
    """The object of a target, by its name in the registry."""
    return cast(Backend, importlib.import_module(TARGETS[target].module).BACKEND)
