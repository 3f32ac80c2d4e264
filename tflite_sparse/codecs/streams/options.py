"""The custom options of an operator with sparse weights: a struct of 40 bytes, little-endian, of version 1.

The kernels read the first 28 bytes; the others say what the dense operator had, for decoding.

    0  uint8   version          12  uint16  filter height    24  int8   zero point of the input
    1  uint8   kernel           14  uint16  filter width     25  int8   zero point of the output
    2  uint8   flags            16  uint16  stride, height   26  int8   least output
    3  uint8   0                18  uint16  stride, width    27  int8   largest output
    4  uint32  input channels   20  uint16  dilation, height
    8  uint32  outputs          22  uint16  dilation, width

    28  uint8  version of the dense operator     31  uint8    type of its quantised bias
    29  uint8  its fused activation              32  uint8    its bias: 0 there, 1 absent (-1), 2 not among its inputs
    30  uint8  flags of FULLY_CONNECTED          33  uint8[3] 0
    36  float32  scale of the filter, where it has one for all outputs

Flags: 1 one scale for all outputs, 2 VALID padding, 4 FULLY_CONNECTED. Of FULLY_CONNECTED: 1 keep_num_dims,
2 asymmetric_quantize_inputs.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tflite_sparse.codecs.streams.kernels import MAX_TAPS, MAX_WEIGHTS, Filter, Kernel

VERSION = 1
NBYTES = 40

_LAYOUT = struct.Struct("<4B2I6H4b5B3xf")
_ONE_SCALE, _VALID, _FULLY_CONNECTED = 1, 2, 4
_FLAGS = _ONE_SCALE | _VALID | _FULLY_CONNECTED
_KEEP_NUM_DIMS, _ASYMMETRIC = 1, 2

OperatorName = Literal["FULLY_CONNECTED", "CONV_2D"]


class Bias(enum.IntEnum):
    """Where the dense operator has its bias."""

    THERE = 0
    ABSENT = 1
    NOT_AN_INPUT = 2


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one operator.

    Attributes:
        operator: what it is dense.
        kernel: that computes it.
        shape: of its filter.
        one_scale: whether all outputs share one scale.
        valid: whether the padding is VALID; else SAME.
        input_zero_point: int8.
        output_zero_point: int8.
        output_range: least and largest output, int8.
        version: of the dense operator.
        activation: its fused activation, as the schema numbers it.
        keep_num_dims: of FULLY_CONNECTED.
        asymmetric_quantize_inputs: of FULLY_CONNECTED.
        bias_type: ``quantizedBiasType`` of the dense operator.
        bias: where the dense operator has its bias.
        filter_scale: the scale where all outputs share one, else 0.
    """

    operator: OperatorName
    kernel: Kernel
    shape: Filter
    one_scale: bool
    valid: bool
    input_zero_point: int
    output_zero_point: int
    output_range: tuple[int, int]
    version: int
    activation: int
    keep_num_dims: bool
    asymmetric_quantize_inputs: bool
    bias_type: int
    bias: Bias
    filter_scale: float

    @property
    def scales(self) -> int:
        """How many scales the filter has."""
        return 1 if self.one_scale else self.shape.outputs


def pack(options: Options) -> np.ndarray:
    """The options as uint8 (40,).

    Raises:
        ValueError: a number does not fit in its field.
    """
    shape = options.shape
    flags = (
        _ONE_SCALE * options.one_scale
        | _VALID * options.valid
        | _FULLY_CONNECTED * (options.operator == "FULLY_CONNECTED")
    )
    dense_flags = _KEEP_NUM_DIMS * options.keep_num_dims | _ASYMMETRIC * options.asymmetric_quantize_inputs
    try:
        content = _LAYOUT.pack(
            *(VERSION, options.kernel, flags, 0),
            *(shape.channels, shape.outputs),
            *(shape.height, shape.width, *shape.strides, *shape.dilations),
            *(options.input_zero_point, options.output_zero_point, *options.output_range),
            *(options.version, options.activation, dense_flags, options.bias_type, options.bias),
            options.filter_scale,
        )
    except struct.error as error:
        raise ValueError(f"its options do not fit: {error}") from error
    return np.frombuffer(content, np.uint8)


def unpack(content: np.ndarray) -> Options:
    """Read options, uint8.

    Raises:
        ValueError: they are cut off, of another version, or contradict themselves.
    """
    if content.size != NBYTES:
        raise ValueError(f"its options take {content.size} bytes instead of {NBYTES}")
    fields = _LAYOUT.unpack(content.tobytes())
    version, number, flags, zero, channels, outputs, height, width = fields[:8]
    if version != VERSION:
        raise ValueError(f"its options are of version {version}; this package knows {VERSION}")
    if zero or flags & ~_FLAGS or any(content[33:36]):
        raise ValueError("bits of its options that must be zero are not")
    if number not in set(Kernel):
        raise ValueError(f"its kernel has the number {number}, which is not known")
    strides, dilations = (fields[8], fields[9]), (fields[10], fields[11])
    if 0 in (channels, outputs, height, width, *strides, *dilations):
        raise ValueError("a size in its options is 0")
    shape = Filter(outputs, height, width, channels, strides, dilations)
    if shape.taps > MAX_TAPS or outputs * shape.taps > MAX_WEIGHTS:
        raise ValueError(f"its filter would have {outputs * shape.taps:,} values, {shape.taps:,} for an output")
    if flags & _FULLY_CONNECTED and (height, width) != (1, 1):
        raise ValueError(f"it is a FULLY_CONNECTED with a filter of {height} x {width}")
    operator_version, activation, dense_flags, bias_type, bias, scale = fields[16:22]
    if bias not in set(Bias):
        raise ValueError(f"the place of its bias is {bias}")
    return Options(
        operator="FULLY_CONNECTED" if flags & _FULLY_CONNECTED else "CONV_2D",
        kernel=Kernel(number),
        shape=shape,
        one_scale=bool(flags & _ONE_SCALE),
        valid=bool(flags & _VALID),
        input_zero_point=fields[12],
        output_zero_point=fields[13],
        output_range=(fields[14], fields[15]),
        version=operator_version,
        activation=activation,
        keep_num_dims=bool(dense_flags & _KEEP_NUM_DIMS),
        asymmetric_quantize_inputs=bool(dense_flags & _ASYMMETRIC),
        bias_type=bias_type,
        bias=Bias(bias),
        filter_scale=scale,
    )
