"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same numbers in the same memory, seen in another shape."""

from __future__ import annotations

from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.program import Step


def step(node: Node) -> Step:
    """The step, which computes nothing."""
    source, result = node.value(0), node.output()
    if source.nbytes != result.nbytes or source.ctype != result.ctype:
        raise node.refused("its input and output differ in size or type")
    return Step(node.name, node.layer, (node.number(0),), (node.output_number(),))
