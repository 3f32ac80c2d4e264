"""How far before its input an output of generated C must begin, and who may overlap at all."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.standalone_c import arena, core, lines, overlap
from tflite_sparse.standalone_c.depthwise import are_columns_quicker as quicker_by_columns
from tflite_sparse.standalone_c.program import Call, Operand, Program, Step, Struct, Value


def step(function, image, channels, *, side=1, stride=1, pad=0, kernel=0, layout=None, batches=1, place=0, **more):
    """From value ``place`` to the next one; ``channels``: of input and output, or of both."""
    out = [(size + 2 * pad - side) // stride + 1 for size in image]
    sizes = {"batches": batches, "in_h": image[0], "in_w": image[1], "out_h": out[0], "out_w": out[1]}
    sizes |= {
        f"{name}_{end}": size for name, size in (("filter", side), ("stride", stride), ("pad", pad)) for end in "hw"
    }
    named = (
        {"channels": channels} if isinstance(channels, int) else dict(zip(("in_c", "out_c"), channels, strict=False))
    )
    fields = Struct("S", tuple((sizes | named | more).items()))
    call = Call(function, fields, (Operand(place), Operand(place + 1)))
    return Step("OP", "layer", (place,), (place + 1,), (call,), "f", kernel=int(kernel), layout=layout)


def depthwise(image, channels, *, by_columns=0, stride=1, multiplier=1, **more):
    function = "tfls_depthwise_conv_2d_3x3"
    more |= {"by_columns": by_columns, "depth_multiplier": multiplier}
    return step(function, image, (channels,), side=3, pad=1, stride=stride, **more)


def run(kernel, image, channels, **more):
    return step("tfls_run", image, channels, kernel=kernel, pools=0, **more)


def found(made, *, fits_helium=False):
    return overlap.of(made, fits_helium=fits_helium)


LEADS = [
    # the last eight of 125 pixels begin with the 117th: three pixels are written before they are read
    (run(Kernel.PAIR_DELTA8, (25, 5), (64, 64)), 3 * 64, 1),
    (run(Kernel.PAIR_DELTA8, (4, 4), (64, 64)), 0, 1),
    (run(Kernel.PAIR_DELTA8, (3, 3), (64, 64)), 7 * 64, 1),
    (run(Kernel.PAIR_DELTA8, (4, 4), (8, 16)), 8 * 8, 1),
    (run(Kernel.PAIR_DELTA8, (4, 4), (16, 8)), -8 * 8, 1),
    (run(Kernel.PAIR_DELTA8, (1, 5), (16, 16)), -5 * 16, 1),  # all is read before anything is written
    (run(Kernel.DIRECT_DELTA8, (4, 4), (8, 8)), 4 * 8, 1),
    (run(Kernel.ROW_INDEX8, (4, 4), (8, 8)), 8, 1),
    (run(Kernel.PIXEL_DELTA8, (3, 3), (8, 8)), 0, 1),
    (run(Kernel.PIXEL_BLOCK16, (3, 3), (16, 16)), 4 * 16, 1),
    (step("tfls_conv_2d", (5, 5), (8, 8), layout=1), 3 * 8, 1),
    (step("tfls_conv_2d", (5, 5), (8, 8), layout=0), 2 * 8, 1),
    (step("tfls_conv_2d", (5, 5), (8, 8), layout=0, side=3, pad=1), (5 + 1) * 8, 1),
    (depthwise((7, 5), 8), (5 + 1) * 8, 8),
    (depthwise((8, 8), 8, stride=2), 0, 8),
    (step("tfls_max_pool_2d", (8, 8), 8, side=2, stride=2), 8, 1),
]


@pytest.mark.parametrize(("made", "lead", "unit"), LEADS)
def test_leads(made, lead, unit):
    assert (found(made).lead, found(made).unit) == (lead, unit)


def test_with_helium_groups_are_larger():
    made = run(Kernel.PIXEL_DELTA8, (5, 5), (8, 8))
    assert (found(made).lead, found(made).on_helium) == (0, False)
    assert found(made, fits_helium=True) == overlap.Overlap(lead=7 * 8, unit=1, on_helium=True)


@pytest.mark.parametrize(
    ("width", "stride", "channels", "fits"), [(8, 1, 16, True), (9, 1, 16, False), (8, 1, 8, True)]
)
def test_depthwise_with_helium_only_in_one_strip(width, stride, channels, fits):
    made = depthwise((6, width), channels, stride=stride)
    assert (found(made, fits_helium=True) is not None) is fits
    assert found(made).on_helium is fits


@pytest.mark.parametrize(
    "made",
    [
        depthwise((9, 5), 8, by_columns=1),
        depthwise((9, 5), 8, multiplier=2),
        run(Kernel.STRIP_DELTA8, (8, 8), (8, 8)),
        step("tfls_conv_2d_3x3x1", (8, 8), (1, 8), side=3),
        step("tfls_mean", (8, 8), 8),
        step("tfls_conv_2d", (600, 600), (1, 1), layout=0),
        dataclasses.replace(run(Kernel.PIXEL_DELTA8, (8, 8), (8, 8)), calls=()),
    ],
    ids=["columns", "multiplier", "strips", "tiles", "another function", "large", "a view"],
)
def test_what_does_not_overlap(made):
    assert found(made) is None


def test_what_pools_does_not_overlap():
    made = step("tfls_run", (8, 8), (8, 8), kernel=Kernel.PIXEL_DELTA8, pools=1)
    assert found(made) is None
    pooled = step("tfls_conv_2d", (8, 8), (8, 8), layout=0)
    pooled = dataclasses.replace(pooled, calls=(dataclasses.replace(pooled.calls[0], pool=Struct("Pool", ())),))
    assert found(pooled) is None


def sizes_of(made):
    numbers = dict(made.calls[0].struct.fields)
    channels = (
        numbers.get("in_c", numbers.get("channels")),
        numbers.get("out_c", numbers.get("in_c", numbers.get("channels"))),
    )
    return [
        numbers["batches"] * numbers[f"{end}_h"] * numbers[f"{end}_w"] * count
        for end, count in zip(("in", "out"), channels, strict=True)
    ]


def program(*steps, outputs=None):
    sizes = [sizes_of(steps[0])[0], *(sizes_of(each)[1] for each in steps)]
    values = tuple(Value("value", (size,), "int8_t", 1.0, 0) for size in sizes)
    return Program(values, steps, (0,), outputs or (len(sizes) - 1,), ("x",), ("y",), True)


def blocks(image, channels, count=3, **changed):
    """Depthwise and pointwise convolutions in turn."""
    made = []
    for place in range(0, 2 * count, 2):
        made += [depthwise(image, channels, place=place, **changed)]
        made += [run(Kernel.PAIR_DELTA8, image, (channels, channels), place=place + 1)]
    return made


def test_a_chain_takes_the_memory_of_one_value():
    made = program(*blocks((25, 5), 64))
    plan = arena.plan(made)
    assert plan.nbytes == 8000 + 3 * (384 + 192)
    assert plan.overlapping == tuple(range(6))
    for place, each in enumerate(made.steps):
        lead = plan.offsets[place] - plan.offsets[place + 1]
        assert lead >= found(each).lead
        assert lead % found(each).unit == 0


def test_a_larger_output_grows_into_its_input():
    made = program(run(Kernel.PAIR_DELTA8, (16, 16), (8, 16)))
    assert arena.plan(made).nbytes == 16 * 16 * 16
    assert arena.plan(made).offsets == ((16 - 8) * (16 * 16 - 8), 0)


def test_an_input_that_is_read_again_keeps_its_memory():
    again = Step("ADD", "sum", (0, 1), (2,), (Call("f", Struct("S", ()), (Operand(0), Operand(1), Operand(2))),), "f")
    first = run(Kernel.PAIR_DELTA8, (8, 8), (8, 8))
    value = Value("value", (512,), "int8_t", 1.0, 0)
    made = Program((value,) * 3, (first, again), (0,), (2,), ("x",), ("y",), True)
    assert arena.plan(made).overlapping == ()
    assert arena.plan(program(first, outputs=(0, 1))).overlapping == ()


def test_an_order_that_no_size_gives_is_found():
    """The widest output must grow into its input; so what that is computed of lies apart, and upon the image."""
    made = program(
        step("tfls_conv_2d", (96, 96), (3, 8), side=3, stride=2, pad=1, layout=1),
        depthwise((48, 48), 8, place=1),
        run(Kernel.PAIR_DELTA8, (48, 48), (8, 16), place=2),
        depthwise((48, 48), 16, stride=2, place=3),
        run(Kernel.PAIR_DELTA8, (24, 24), (16, 32), place=4),
    )
    assert arena.plan(made, fits_helium=False).nbytes == 48 * 48 * 16


def test_a_layout_may_be_wrong_with_helium():
    made = program(run(Kernel.PIXEL_DELTA8, (5, 5), (64, 64)))
    assert not arena.plan(made, fits_helium=False).fits_helium
    assert arena.plan(made).fits_helium
    assert arena.plan(made).nbytes > arena.plan(made, fits_helium=False).nbytes


def test_what_saves_nothing_stays_apart():
    large = dataclasses.replace(run(Kernel.STRIP_DELTA8, (8, 8), (8, 8)), scratch_bytes=5000)
    plan = arena.plan(program(large, run(Kernel.PAIR_DELTA8, (8, 8), (8, 8), place=1)))
    assert (plan.nbytes, plan.overlapping) == (512 + 512 + 5008, ())


def test_a_long_program_takes_no_time(monkeypatch):
    monkeypatch.setattr(arena, "_MOST_STEPS", 1)
    assert arena.plan(program(*blocks((25, 5), 64))).overlapping == ()


def by_columns(made):
    numbers = (dict(step.calls[0].struct.fields).get("by_columns") for step in made.steps)
    return [number for number in numbers if number is not None]


def test_rows_where_they_save_memory():
    made = program(*blocks((25, 5), 64, by_columns=1))
    chosen = lines.chosen(made, core.of("cortex-m4"))
    assert by_columns(chosen) == [0, 0, 0]
    assert arena.plan(chosen).nbytes < 0.7 * arena.plan(made).nbytes


def test_columns_where_rows_save_little():
    wider = depthwise((25, 5), 64, by_columns=1)
    made = program(wider, dataclasses.replace(run(Kernel.STRIP_DELTA8, (25, 5), (64, 60), place=1), scratch_bytes=80))
    rows = program(depthwise((25, 5), 64), made.steps[1])
    assert arena.plan(rows).nbytes < arena.plan(made).nbytes
    assert by_columns(lines.chosen(made, core.of("cortex-m4"))) == [1]


def test_rows_only_for_the_layers_that_need_them():
    small = depthwise((10, 3), 8, by_columns=1, place=4)
    made = program(
        *blocks((25, 5), 64, count=1, by_columns=1),
        *[
            step("tfls_mean", (10, 3), (64, 8), place=2),
            step("tfls_mean", (10, 3), (8, 8), place=3),
            small,
        ],
    )
    assert by_columns(lines.chosen(made, core.of("cortex-m4"))) == [0, 1]


@pytest.mark.parametrize(("image", "stride", "quicker"), [((9, 5), 1, True), ((9, 2), 1, False), ((5, 5), 1, False)])
def test_when_columns_are_quicker(image, stride, quicker):
    sizes = {"out_h": image[0], "out_w": image[1], "in_w": image[1], "stride_h": stride}
    assert quicker_by_columns(sizes) is quicker


def test_columns_where_rows_save_nothing():
    small = run(Kernel.PAIR_DELTA8, (25, 5), (64, 200), place=2)
    made = program(*blocks((25, 5), 64, count=1, by_columns=1), small)
    assert by_columns(lines.chosen(made, core.of("cortex-m4"))) == [1]


@given(st.data())
def test_random_chains(data):
    """Nothing that is alive at once shares memory, but for an output that begins as far before its input as it must."""
    image, steps, channels = (
        (data.draw(st.integers(3, 9)), data.draw(st.integers(3, 9))),
        [],
        data.draw(st.integers(1, 20)),
    )
    kernels = st.sampled_from([Kernel.PAIR_DELTA8, Kernel.PIXEL_DELTA8, Kernel.ROW_INDEX8, Kernel.STRIP_DELTA8])
    for place in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()):
            steps.append(depthwise(image, channels, place=place, by_columns=data.draw(st.integers(0, 1))))
        else:
            channels, before = data.draw(st.integers(1, 20)), channels
            steps.append(run(data.draw(kernels), image, (before, channels), place=place))
        steps[-1] = dataclasses.replace(steps[-1], scratch_bytes=data.draw(st.integers(0, 50)))
    kept = data.draw(st.integers(0, len(steps)))
    made = program(*steps, outputs=tuple(sorted({kept, len(steps)})))
    plan = arena.plan(made)
    for place, each in enumerate(steps):
        spans = [
            (plan.offsets[n], plan.offsets[n] + made.values[n].nbytes)
            for n in sorted({place, place + 1, kept} - {n for n in [kept] if n > place + 1})
        ]
        spans += [(plan.scratch[place], plan.scratch[place] + each.scratch_bytes)] * bool(each.scratch_bytes)
        source, result = plan.offsets[place], plan.offsets[place + 1]
        for number, first in enumerate(spans):
            assert first[0] % arena.ALIGNMENT == 0
            assert first[1] <= plan.nbytes
            for second in spans[number + 1 :]:
                if second[0] < first[1] and first[0] < second[1]:
                    assert place in plan.overlapping
                    assert kept != place
                    assert {first[0], second[0]} == {source, result}
                    assert source - result >= found(each, fits_helium=True).lead
                    assert (source - result) % found(each, fits_helium=True).unit == 0
