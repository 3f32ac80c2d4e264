"""Where the planner of generated C puts values."""

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


def test_scratch_lies_beside_what_its_step_reads_and_yields():
    found = arena.plan(program([16, 16], [step([0], [1], scratch=100)], [1]))
    assert found.nbytes == 16 + 16 + 112
    assert len({found.offsets[0], found.offsets[1], found.scratch[0]}) == 3


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
