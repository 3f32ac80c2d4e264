"""Lay the values of a program out in one arena: where each lies, and how large the arena is.

Values whose lifetimes do not overlap share memory, and outputs lie upon what of their input is not read any more
(:mod:`tflite_sparse.standalone_c.overlap`). Each order of placing them is greedy, as TensorFlow Lite Micro's
(``GreedyMemoryPlanner``: the largest first, each as low as it fits); the best of a few orders is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tflite_sparse.standalone_c import overlap
from tflite_sparse.standalone_c.overlap import Overlap
from tflite_sparse.standalone_c.program import Program, Step

ALIGNMENT = 16
"""Of every offset, as TensorFlow Lite Micro has it."""

_MOST_STEPS = 1000
"""Of programs whose values may overlap: far more than a microcontroller's, and a bound on the time it takes."""


@dataclass(frozen=True, slots=True)
class Arena:
    """A layout.

    Attributes:
        nbytes: of the arena.
        offsets: of each value of the program, in bytes.
        scratch: offset of each step's scratch memory; 0 where it has none.
        overlapping: numbers of the steps whose output lies upon a part of their input.
        fits_helium: whether these do where the functions are compiled for a CPU with Helium.
    """

    nbytes: int
    offsets: tuple[int, ...]
    scratch: tuple[int, ...]
    overlapping: tuple[int, ...] = ()
    fits_helium: bool = True


@dataclass(frozen=True, slots=True)
class _Block:
    """Memory that is needed from step ``first`` to step ``last``, both included."""

    nbytes: int
    first: int
    last: int

    def meets(self, other: _Block) -> bool:
        return self.first <= other.last and other.first <= self.last


_MOST_PROMOTED, _MOST_BESIDE = 8, 20_000
"""Layouts that are tried beside each order's, where values may overlap; and the neighbours of all blocks in time beyond
which none is tried: no network has so many."""

_Order = Callable[[_Block], tuple[int, ...]]
_ORDERS: tuple[_Order, ...] = (
    lambda block: (-block.nbytes, block.first),
    lambda block: (-block.nbytes * (block.last - block.first + 1), block.first),
    lambda block: (block.first, -block.nbytes),
    lambda block: (-block.last, -block.nbytes),
    lambda block: (block.first - block.last, -block.nbytes),
)


_Pairs = Mapping[tuple[int, int], tuple[int, Overlap]]
"""By the owners of an output and its input: the step that yields one of the other, and how they may overlap."""


def plan(program: Program, *, fits_helium: bool = True) -> Arena:
    """The smallest arena that is found for a program.

    Args:
        program: what to lay out.
        fits_helium: whether the layout must be right on a CPU with Helium as well.
    """
    overlaps = {
        place: found
        for place, step in enumerate(program.steps if len(program.steps) <= _MOST_STEPS else ())
        if (found := overlap.of(step, fits_helium=fits_helium)) is not None
    }
    ways = dict.fromkeys(tuple(_owners(program, in_place=in_place)) for in_place in (True, False))
    layouts = (
        layout
        for allowed in (({}, overlaps) if overlaps else ({},))
        for owners in ways
        for layout in _layouts(program, owners, allowed)
    )
    return min(layouts, key=lambda arena: arena.nbytes)


def _layouts(program: Program, owners: Sequence[int], overlaps: Mapping[int, Overlap]) -> Iterator[Arena]:
    values = _blocks(program, owners)
    pairs = dict(_pairs(program, owners, values, overlaps))
    scratch = {
        ~place: _Block(_aligned(step.scratch_bytes), place, place)
        for place, step in enumerate(program.steps)
        if step.scratch_bytes
    }
    blocks = dict(sorted(values.items())) | scratch
    beside = _beside(blocks, pairs)
    is_small = sum(map(len, beside.values())) <= _MOST_BESIDE
    for order in _ORDERS:
        numbers = sorted(blocks, key=lambda each: order(blocks[each]))
        offsets = _place(blocks, beside, numbers)
        if pairs and is_small:
            offsets = _promoted(blocks, beside, numbers, offsets)
        yield _arena(program, owners, blocks, pairs, offsets)


def _promoted(
    blocks: Mapping[int, _Block], beside: _Beside, numbers: Sequence[int], offsets: dict[int, int]
) -> dict[int, int]:
    """The best of some layouts, for each of which what lies on top of the one before is placed first."""
    best = offsets
    for _ in range(_MOST_PROMOTED):
        top = max(numbers, key=lambda each: offsets[each] + blocks[each].nbytes)
        if top == numbers[0]:
            break
        numbers = [top, *(each for each in numbers if each != top)]
        offsets = _place(blocks, beside, numbers)
        best = min(best, offsets, key=lambda found: _size(blocks, found))
    return best


def _size(blocks: Mapping[int, _Block], offsets: Mapping[int, int]) -> int:
    return max((offsets[each] + block.nbytes for each, block in blocks.items()), default=0)


