"""What operators are called: their outputs, constants of their own, or outputs of the model."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import generated_c, tiny_models
from tflite_sparse.errors import OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph
from tflite_sparse.standalone_c import layer_names

_BUILTIN = schema.BuiltinOperator


def names(tiny, inputs, outputs, output_names):
    model = serde.parse(tiny_models.to_bytes(tiny.finished(inputs, outputs)))
    return layer_names.of(Graph(model, model.subgraphs[0]), output_names)


def ends(constant="net/up/size", readers=1):
    """An operator of one layer, then one of another that yields the output of the model, with a constant."""
    tiny = tiny_models.Tiny()
    x, middle = tiny.activation("x", (1, 8), "int8"), tiny.activation("net/relu/Relu;net/relu/Add", (1, 8), "int8")
    size = tiny.constant(constant, np.array([2, 2], np.int32))
    tiny.operator(_BUILTIN.RELU, 2, [x], [middle])
    y = [tiny.activation(f"StatefulPartitionedCall_1:{place}", (1, 8), "int8") for place in range(readers)]
    for each in y:
        tiny.operator(_BUILTIN.RESIZE_BILINEAR, 1, [middle, size], [each])
    return tiny, [x], y


def test_an_operator_is_called_as_its_output():
    assert names(*ends(), ["scores"])[0] == "net/relu/Relu"


def test_an_output_of_the_model_is_called_as_a_constant_of_its_layer():
    assert names(*ends(), ["scores"])[1] == "net/up/size"


def test_constants_that_layers_share_or_that_name_none_do_not_count():
    assert names(*ends(readers=2), ["scores", "angle"])[1:] == ["scores", "angle"]
    assert names(*ends("arith.constant"), ["scores"])[1] == "scores"


def test_what_is_cast_to_an_output_is_called_as_that():
    tiny = tiny_models.Tiny()
    x, y = tiny.activation("x", (1, 8), "int8"), tiny.activation("StatefulPartitionedCall:01", (1, 8), "int8")
    real = tiny.tensor("StatefulPartitionedCall:0", (1, 8), "float32")
    tiny.operator(_BUILTIN.ELU, 1, [x], [y])
    tiny.operator(_BUILTIN.DEQUANTIZE, 1, [y], [real])
    assert names(tiny, [x], [real], ["scores"]) == ["scores", "scores"]


def test_a_refusal_tells_no_tensors_of_the_layer_before():
    tiny, inputs, outputs = ends()
    with pytest.raises(OperatorRefusedError, match=r"^RESIZE_BILINEAR of 'net/up/size': ") as caught:
        generated_c.generated(tiny.finished(inputs, outputs))
    assert caught.value.tensors == (("StatefulPartitionedCall_1:0", "net/up/size"),)
