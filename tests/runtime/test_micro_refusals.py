"""Test the messages for models that TensorFlow Lite Micro refuses: operator, tensors of its layer, remedy."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import micro_process, odd_models, tiny_models
from tflite_sparse.errors import ExecutionError, OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import micro, micro_refusals

_BUILTIN = schema.BuiltinOperator


def one(builtin, dtype="int8", positions=None, version=1):
    """RELU, then an operator that yields ``net/layer/Name``; with ``positions`` it looks up rows."""
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 8), dtype)
    middle, y = (
        tiny.activation("net/relu/y", (1, 8), dtype),
        tiny.activation("net/layer/Name;net/layer/Mul", (1, 8), dtype),
    )
    tiny.operator(_BUILTIN.RELU, 2, [x], [middle])
    if positions is None:
        tiny.operator(builtin, version, [middle], [y])
        return tiny.finished([x], [y])
    rows = tiny.tensor("rows", (1,), positions)
    kind, options = schema.BuiltinOptions.GatherOptions, schema.GatherOptionsT()
    tiny.operator(builtin, version, [middle, rows], [y], kind, options)
    return tiny.finished([x, rows], [y])


REFUSED = {
    "SQRT": (one(_BUILTIN.SQRT), 'float32, by a rule of precision = "float32"'),
    "TILE": (one(_BUILTIN.TILE), "Resizing with interpolation='nearest', which computes the same"),
    "GELU": (one(_BUILTIN.GELU), "use relu, silu or hard_silu"),
    "GATHER": (one(_BUILTIN.GATHER, positions="int64"), "positions in int32"),
    "LOCAL_RESPONSE_NORMALIZATION": (one(_BUILTIN.LOCAL_RESPONSE_NORMALIZATION, "float32"), "replace its layer"),
    "FULLY_CONNECTED": (tiny_models.fully_connected(data_dtype="float32"), "data and weights of one type"),
    "Mine": (odd_models.custom(), "replace its layer before the conversion"),
}


@micro_process.needed
@pytest.mark.parametrize("name", REFUSED)
def test_messages_of_the_runtime(name, tmp_path):
    model, way_out = REFUSED[name]
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    (*_, operator) = model.subgraphs[0].operators
    (output,) = operator.outputs
    with pytest.raises(OperatorRefusedError) as caught:
        micro.run_separately(path, [[np.zeros(each.example_shape, each.dtype) for each in micro.inputs(path)]])
    shown = model.subgraphs[0].tensors[output].name.partition(";")[0]
    assert f"TensorFlow Lite Micro refuses {path}: " in str(caught.value)
    assert f"That is {name}, which yields {shown!r}: " in str(caught.value)
    assert way_out in str(caught.value)
    assert caught.value.tensors[0][0] == model.subgraphs[0].tensors[output].name


@micro_process.needed
def test_an_arena_that_is_too_small_is_no_fault_of_an_operator(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected()))
    for arena in (1000, 1500):
        with pytest.raises(ExecutionError, match=r"TensorFlow Lite Micro refuses .*missing: ") as caught:
            micro.run_separately(path, [[np.zeros((1, 600), np.int8)]], arena_bytes=arena)
        assert not isinstance(caught.value, OperatorRefusedError)
    with pytest.raises(
        OperatorRefusedError, match=r"That is FULLY_CONNECTED, which yields 'y0'\.$"
    ):  # no word of memory
        micro.run_separately(path, [[np.zeros((1, 600), np.int8)]], arena_bytes=2000)


def test_each_missing_operator_is_named_once():
    model = serde.parse(tiny_models.to_bytes(one(_BUILTIN.TILE)))
    model.subgraphs[0].operators.append(model.subgraphs[0].operators[-1])
    (found,) = micro_refusals.missing(model, ("TILE",))
    assert str(found).startswith("TILE, which yields 'net/layer/Name': use Concatenate")
    assert micro_refusals.missing(model, ()) == ()


def test_the_operator_at_the_place_is_meant_where_several_have_the_name():
    model = serde.parse(tiny_models.to_bytes(odd_models.two_layers()))
    found = [micro_refusals.in_log(f"Node FULLY_CONNECTED (number {n}) failed to prepare", model) for n in (0, 1)]
    assert [each.tensors for each in found] == [("hidden", "first weight"), ("y", "second weight", "bias")]
    assert micro_refusals.in_log("Node FULLY_CONNECTED (number 7f) failed to invoke", model) == found[0]  # a subgraph's


@pytest.mark.parametrize(
    "log",
    [
        "Failed to allocate temp memory; Node FULLY_CONNECTED (number 0) failed to prepare",
        "Failed to resize buffer; Node FULLY_CONNECTED (number 0) failed to prepare",
        "",
        "Node NONE (number 0) failed to prepare",
        "op code CUSTOM",
    ],
)
def test_a_log_that_tells_no_operator(log):
    model = serde.parse(tiny_models.to_bytes(odd_models.two_layers()))
    assert micro_refusals.in_log(log, model) is None


def test_a_fill_of_a_size_that_is_left_open_has_a_remedy():
    tiny = tiny_models.Tiny()
    size, zero = tiny.tensor("size", (2,), "int32"), tiny.constant("zero", np.array(0, np.int8))
    y = tiny.activation("net/gru/zeros", (1, 8), "int8")
    tiny.operator(_BUILTIN.FILL, 1, [size, zero], [y])
    model = serde.parse(tiny_models.to_bytes(tiny.finished([size], [y])))
    found = micro_refusals.in_log("Node FILL (number 0) failed to prepare", model)
    assert found.way_out == micro_refusals.OPEN_BATCH


def test_an_error_keeps_its_tensors_under_another_name():
    error = OperatorRefusedError("a.tflite: refused", (("net/a", "w"),)).renamed("a.tflite", "b.tflite")
    assert (str(error), error.tensors) == ("b.tflite: refused", (("net/a", "w"),))
    assert type(ExecutionError("a: x").renamed("a", "b")) is ExecutionError
