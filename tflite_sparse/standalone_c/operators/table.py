"""Which function reads which operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import views
from tflite_sparse.standalone_c.program import Step

BUILDERS: Mapping[str, Callable[[Node], Step]] = {
    "RESHAPE": views.step,
    "SQUEEZE": views.step,
    "EXPAND_DIMS": views.step,
}
