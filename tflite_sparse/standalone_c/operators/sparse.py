"""FULLY_CONNECTED and CONV_2D with sparse weights: the kernels of ``tflite_sparse_kernels.c``, opened ahead.

The fields of ``TflsOperator`` are those that ``tfls_open`` works out and checks. Nothing is left for the
microcontroller to check: the stream was decoded when the model was read, and weights that its kernel does not take were
refused; :func:`_check_parameters` and :func:`step` do the rest.
"""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.streams import work
from tflite_sparse.codecs.streams.kernels import LARGEST_SIDE, PAIR_KERNELS, SUM_LIMIT
from tflite_sparse.codecs.streams.options import Options
from tflite_sparse.codecs.streams.parameters import Parameters
from tflite_sparse.codecs.streams.stream import absolute_sums
from tflite_sparse.rewrites.sparse_operator import SparseOperator
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators.windows import Window, windows
from tflite_sparse.standalone_c.program import Call, Field, Operand, Step, Struct, Table

SOURCE = "tflite_sparse_kernels"
_WIDE_SUM, _QUICK_SHIFT = 1 << 30, -20
_CLAMPED_SUM, _CLAMPED_SHIFT = 1 << 22, -16

_MOST_SHIFT, _LEAST_SHIFT = 30, -31
_INT32 = 1 << 31


def _check_parameters(node: Node, found: SparseOperator) -> None:
    """Refuse what ``tfls_open`` refuses on a microcontroller: shifts, multipliers and sums out of their bounds.

    Raises:
        OperatorRefusedError: they are.
    """
    parameters, sums = found.parameters, absolute_sums(found.weights)
    shifts, multipliers = parameters.shifts.astype(np.int64), parameters.multipliers.astype(np.int64)
    if shifts.max(initial=0) > _MOST_SHIFT or shifts.min(initial=0) < _LEAST_SHIFT or multipliers.min(initial=0) < 0:
        raise node.refused("its parameters are damaged: a shift or a multiplier is out of range")
    if (np.abs(parameters.bias.astype(np.int64)) + 128 * sums).max(initial=0) >= _INT32:
        raise node.refused("its parameters are damaged: a sum does not fit in 32 bits")
    if found.options.kernel in PAIR_KERNELS and sums.max(initial=0) >= SUM_LIMIT:
        raise node.refused("its weights are damaged: a sum does not fit in the accumulators of its kernel")


def scaling_of(options: Options, parameters: Parameters, sums: np.ndarray) -> dict[str, int]:
    """How sums become outputs: the fields of ``TflsOperator`` that say it, 0 or 1.

    Args:
        options: of an operator.
        parameters: of its outputs.
        sums: of the absolute weights of each output, int64 (outputs,).
    """
    largest, shifts = np.abs(parameters.bias.astype(np.int64)) + 128 * sums, parameters.shifts.astype(np.int64)
    is_wide = np.any(largest * 2.0 ** np.maximum(shifts, 0) >= _WIDE_SUM)
    is_quick = not is_wide and np.all((shifts < 0) & (shifts > _QUICK_SHIFT))
    is_small = np.all((largest < _CLAMPED_SUM) & (shifts < 0) & (shifts > _CLAMPED_SHIFT))
    is_clamped = is_small and options.output_range[0] >= options.output_zero_point
    return {"wide": int(is_wide), "quick": int(is_quick), "clamped": int(is_clamped)}


def step(node: Node, found: SparseOperator) -> Step:
    """The step of an operator.

    Args:
        node: the operator.
        found: the same, decoded.
    """
    options, shape = found.options, found.options.shape
    scratch = work.scratch_bytes(options.kernel, shape, node.core.pixels_at_once, found.tables)
    source, result = node.int8_value(0), node.int8_output()
    across = [Window(0, 1), Window(0, 1)]
    sizes_in, sizes_out = (source.count // shape.channels, 1, 1), (result.count // shape.outputs, 1, 1)
    if options.operator == "CONV_2D":
        if len(source.shape) != 4 or len(result.shape) != 4:
            raise node.refused("it reads or yields no images")
        sizes_in, sizes_out = source.shape[:3], result.shape[:3]
        sides = zip(sizes_in[1:], (shape.height, shape.width), shape.strides, shape.dilations, strict=True)
        across = [windows(*side, valid=options.valid) for side in sides]
        if max(*sizes_in[1:], *sizes_out[1:]) > LARGEST_SIDE:
            raise node.refused(f"a side of its images is more than {LARGEST_SIDE:,}")
    expected = (sizes_in[0], *(each.count for each in across))
    if (
        source.count != np.prod(sizes_in) * shape.channels
        or result.count != np.prod(expected) * shape.outputs
        or tuple(sizes_out) != expected
    ):
        raise node.refused("its shapes do not fit its filter")
    parameters = found.parameters
    _check_parameters(node, found)
    stored = node.graph.constant(found.tensors[0])
    assert stored is not None  # it was decoded
    scaling = scaling_of(options, parameters, absolute_sums(found.weights))
    pairs: list[tuple[str, Field]] = [
        ("stream", Table("stream", stored)),
        ("bias", Table("bias", parameters.bias)),
        ("multiplier", Table("multiplier", parameters.multipliers)),
        ("shift", Table("shift", parameters.shifts)),
        ("batches", sizes_in[0]),
        ("in_c", shape.channels),
        ("out_c", shape.outputs),
        *zip(("in_h", "in_w", "out_h", "out_w"), (*sizes_in[1:], *sizes_out[1:]), strict=True),
        *zip(("filter_h", "filter_w"), (shape.height, shape.width), strict=True),
        *zip(("stride_h", "stride_w", "dilation_h", "dilation_w"), (*shape.strides, *shape.dilations), strict=True),
        *zip(("pad_h", "pad_w"), (each.pad for each in across), strict=True),
        ("taps", shape.taps),
        ("scratch_bytes", scratch),
        ("kernel", int(options.kernel)),
        ("channel_step", int(not options.one_scale)),
        *((name, scaling[name]) for name in ("wide", "quick")),
        ("input_zero_point", options.input_zero_point),
        ("output_zero_point", options.output_zero_point),
        *zip(("output_min", "output_max"), options.output_range, strict=True),
        ("pools", 0),
        ("clamped", scaling["clamped"]),
    ]
    call = Call(
        "tfls_run",
        Struct("TflsOperator", tuple(pairs)),
        (Operand(node.number(0)), Operand(node.output_number())),
        takes_scratch=True,
    )
    return Step(
        operator=options.operator,
        layer=node.layer,
        inputs=(node.number(0),),
        outputs=(node.output_number(),),
        calls=(call,),
        source=SOURCE,
        header=f"{SOURCE}.h",
        scratch_bytes=scratch,
        form=f"sparse: {options.kernel.words}",
        kernel=int(options.kernel),
    )
