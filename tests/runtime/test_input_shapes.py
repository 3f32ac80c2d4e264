"""Test shapes for inputs with open sizes: from the file, by search, and from the user."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from helpers.foreign_models import densified, store_sparse
from tflite_sparse.base import child
from tflite_sparse.errors import ExecutionError, InputShapeError, SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.runtime import input_shapes, litert
from tflite_sparse.runtime.inputs_and_outputs import InputDetails


@pytest.fixture
def file(tmp_path):
    def write(model):
        path = tmp_path / "model.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return write


def of_height_and_width(*windows):
    """Return operators on (1, 100, 100, 1) in a line: (kind, kernel, stride, dilation), of two numbers each."""
    tiny = tiny_models.Tiny()
    source = first = tiny.activation("x", (1, 100, 100, 1), "float32")
    for kind, kernel, stride, dilation in windows:
        target = tiny.activation(f"after {kind}", (1, 1, 1, 1), "float32")
        if kind == "CONV_2D":
            options = tiny_models.conv_options(same=False)
            (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor) = stride, dilation
            inputs = [source, tiny.constant("filter", np.ones((1, *kernel, 1), np.float32))]
            code, name = schema.BuiltinOptions.Conv2DOptions, schema.BuiltinOperator.CONV_2D
        else:
            options = schema.Pool2DOptionsT()
            (options.filterHeight, options.filterWidth), (options.strideH, options.strideW) = kernel, stride
            inputs = [source]
            code, name = schema.BuiltinOptions.Pool2DOptions, schema.BuiltinOperator.MAX_POOL_2D
        tiny.operator(name, 1, inputs, [target], code, options)
        source = target
    return next(graphs(serde.parse(tiny_models.to_bytes(tiny.finished([first], [source])))))


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], 1),
        ([("CONV_2D", (1, 512), (1, 160), (1, 1))], 512),
        ([("CONV_2D", (7, 3), (1, 1), (1, 1))], 7),
        ([("CONV_2D", (3, 3), (1, 1), (4, 1))], 9),
        ([("CONV_2D", (3, 3), (2, 2), (1, 1)), ("CONV_2D", (5, 5), (1, 1), (1, 1))], 3 + 4 * 2),
        ([("MAX_POOL_2D", (2, 2), (2, 2), None)] * 3, 8),
        ([("CONV_2D", (1, 4), (1, 3), (1, 1)), ("MAX_POOL_2D", (1, 2), (1, 2), None)] * 2, 4 + 3 + 3 * 6 + 18),
        ([("CONV_2D", (1, 2), (1, 2**30), (1, 1))] * 9, 2**17 + 1),  # more than is ever tried
    ],
)
def test_reach(windows, expected):
    assert input_shapes.reach(of_height_and_width(*windows)) == expected


def test_a_size_of_32_stays_where_it_runs(file):
    (found,) = input_shapes.inputs(file(odd_models.open_image(kernel=3)))
    assert found.shape == found.example_shape == (1, 32, 32, 2)


@pytest.mark.parametrize(("kernel", "stride"), [(33, 1), (40, 7), (100, 64)])
def test_the_reach_of_the_kernels_is_enough(file, kernel, stride):
    path = file(odd_models.open_image(kernel, stride))
    assert input_shapes.needed(path) == ((1, kernel, kernel, 2),)
    assert [litert.refusal(path, kernels, [(1, kernel, kernel, 2)]) for kernels in litert.ALL_KERNELS] == [None] * 3


def test_only_open_sizes_need_a_shape(file):
    assert input_shapes.needed(file(tiny_models.conv2d())) is None
    assert input_shapes.needed(file(tiny_models.conv2d(dynamic=True))) is None  # a batch of 1 always runs
    (found,) = input_shapes.inputs(file(tiny_models.conv2d(dynamic=True)))
    assert found.shape is None
    assert input_shapes.needed(file(tiny_models.conv2d(dynamic=True)), {"in_0": (3, 8, 8, 64)}) == ((3, 8, 8, 64),)


def test_a_constant_tells_a_size(file):
    """Such a constant is a table of positions that is added to a sequence of its length."""
    tiny = tiny_models.Tiny()
    x, y = tiny.tensor("x", (1, 1, 8), "float32"), tiny.tensor("y", (1, 50, 8), "float32")
    tiny.graph.tensors[x].shapeSignature = np.array([1, -1, 8], np.int32)
    table = tiny.constant("positions", np.ones((50, 1), np.float32))
    z = tiny.tensor("z", (1, 50, 16), "float32")
    tiny.operator(
        schema.BuiltinOperator.MUL, 1, [x, table], [y], schema.BuiltinOptions.MulOptions, schema.MulOptionsT()
    )
    options = schema.ConcatenationOptionsT()
    options.axis = 2
    kind = schema.BuiltinOptions.ConcatenationOptions
    tiny.operator(schema.BuiltinOperator.CONCATENATION, 1, [x, y], [z], kind, options)  # x must have 50 as y has
    assert input_shapes.needed(file(tiny.finished([x], [z]))) == ((1, 50, 8),)


def test_given_shapes_are_used(file):
    path = file(odd_models.open_length())
    for name in ("in_0", "x"):  # of the signature, of the tensor
        assert input_shapes.needed(path, {name: [1, 37, 8]}) == ((1, 37, 8),)
    assert input_shapes.needed(path, {"x": (2, 5, 8)}) == ((2, 5, 8),)  # the runtime decides whether it runs


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"z": (1, 37, 8)}, r"model\.tflite has no input 'z' to give a shape to; it has 'in_0', 'x'\."),
        ({"x": (1, 37, 9)}, r"input 'x' takes shapes \(\?, \?, 8\), not \(1, 37, 9\)"),
        ({"x": (37, 8)}, r"not \(37, 8\)"),
        ({"x": (1, 0, 8)}, r"not \(1, 0, 8\)"),
        ({"x": (1, -1, 8)}, r"not \(1, \?, 8\)"),
    ],
)
def test_what_does_not_fit_is_refused(file, given, words):
    with pytest.raises(SettingsError, match=words):
        input_shapes.needed(file(odd_models.open_length()), given)


def test_a_shape_is_demanded_if_no_size_runs(file):
    with pytest.raises(InputShapeError) as caught:
        input_shapes.inputs(file(odd_models.open_length()))
    message = str(caught.value)
    assert "no size of its input 'in_0' (?, ?, 8) was found that runs, of 19 from 1 to 131,072" in message
    assert "Give one: `input_shapes={'in_0': (1, N, 8)}`" in message
    assert "\n" not in message


def test_sizes_that_are_tried(file):
    path = file(odd_models.open_length(296))
    (detail,) = litert.inputs(path)
    powers = [2**n for n in range(6, 18)]
    sizes = input_shapes.sizes_to_try(path, [detail])
    assert sizes == [32, *powers, 16, 8, 4, 2, 1, 8 * 296]
    wide = InputDetails("x", (1, -1, -1, 3), np.dtype(np.float32), 0.0, 0)
    assert max(input_shapes.sizes_to_try(path, [wide])) == 512  # 1024 x 1024 x 3 are more than 2^20
    huge = InputDetails("x", (1, -1, 2**20), np.dtype(np.float32), 0.0, 0)
    assert input_shapes.sizes_to_try(path, [huge]) == [32, 1]


def test_a_size_that_runs_without_a_delegate_is_no_reason_of_the_delegate(file):
    model = densified(store_sparse(tiny_models.fully_connected(lead=(1, 4), keep_num_dims=True), indices="uint16"))
    for tensor in (model.subgraphs[0].tensors[0], model.subgraphs[0].tensors[3]):
        tensor.shapeSignature = np.array([1, -1, tensor.shape[2]], np.int32)
    path = file(model)
    shapes = input_shapes.needed(path)
    assert shapes == ((1, 32, 600),)
    assert "failed to delegate FULLY_CONNECTED" in litert.refusal(path, "default", shapes)
    assert litert.refusal(path, "builtin", shapes) is None


@pytest.mark.slow
def test_an_operator_that_nobody_has_is_no_matter_of_sizes(file):
    path = file(odd_models.with_custom_operator(odd_models.open_image()))
    with pytest.raises(ExecutionError, match=r"refuses .*model\.tflite, with 'UnheardOf': ") as caught:
        input_shapes.inputs(path)
    assert not isinstance(caught.value, InputShapeError)


def test_a_size_that_kills_the_process_is_passed_over(file, monkeypatch):
    path, asked = file(odd_models.open_image()), []
    call = child.call

    def dying(function, /, *, on_step, **arguments):
        if not function.endswith("first_that_runs_here"):
            return call(function, on_step=on_step, **arguments)
        asked.append([shapes[0][1] for shapes in arguments["candidates"]])
        on_step(0, len(asked[-1]))
        if len(asked) == 1:
            on_step(1, len(asked[-1]))
            raise child.ChildDiedError("was killed by SIGFPE", "")
        return 1, ""

    monkeypatch.setattr(child, "call", dying)
    assert input_shapes.needed(path) == ((1, 128, 128, 2),)
    assert asked[0][:4] == [32, 40, 64, 128]
    assert asked[1] == asked[0][2:]


def test_every_size_may_kill_the_process(file, monkeypatch):
    path, call = file(odd_models.open_image()), child.call

    def dying(function, /, *, on_step, **arguments):
        if function.endswith("first_that_runs_here"):
            on_step(0, 1)
            raise child.ChildDiedError("was killed by SIGFPE", "")
        return call(function, on_step=on_step, **arguments)

    monkeypatch.setattr(child, "call", dying)
    with pytest.raises(InputShapeError, match="it was killed by SIGFPE"):
        input_shapes.needed(path)
