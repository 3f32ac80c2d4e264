"""CONV_2D and the MAX_POOL_2D behind it as one step, so that what lies between them never fills memory.

The maximum may be taken of sums or of outputs: requantisation with a multiplier that is not negative never decreases.
What computes four pixels of one output together takes it of their sums, and scales only the largest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tflite_sparse.codecs.streams import work
from tflite_sparse.codecs.streams.kernels import STRIP_KERNELS, Kernel
from tflite_sparse.standalone_c import arena
from tflite_sparse.standalone_c.core import Core
from tflite_sparse.standalone_c.program import Call, Operand, Program, Step, Struct

_POOL = "tfls_max_pool_2d"
_CONV, _TILED, _SPARSE = "tfls_conv_2d", "tfls_conv_2d_3x3x1", "tfls_run"
_BY_FOUR = frozenset({Kernel.PIXEL_DELTA8, Kernel.PIXEL_SHARED})
"""Sparse kernels that compute four pixels together, where there is no Helium."""

_SCRATCH_ALIGNMENT = 16
_MOST_TRIED = 32
"""Steps that are tried without, each of which takes a plan of the arena: no network has so many pools."""


def fused(program: Program, core: Core) -> Program:
    """The program with such steps in the place of two each: where both are quicker together, or need less memory.

    What computes rows of a convolution, and pools them, begins anew for each; it takes the place of two steps only
    where the whole arena becomes smaller.

    Args:
        program: as its operators follow each other.
        core: the CPU that it is for.
    """
    found = dict(_pairs(program, core))
    chosen = dict(found)
    nbytes = _arena_bytes(program, chosen, core)
    row_by_row = sorted((place for place, step in found.items() if _is_row_by_row(step)), reverse=True)
    for place in row_by_row[:_MOST_TRIED]:
        without = {each: step for each, step in chosen.items() if each != place}
        if _arena_bytes(program, without, core) <= nbytes:
            chosen = without
    return _replaced(program, chosen)


def _is_row_by_row(step: Step) -> bool:
    return "tfls_pool" in step.others


def _pairs(program: Program, core: Core) -> Iterator[tuple[int, Step]]:
    """The places of convolutions that a pool alone reads, and what takes the place of both."""
    readers = Counter(value for step in program.steps for value in step.inputs)
    made_by = {value: place for place, step in enumerate(program.steps) for value in step.outputs}
    for pool in program.steps:
        if [call.function for call in pool.calls] != [_POOL]:
            continue
        (between,) = pool.inputs
        place = made_by.get(between)
        if place is None or readers[between] > 1 or between in program.outputs:
            continue
        step = _together(program.steps[place], pool, core)
        if step is not None:
            yield place, step


def _together(conv: Step, pool: Step, core: Core) -> Step | None:
    """Both in one; None where there is no function for it, or where it does not take the windows of the pool."""
    if [call.function for call in conv.calls] not in ([_CONV], [_TILED], [_SPARSE]):
        return None
    (call,), window = conv.calls, pool.calls[0].struct
    operands = call.operands[0], pool.calls[0].operands[1]
    step = replace(conv, outputs=pool.outputs, form=f"{conv.form}, then MAX_POOL_2D")
    if _is_two_by_two(call.struct, window):
        if call.function == _TILED:
            return replace(step, calls=(replace(call, function=f"{_TILED}_max_pool", operands=operands, pool=window),))
        if conv.kernel in STRIP_KERNELS or (conv.kernel in _BY_FOUR and not core.fits_helium):
            return _by_kernel(step, call, window, operands)
    return None if call.function == _TILED or not _has_rows_apart(window) else _row_by_row(step, call, pool, operands)


def _by_kernel(step: Step, call: Call, window: Struct, operands: tuple[Operand, Operand]) -> Step:
    """A sparse kernel that pools itself."""
    rows = work.pooled_rows_bytes(Kernel(step.kernel), window.number("channels"))
    struct = call.struct.with_numbers(pools=1, **_narrower(call.struct, window))
    calls = (replace(call, struct=struct, operands=operands),)
    return replace(step, calls=calls, scratch_bytes=step.scratch_bytes + rows)


def _row_by_row(step: Step, call: Call, pool: Step, operands: tuple[Operand, Operand]) -> Step:
    window = pool.calls[0].struct
    function = f"{call.function}_max_pool"
    source = function.replace("_2d", "")
    rows = window.number("filter_h") * window.number("in_w") * window.number("channels")
    return replace(
        step,
        calls=(Call(function, call.struct, operands, takes_scratch=True, pool=window),),
        source=source,
        others=(step.source, *step.others, pool.source),
        header=f"{source}.h" if call.function == _SPARSE else step.header,
        scratch_bytes=step.scratch_bytes + -(-rows // _SCRATCH_ALIGNMENT) * _SCRATCH_ALIGNMENT,
    )


def _narrower(conv: Struct, window: Struct) -> dict[str, int]:
    """The ends of outputs that the activation of a convolution, then that of a pool leave."""
    low, high = window.number("min"), window.number("max")
    return {name: min(max(conv.number(name), low), high) for name in ("output_min", "output_max")}


def _has_rows_apart(window: Struct) -> bool:
    return window.number("pad_h") == 0 and window.number("stride_h") >= window.number("filter_h")


def _is_two_by_two(conv: Struct, window: Struct) -> bool:
    """Whether the windows are 2x2, side by side, and whole."""
    return all(
        (window.number(f"filter_{side}"), window.number(f"stride_{side}"), window.number(f"pad_{side}")) == (2, 2, 0)
        and 2 * window.number(f"out_{side}") <= conv.number(f"out_{side}")
        for side in "hw"
    )


def _replaced(program: Program, chosen: Mapping[int, Step]) -> Program:
    """The new steps stand where the convolutions did; their pools are gone."""
    gone = {step.outputs for step in chosen.values()}
    steps: Sequence[Step] = [
        chosen.get(place, step)
        for place, step in enumerate(program.steps)
        if place in chosen or step.outputs not in gone
    ]
    return replace(program, steps=tuple(steps))


def _arena_bytes(program: Program, chosen: Mapping[int, Step], core: Core) -> int:
    return arena.plan(_replaced(program, chosen), fits_helium=core.fits_helium).nbytes