def _arena(
    program: Program, owners: Sequence[int], blocks: Mapping[int, _Block], pairs: _Pairs, offsets: Mapping[int, int]
) -> Arena:
    met = [
        (step, found)
        for (result, source), (step, found) in pairs.items()
        if _meet(offsets[result], blocks[result].nbytes, offsets[source], blocks[source].nbytes)
    ]
    return Arena(
        _size(blocks, offsets),
        tuple(offsets.get(owner, 0) for owner in owners),  # outputs that no step writes have no memory
        tuple(offsets.get(~place, 0) for place in range(len(program.steps))),
        tuple(sorted(step for step, _ in met)),
        all(found.on_helium for _, found in met),
    )


def _pairs(
    program: Program, owners: Sequence[int], blocks: Mapping[int, _Block], overlaps: Mapping[int, Overlap]
) -> Iterator[tuple[tuple[int, int], tuple[int, Overlap]]]:
    """Where the input dies in the step that yields the output."""
    kept = {owners[value] for value in program.outputs}
    for place, found in overlaps.items():
        (source,), (result,) = program.steps[place].inputs, program.steps[place].outputs
        upper, lower = owners[result], owners[source]
        if blocks[lower].last == place and lower != upper and lower not in kept:
            yield (upper, lower), (place, found)


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


@dataclass(frozen=True, slots=True)
class _Relation:
    """What a block is to another that is alive with it.

    Attributes:
        overlap: how the other one may overlap with it; None: not at all.
        is_input: whether it is the input, and the other one the output.
    """

    overlap: Overlap | None = None
    is_input: bool = False


_Beside = Mapping[int, Mapping[int, _Relation]]
"""For each block those that are alive with it."""


def _beside(blocks: Mapping[int, _Block], pairs: _Pairs) -> _Beside:
    unrelated = _Relation()
    found = {
        number: {other: unrelated for other, its in blocks.items() if other != number and its.meets(block)}
        for number, block in blocks.items()
    }
    for (result, source), (_, overlap_of_both) in pairs.items():
        found[result][source] = _Relation(overlap_of_both, is_input=True)
        found[source][result] = _Relation(overlap_of_both)
    return found


def _place(blocks: Mapping[int, _Block], beside: _Beside, numbers: Sequence[int]) -> dict[int, int]:
    """An offset for each block: in this order, each as low as no other that is alive with it lies."""
    offsets: dict[int, int] = {}
    for number in numbers:
        apart, related = [], []
        for other, relation in beside[number].items():
            if other not in offsets:
                continue
            if relation.overlap is None:
                apart.append((offsets[other], offsets[other] + blocks[other].nbytes))
            else:
                related.append(_Neighbour(offsets[other], blocks[other].nbytes, relation.overlap, relation.is_input))
        offsets[number] = _lowest(blocks[number].nbytes, apart, related)
    return offsets


def _lowest(nbytes: int, apart: Sequence[tuple[int, int]], related: Sequence[_Neighbour]) -> int:
    """The lowest offset that meets none of the spans, and that the blocks that may overlap leave."""
    for first, last in _gaps(nbytes, apart):
        starts = [first, *(each.end for each in related if each.end > first)]
        starts += [each.offset_from(start) for start in starts for each in related]
        fitting = (at for at in starts if at <= last and all(each.leaves(at, nbytes) for each in related))
        found = min(fitting, default=None)
        if found is not None:
            return found
    raise AssertionError("behind all blocks there is room")


def _gaps(nbytes: int, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, float]]:
    """The first and the last offset of so many bytes in each gap between the spans, from below."""
    at = 0
    for start, end in sorted(spans):
        if at + nbytes <= start:
            yield at, start - nbytes
        at = max(at, end)
    yield at, math.inf


@dataclass(frozen=True, slots=True)
class _Neighbour:
    """A block that lies somewhere, and that another one may overlap; ``is_input``: it is the input of that."""

    start: int
    nbytes: int
    overlap: Overlap
    is_input: bool

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.start + self.nbytes

    def leaves(self, at: int, nbytes: int) -> bool:
        """Whether the other one may lie there."""
        lead = self.start - at if self.is_input else at - self.start
        may_overlap = lead >= self.overlap.lead and lead % self.overlap.unit == 0
        return may_overlap or not _meet(self.start, self.nbytes, at, nbytes)

    def offset_from(self, at: int) -> int:
        """The lowest offset from this one on at which the other one may overlap, as far as lead and unit go."""
        step = math.lcm(ALIGNMENT, self.overlap.unit)
        least = at if self.is_input else max(at, self.start + self.overlap.lead)
        return least + (self.start - least) % step


def _meet(start: int, nbytes: int, other: int, other_nbytes: int) -> bool:
    return start < other + other_nbytes and other < start + nbytes


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
