"""Constants that hold the number of channels of an activation, in the shape that an operator is given."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.types import Operator
from tflite_sparse.rewrites.dead_channels.analysis import Analysis, SizeOperand


def of_channels(found: Analysis, operator: Operator, position: int, result: int) -> SizeOperand | None:
    """Return where the number of channels of an operator's result stands; None if it is not known.

    With an open batch the shape is a PACK or CONCATENATION of sizes, which are computed except for the last one.

    Args:
        found: the analysis.
        operator: the operator.
        position: of the shape among its inputs.
        result: the activation.
    """
    shape = int(operator.inputs[position])
    channels = found.channels.sizes.get(result)
    sizes = found.integers(shape)
    if sizes is not None:
        return SizeOperand(operator, position, result) if sizes.flat[-1] in (channels, -1) else None
    joined = found.producers.get(shape)
    if joined is None or len(found.constants.uses[shape]) != 1 or not len(joined.inputs):
        return None
    name, last = found.graph.operator_name(joined), found.integers(int(joined.inputs[-1]))
    if name not in ("PACK", "CONCATENATION") or last is None or int(last.flat[-1]) != channels:
        return None
    if name == "PACK" and last.size != 1:
        return None
    return SizeOperand(joined, len(joined.inputs) - 1, result)


def leaves_channels_alone(found: Analysis, operator: Operator) -> bool:
    """Return whether every reader of a SHAPE takes sizes other than the last one, which is the number of channels."""
    rank = found.rank(int(operator.inputs[0]))
    for use in found.constants.uses.get(int(operator.outputs[0]), []):
        if found.graph.operator_name(use.operator) != "STRIDED_SLICE" or use.position != 0:
            return False
        options = use.operator.builtinOptions
        if not isinstance(options, schema.StridedSliceOptionsT) or len(use.operator.inputs) < 4:
            return False
        if options.endMask or options.ellipsisMask or options.newAxisMask:
            return False
        limits = [found.integers(int(use.operator.inputs[position])) for position in (1, 2, 3)]
        if any(limit is None or limit.size != 1 for limit in limits):
            return False
        begin, end, step = (int(limit.flat[0]) for limit in limits if limit is not None)
        begin = 0 if options.beginMask & 1 else begin
        if not (0 <= begin < end <= rank - 1 and step >= 1):
            return False
    return not found.graph.yields(int(operator.outputs[0]))
