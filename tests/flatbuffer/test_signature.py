"""Test orders of inputs and outputs: that of a signature and that of its graph."""

import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.signature import Order, differing_orders


def orders(model):
    return differing_orders(serde.parse(tiny_models.to_bytes(model)))


def two_outputs():
    """Return a model with two outputs of one shape: ``y0`` and ``y1``, in the signature ``out_0`` and ``out_1``."""
    return tiny_models.fully_connected((4, 16), readers=2)


def without_signature():
    model = two_outputs()
    model.signatureDefs = None
    return model


@pytest.mark.parametrize(
    "make", [two_outputs, odd_models.two_signatures, without_signature, lambda: odd_models.addition("float32")]
)
def test_the_same_order_is_not_told(make):
    assert orders(make()) == []


def test_an_order_of_its_own_is_told_for_each_side():
    model = two_outputs()
    model.signatureDefs[0].outputs.reverse()
    assert orders(model) == [Order("serving_default", "outputs", ("out_1", "out_0"), ("out_0", "out_1"))]
    model = odd_models.addition("float32")
    model.subgraphs[0].inputs = model.subgraphs[0].inputs[::-1].copy()
    assert orders(model) == [Order("serving_default", "inputs", ("in_0", "in_1"), ("in_1", "in_0"))]


def test_an_output_without_a_name_in_the_signature_has_that_of_its_tensor():
    model = two_outputs()
    del model.signatureDefs[0].outputs[0]
    assert orders(model) == [Order("serving_default", "outputs", ("out_1",), ("y0", "out_1"))]


def test_each_signature_is_compared_with_its_own_graph():
    model = odd_models.two_signatures(readers=2)
    model.signatureDefs[1].outputs.reverse()
    assert orders(model) == [Order("large", "outputs", ("out_1", "out_0"), ("out_0", "out_1"))]
