"""When a convolution and the pool behind it are one step of a program."""

import dataclasses

import pytest

from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.standalone_c import arena, core, pooling
from tflite_sparse.standalone_c.program import Call, Operand, Program, Step, Struct, Value

CONV, TILED, SPARSE = "tfls_conv_2d", "tfls_conv_2d_3x3x1", "tfls_run"


def fused(made, cpu="generic"):
    return pooling.fused(made, core.of(cpu))


def value(*shape):
    return Value("value", shape, "int8_t", 1.0, 0)


def conv(function, place=0):
    sizes = {"batches": 1, "in_c": 1, "out_c": 16, "in_h": 8, "in_w": 8, "out_h": 8, "out_w": 8}
    sizes |= {f"{name}_{side}": size for name, size in (("filter", 3), ("stride", 1), ("pad", 1)) for side in "hw"}
    call = Call(
        function, Struct("Conv", tuple(sizes.items())), (Operand(place), Operand(place + 1)), takes_scratch=True
    )
    kernel = int(Kernel.PAIR_DELTA8) if function == SPARSE else 0
    return Step("CONV_2D", "conv", (place,), (place + 1,), (call,), function, "h", 40, form="dense", kernel=kernel)


def pool(place=1, function="tfls_max_pool_2d", **changed):
    sizes = {f"{name}_{side}": 2 for name in ("filter", "stride") for side in "hw"}
    sizes |= {
        "pad_h": 0,
        "pad_w": 0,
        "batches": 1,
        "in_h": 8,
        "in_w": 8,
        "out_h": 4,
        "out_w": 4,
        "channels": 16,
    } | changed
    call = Call(function, Struct("Pool", tuple(sizes.items())), (Operand(place), Operand(place + 1)))
    return Step("MAX_POOL_2D", "pool", (place,), (place + 1,), (call,), "tfls_pool")


def program(*steps, outputs=(2,), small=()):
    """Of an image, the output of a convolution, and that of a pool; ``small``: further values."""
    values = (value(8, 8, 1), value(8, 8, 16), value(4, 4, 16), *(value(size) for size in small))
    return Program(values, steps, (0,), outputs, ("x",), ("y",), True)


@pytest.mark.parametrize("function", [CONV, SPARSE])
def test_rows_are_pooled_as_they_are_computed_where_memory_is_less(function):
    made = program(conv(function), pool())
    found = fused(made)
    (step,) = found.steps
    (call,) = step.calls
    assert call.function == f"{function}_max_pool"
    assert call.pool is made.steps[1].calls[0].struct
    assert [each.of for each in call.operands] == [0, 2]
    assert (step.inputs, step.outputs) == ((0,), (2,))
    assert (step.operator, step.layer, step.form) == ("CONV_2D", "conv", "dense, then MAX_POOL_2D")
    assert (step.source, step.others) == (f"{function.removesuffix('_2d')}_max_pool", (function, "tfls_pool"))
    assert step.scratch_bytes == 40 + 2 * 8 * 16  # two rows of the convolution
    assert arena.plan(found).nbytes < arena.plan(made).nbytes


def test_tiles_need_no_rows():
    (step,) = fused(program(conv(TILED), pool())).steps
    assert step.calls[0].function == "tfls_conv_2d_3x3x1_max_pool"
    assert (step.source, step.others, step.scratch_bytes) == (TILED, (), 40)


def with_large_values(function):
    """The whole arena is that of the last step: nothing before it matters."""
    last = Step("ADD", "sum", (2,), (3,), (Call("f", Struct("S", ()), (Operand(2), Operand(3))),), "f")
    return program(conv(function), pool(), last, outputs=(3,), small=(9000,))


@pytest.mark.parametrize("cpu", ["cortex-m0", "generic"])
def test_sparse_kernels_of_four_pixels_pool_themselves_without_helium(cpu):
    sparse = conv(SPARSE)
    (call,) = sparse.calls
    fields = (*call.struct.fields, ("output_min", -100), ("output_max", 127), ("pools", 0))
    call = dataclasses.replace(call, struct=Struct("Conv", fields))
    sparse = dataclasses.replace(sparse, calls=(call,), kernel=int(Kernel.PIXEL_DELTA8))
    made = fused(program(sparse, pool(min=-128, max=90)), cpu)
    (step,) = made.steps
    (call,) = step.calls
    assert call.pools is (cpu == "cortex-m0")
    assert made.masks["TFLITE_SPARSE_KERNELS"] == (1 << Kernel.PIXEL_DELTA8 | call.pools)
    if call.pools:
        assert (call.function, call.pool, step.scratch_bytes, step.others) == ("tfls_run", None, 40, ())
        assert [call.struct.number(f"output_{end}") for end in ("min", "max")] == [-100, 90]


def test_what_saves_no_memory_stays_as_it_is():
    made = with_large_values(CONV)
    assert fused(made).steps == made.steps
    assert len(fused(with_large_values(TILED)).steps) == 2  # which is quicker as well


@pytest.mark.parametrize(
    "changed", [{"pad_h": 1}, {"stride_h": 1, "out_h": 7}, {"filter_h": 3}], ids=lambda each: next(iter(each))
)
def test_windows_that_share_rows_or_begin_in_the_padding(changed):
    for function in (CONV, TILED):
        made = program(conv(function), pool(**changed))
        assert fused(made).steps == made.steps


@pytest.mark.parametrize("changed", [{"stride_w": 1}, {"filter_w": 3}, {"pad_w": 1}, {"stride_h": 3}, {"filter_h": 1}])
def test_rows_take_windows_that_tiles_do_not(changed):
    assert len(fused(program(conv(CONV), pool(**changed))).steps) == 1
    assert len(fused(program(conv(TILED), pool(**changed))).steps) == 2


def test_a_window_that_ends_behind_the_image_is_no_tile():
    assert len(fused(program(conv(TILED), pool(out_w=5))).steps) == 2


def test_what_something_else_reads_stays():
    reader = Step("ADD", "sum", (1,), (3,), (Call("f", Struct("S", ()), (Operand(1), Operand(3))),), "f")
    for made in (
        program(conv(TILED), pool(), outputs=(1, 2)),
        program(conv(TILED), pool(), reader, outputs=(2, 3), small=(1024,)),
    ):
        assert fused(made).steps == made.steps


@pytest.mark.parametrize("steps", [(conv("tfls_transpose_conv"), pool()), (conv(CONV), pool(function="tfls_mean"))])
def test_other_functions(steps):
    made = program(*steps)
    assert fused(made).steps == made.steps


def test_an_input_of_the_model_is_pooled_alone():
    made = dataclasses.replace(program(pool()), inputs=(1,))
    assert fused(made).steps == made.steps


def test_many_pools_take_little_time(monkeypatch):
    """A damaged file may have thousands: what is not tried stays as it saves memory."""
    planned = []
    plan = arena.plan
    monkeypatch.setattr(arena, "plan", lambda made, **how: planned.append(made) or plan(made, **how))
    values, steps = [value(8, 8, 1)], []
    for _ in range(50):
        first = len(values) - 1
        steps += [conv(CONV, first), pool(first + 1)]
        values += [value(8, 8, 16), value(4, 4, 16)]
    made = Program(tuple(values), tuple(steps), (0,), (len(values) - 1,), ("x",), ("y",), True)
    found = fused(made)
    assert len(planned) == 33
    assert 50 <= len(found.steps) < 100
