"""Whether 3x3 depthwise convolutions go along the rows of an image or along its columns.

Along the longer ones less is done between them. But only what goes along rows may lie upon its input.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tflite_sparse.standalone_c import arena, depthwise
from tflite_sparse.standalone_c.core import Core
from tflite_sparse.standalone_c.program import Program, Step

_WORTH_IT = 0.95
"""Of the arena: so much smaller it must become, for rows take about a twentieth more instructions of such a layer."""

_MOST_TRIED = 32
"""Steps that are tried by columns, each of which takes a plan of the arena."""


def chosen(program: Program, core: Core) -> Program:
    """The program with rows in the place of columns where its arena becomes smaller by that.

    Args:
        program: with columns wherever they are quicker.
        core: the CPU that it is for.
    """
    by_columns = [place for place, step in enumerate(program.steps) if _goes_by_columns(step)]
    if not by_columns:
        return program
    nbytes = _arena_bytes(program, by_columns, core)
    if nbytes > _WORTH_IT * _arena_bytes(program, (), core):
        return program
    rows = set(by_columns)
    for place in by_columns[:_MOST_TRIED]:
        if _arena_bytes(program, rows - {place}, core) <= nbytes:
            rows -= {place}
    return _by_rows(program, rows)


def _goes_by_columns(step: Step) -> bool:
    return len(step.calls) == 1 and any(
        call.function in depthwise.FUNCTIONS and call.struct.number("by_columns") for call in step.calls
    )


def _arena_bytes(program: Program, rows: Collection[int], core: Core) -> int:
    return arena.plan(_by_rows(program, rows), fits_helium=core.fits_helium).nbytes


def _by_rows(program: Program, places: Collection[int]) -> Program:
    steps = (_along_rows(step) if place in places else step for place, step in enumerate(program.steps))
    return replace(program, steps=tuple(steps))


def _along_rows(step: Step) -> Step:
    (call,) = step.calls
    return replace(step, calls=(replace(call, struct=call.struct.with_numbers(by_columns=0)),))
