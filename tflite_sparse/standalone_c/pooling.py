"""CONV_2D and the MAX_POOL_2D behind it as one step, so that what lies between them never fills memory.

The maximum may be taken of sums or of outputs: requantisation with a multiplier that is not negative never decreases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tflite_sparse.standalone_c import arena
from tflite_sparse.standalone_c.program import Call, Program, Step, Struct

_POOL = "tfls_max_pool_2d"
_SCRATCH_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class _Together:
    """What computes both.

    Attributes:
        function: in C.
        source: the C file that has it, without its ending.
        header: that declares it.
        is_quicker: whether it takes fewer instructions than one after the other; else it saves memory alone.
    """

    function: str
    source: str
    header: str = "tfls_operators.h"
    is_quicker: bool = False


_BY_FUNCTION: Mapping[str, _Together] = {
    "tfls_conv_2d": _Together("tfls_conv_2d_max_pool", "tfls_conv_max_pool"),
    "tfls_conv_2d_3x3x1": _Together("tfls_conv_2d_3x3x1_max_pool", "tfls_conv_3x3x1", is_quicker=True),
    "tfls_run": _Together("tfls_run_max_pool", "tfls_run_max_pool", "tfls_run_max_pool.h"),
}


def fused(program: Program) -> Program:
    """The program with such steps in the place of two each: where both are quicker together, or need less memory.

    What computes rows of a convolution, and pools them, begins anew for each; it takes the place of two steps only
    where the whole arena becomes smaller.
    """
    found = dict(_pairs(program))
    quicker = {place: step for place, step in found.items() if _of(program, place).is_quicker}
    chosen = dict(found)
    nbytes = _arena_bytes(program, chosen)
    for place in sorted(found.keys() - quicker.keys(), reverse=True):
        without = {each: step for each, step in chosen.items() if each != place}
        if _arena_bytes(program, without) <= nbytes:
            chosen = without
    return _replaced(program, chosen)


def _of(program: Program, place: int) -> _Together:
    return _BY_FUNCTION[program.steps[place].calls[0].function]


def _pairs(program: Program) -> Iterator[tuple[int, Step]]:
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
        conv = program.steps[place]
        if len(conv.calls) == 1 and conv.calls[0].function in _BY_FUNCTION:
            step = _step(conv, pool)
            if step is not None:
                yield place, step


def _step(conv: Step, pool: Step) -> Step | None:
    """Both in one; None where the pool's windows are not such as the function takes."""
    (call,), window = conv.calls, pool.calls[0].struct
    together = _BY_FUNCTION[call.function]
    if not (_is_two_by_two(call.struct, window) if together.is_quicker else _has_rows_apart(window)):
        return None
    scratch = conv.scratch_bytes
    if not together.is_quicker:
        rows = window.number("filter_h") * window.number("in_w") * window.number("channels")
        scratch += -(-rows // _SCRATCH_ALIGNMENT) * _SCRATCH_ALIGNMENT
    source, result = call.operands[0], pool.calls[0].operands[1]
    return replace(
        conv,
        outputs=pool.outputs,
        calls=(Call(together.function, call.struct, (source, result), takes_scratch=True, pool=window),),
        source=together.source,
        others=() if together.is_quicker else (conv.source, *conv.others, pool.source),
        header=together.header,
        scratch_bytes=scratch,
        form=f"{conv.form}, then MAX_POOL_2D",
    )


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


def _arena_bytes(program: Program, chosen: Mapping[int, Step]) -> int:
    return arena.plan(_replaced(program, chosen)).nbytes
