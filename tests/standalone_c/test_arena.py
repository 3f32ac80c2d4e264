"""Where the planner of generated C puts values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.standalone_c import arena
from tflite_sparse.standalone_c.program import Call, Operand, Program, Step, Struct, Value


def value(nbytes):
    return Value("value", (nbytes,), "int8_t", 1.0, 0)


def step(inputs, outputs, *, scratch=0, in_place=(), view=False):
    call = Call("f", Struct("S", ()), tuple(map(Operand, (*inputs, *outputs))))
    return Step("OP", "layer", tuple(inputs), tuple(outputs), () if view else (call,), "f", "f.h", scratch, in_place)


def program(sizes, steps, outputs):
    return Program(tuple(map(value, sizes)), tuple(steps), (0,), tuple(outputs), ("x",), ("y",), True)


def test_what_is_not_alive_at_once_shares_memory():
    found = arena.plan(program([64, 32, 64, 16], [step([0], [1]), step([1], [2]), step([2], [3])], [3]))
    assert found.nbytes == 96
    assert found.offsets[0] == found.offsets[2]


def test_outputs_take_over_the_memory_of_inputs_that_nothing_reads_later():
    steps = [step([0], [1], in_place=(0,)), step([1], [2], in_place=(0,))]
    assert arena.plan(program([48, 48, 48], steps, [2])).nbytes == 48
    read_again = [step([0], [1], in_place=(0,)), step([1, 0], [2], in_place=(0,))]
    found = arena.plan(program([48, 48, 48], read_again, [2]))
    assert found.nbytes == 96
    assert found.offsets[0] != found.offsets[1]


def test_an_output_of_the_model_keeps_its_memory():
    steps = [step([0], [1]), step([1], [2], in_place=(0,))]
    found = arena.plan(program([16, 48, 48], steps, [1, 2]))
    assert found.offsets[1] != found.offsets[2]


def test_a_view_lies_in_its_input_and_keeps_it_alive():
    steps = [step([0], [1]), step([1], [2], view=True), step([0], [3]), step([2, 3], [4])]
    found = arena.plan(program([16, 64, 64, 64, 16], steps, [4]))
    assert found.offsets[1] == found.offsets[2] != found.offsets[3]


def test_what_no_step_touches_takes_no_memory():
    found = arena.plan(program([16, 16, 4096], [step([0], [1])], [1]))
    assert (found.nbytes, found.offsets[2]) == (32, 0)


def test_scratch_lies_beside_what_its_step_reads_and_yields():
    found = arena.plan(program([16, 16], [step([0], [1], scratch=100)], [1]))
    assert found.nbytes == 16 + 16 + 112
    assert len({found.offsets[0], found.offsets[1], found.scratch[0]}) == 3


def test_outputs_stay_to_the_end_and_inputs_are_there_from_the_beginning():
    steps = [step([0], [1]), step([0], [2]), step([2], [3])]
    made = Program(tuple(map(value, [16, 32, 32, 32, 64])), tuple(steps), (0, 4), (1, 3), ("x", "z"), ("y", "w"), True)
    found = arena.plan(made)
    assert len({found.offsets[each] for each in (1, 2, 3)}) == 3
    assert found.nbytes == 16 + 32 + 64  # what the first step reads and yields lies beside the input that nothing reads
    assert found.scratch == (0, 0, 0)


def test_an_input_may_be_the_output():
    assert arena.plan(program([20], [], [0])) == arena.Arena(32, (0,), ())
    assert arena.plan(Program((), (), (), (), (), (), True)) == arena.Arena(0, (), ())


def test_memory_is_taken_over_only_where_no_name_of_it_is_read_later():
    steps = [step([0], [1]), step([1], [2], view=True), step([1], [3], in_place=(0,)), step([2, 3], [4])]
    found = arena.plan(program([16, 64, 64, 64, 16], steps, [4]))
    assert found.offsets[3] != found.offsets[1] == found.offsets[2]


@pytest.mark.parametrize("outputs", [[3], [2, 3]])
def test_a_view_that_no_step_reads_keeps_memory_only_as_an_output(outputs):
    steps = [step([0], [1]), step([1], [2], view=True), step([1], [3], in_place=(0,))]
    found = arena.plan(program([16, 64, 64, 64], steps, outputs))
    assert (found.offsets[3] == found.offsets[2]) is (outputs == [3])


def test_the_first_input_that_may_be_overwritten_is():
    sizes, steps = [64, 64, 64, 16], [step([0], [1]), step([0, 1], [2], in_place=(0, 1)), step([0, 2], [3])]
    found = arena.plan(program(sizes, steps, [3]))
    assert found.offsets[2] == found.offsets[1] != found.offsets[0]
    assert found.nbytes == 64 + 64 + 16


@pytest.mark.parametrize(
    ("sources", "nbytes"), [([1, 1], 64), ([1], 48), ([1], 80)], ids=["read twice", "smaller", "larger"]
)
def test_what_is_read_twice_or_of_another_size_is_not_overwritten(sources, nbytes):
    found = arena.plan(program([16, 64, nbytes], [step([0], [1]), step(sources, [2], in_place=(0,))], [2]))
    assert found.nbytes == 64 + nbytes


# Sizes of values, and of each step what it reads and its scratch memory; it yields the next value. Only one of the
# orders of placing them finds an arena of what is alive at once.
ONE_ORDER_ALONE = {
    "largest first": ([80, 16, 16, 96], [([0], 32), ([0, 1], 0), ([1, 2], 0)], 128),
    "largest and longest first": ([16, 80, 32, 48, 64], [([0], 0), ([0], 32), ([0, 2], 0), ([3], 0)], 112),
    "in the order of execution": ([80, 80, 16, 96], [([0], 16), ([1], 32), ([2, 0], 0)], 208),
    "from the end": ([64, 48, 16, 48], [([0], 0), ([0], 0), ([1, 2], 32)], 144),
    "longest first": ([32, 64, 32, 80], [([0], 0), ([1], 0), ([0], 0)], 128),
}


def alive_at_once(sizes, steps):
    """The most bytes that a step needs: what it reads and yields, what is read later, its scratch memory."""
    last = {number: place for place, (sources, _) in enumerate(steps) for number in sources}
    return max(
        sizes[place + 1] + scratch + sum(sizes[n] for n in range(place + 1) if last.get(n, -1) >= place)
        for place, (_, scratch) in enumerate(steps)
    )


@pytest.mark.parametrize("name", ONE_ORDER_ALONE)
def test_each_order_finds_an_arena_that_no_other_finds(name):
    sizes, steps, nbytes = ONE_ORDER_ALONE[name]
    made = [step(sources, [place + 1], scratch=scratch) for place, (sources, scratch) in enumerate(steps)]
    assert arena.plan(program(sizes, made, [len(steps)])).nbytes == nbytes == alive_at_once(sizes, steps)


def test_nothing_is_overwritten_where_that_makes_the_arena_larger():
    sizes = [80, 16, 80, 16, 80, 48, 96]
    steps = [([0], 0), ([1, 0], 0), ([1], 0), ([2], 0), ([2], 0), ([3, 5], 0)]
    made = [step(sources, [n + 1], in_place=(0,) if n in (0, 2, 4) else ()) for n, (sources, _) in enumerate(steps)]
    assert arena.plan(program(sizes, made, [6])).nbytes == alive_at_once(sizes, steps) == 176


@given(st.data())
def test_nothing_that_is_alive_at_once_overlaps(data):
    count = data.draw(st.integers(1, 8))
    sizes = data.draw(st.lists(st.integers(1, 100), min_size=count + 1, max_size=count + 1))
    steps = []
    for place in range(count):
        sources = data.draw(st.lists(st.integers(0, place), min_size=1, max_size=2, unique=True))
        may = tuple(range(len(sources))) if data.draw(st.booleans()) else ()
        steps.append(step(sources, [place + 1], scratch=data.draw(st.integers(0, 50)), in_place=may))
    made = program(sizes, steps, [count])
    found = arena.plan(made)
    last = {number: place for place, each in enumerate(steps) for number in each.inputs} | {count: count}
    for place, each in enumerate(steps):
        output = each.outputs[0]
        alive = {number for number in range(place + 1) if last.get(number, -1) > place} | set(each.inputs) | {output}
        spans = [(found.offsets[n], found.offsets[n] + sizes[n], n) for n in sorted(alive)]
        spans += [(found.scratch[place], found.scratch[place] + each.scratch_bytes, -1)] * bool(each.scratch_bytes)
        for number, first in enumerate(spans):
            assert first[0] % arena.ALIGNMENT == 0
            assert first[1] <= found.nbytes
            for second in spans[number + 1 :]:
                taken_over = output in (first[2], second[2]) and first[2] != -1 != second[2]
                dies = {n for n in (first[2], second[2]) if n in each.inputs and last[n] == place}
                assert first[1] <= second[0] or second[1] <= first[0] or (taken_over and dies and each.in_place)
