"""Lay the values of a program out in one arena: where each lies, and how large the arena is.

Values whose lifetimes do not overlap share memory. Each order of placing them is greedy, as TensorFlow Lite Micro's
(``GreedyMemoryPlanner``: the largest first, each as low as it fits); the best of a few orders is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tflite_sparse.standalone_c.program import Program, Step

ALIGNMENT = 16
"""Of every offset, as TensorFlow Lite Micro has it."""


@dataclass(frozen=True, slots=True)
class Arena:
    """A layout.

    Attributes:
        nbytes: of the arena.
        offsets: of each value of the program, in bytes.
        scratch: offset of each step's scratch memory; 0 where it has none.
    """

    nbytes: int
    offsets: tuple[int, ...]
    scratch: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """Memory that is needed from step ``first`` to step ``last``, both included."""

    nbytes: int
    first: int
    last: int

    def meets(self, other: _Block) -> bool:
        return self.first <= other.last and other.first <= self.last


_Order = Callable[[_Block], tuple[int, ...]]
_ORDERS: tuple[_Order, ...] = (
    lambda block: (-block.nbytes, block.first),
    lambda block: (-block.nbytes * (block.last - block.first + 1), block.first),
    lambda block: (block.first, -block.nbytes),
    lambda block: (-block.last, -block.nbytes),
    lambda block: (block.first - block.last, -block.nbytes),
)


def plan(program: Program) -> Arena:
    """The smallest arena that is found for a program."""
    layouts = [
        _layout(program, owners, order)
        for owners in (_owners(program, in_place=True), _owners(program, in_place=False))
        for order in _ORDERS
    ]
    return min(layouts, key=lambda arena: arena.nbytes)


def _layout(program: Program, owners: Sequence[int], order: _Order) -> Arena:
    blocks = _blocks(program, owners)
    ids = sorted(blocks)
    scratch = {
        place: _Block(_aligned(step.scratch_bytes), place, place)
        for place, step in enumerate(program.steps)
        if step.scratch_bytes
    }
    offsets = _place([*(blocks[each] for each in ids), *scratch.values()], order)
    of_owner = dict(zip(ids, offsets, strict=False))
    of_step = dict(zip(scratch, offsets[len(ids) :], strict=True))
    everything = [*(blocks[each] for each in ids), *scratch.values()]
    return Arena(
        max((offset + block.nbytes for offset, block in zip(offsets, everything, strict=True)), default=0),
        tuple(of_owner.get(owner, 0) for owner in owners),  # outputs that no step writes have no memory
        tuple(of_step.get(place, 0) for place in range(len(program.steps))),
    )


def _owners(program: Program, *, in_place: bool) -> list[int]:
    """For each value the one whose memory it lies in: views lie in their input, and outputs may take one over."""
    owners = list(range(len(program.values)))
    last_read = {value: place for place, step in enumerate(program.steps) for value in step.inputs}
    for place, step in enumerate(program.steps):
        if step.is_view:
            source, result = step.inputs[0], step.outputs[0]
            owners[result] = owners[source]
            continue
        for position in step.in_place if in_place else ():
            fits = _fits(program, owners, step, position)
            if fits and _may_take_over(program, owners, last_read, place, step.inputs[position]):
                owners[step.outputs[0]] = owners[step.inputs[position]]
                break
    return owners


def _fits(program: Program, owners: Sequence[int], step: Step, position: int) -> bool:
    """Whether the output is as large as an input that lies in memory of its own."""
    source, result = program.values[step.inputs[position]], program.values[step.outputs[0]]
    same = [each for each in step.inputs if owners[each] == owners[step.inputs[position]]]
    return source.nbytes == result.nbytes and len(same) == 1


def _may_take_over(program: Program, owners: Sequence[int], last_read: dict[int, int], place: int, value: int) -> bool:
    """Whether nothing reads the memory of a value after the step of this place, whatever name it goes by."""
    owner = owners[value]
    sharing = [each for each, its in enumerate(owners) if its == owner]
    return all(last_read.get(each, -1) <= place and each not in program.outputs for each in sharing)


def _blocks(program: Program, owners: Sequence[int]) -> dict[int, _Block]:
    """The memory of each owner, alive from its first to its last use under any name; all names are equally large."""
    end = max(len(program.steps) - 1, 0)
    touched = [(value, 0) for value in program.inputs]
    touched += [(value, place) for place, step in enumerate(program.steps) for value in (*step.inputs, *step.outputs)]
    touched += [(value, end) for value in program.outputs]
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for value, place in touched:  # in the order of execution
        first.setdefault(owners[value], place)
        last[owners[value]] = place
    return {owner: _Block(_aligned(program.values[owner].nbytes), first[owner], last[owner]) for owner in first}


def _place(blocks: Sequence[_Block], order: _Order) -> list[int]:
    """An offset for each block: in this order, each as low as no other that is alive with it lies."""
    offsets = [0] * len(blocks)
    placed: list[int] = []
    for number in sorted(range(len(blocks)), key=lambda each: (*order(blocks[each]), each)):
        block, at = blocks[number], 0
        for other in sorted((each for each in placed if blocks[each].meets(block)), key=lambda each: offsets[each]):
            if at + block.nbytes <= offsets[other]:
                break
            at = max(at, offsets[other] + blocks[other].nbytes)
        offsets[number] = at
        placed.append(number)
    return offsets


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
