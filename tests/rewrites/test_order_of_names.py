"""Sort inputs and outputs of a graph by names, where they are the same names, each once."""

import pytest

from helpers.tiny_models import Tiny
from tflite_sparse.flatbuffer.graph import indices
from tflite_sparse.rewrites import io_order


def model(inputs=2, outputs=3):
    """Inputs in_0, in_1, tensors 0 and 1; outputs out_0 to out_2, tensors 2 to 4."""
    tiny = Tiny()
    tensors = [tiny.tensor(f"t{number}", (1, 4), "float32") for number in range(inputs + outputs)]
    return tiny.finished(tensors[:inputs], tensors[inputs:])


@pytest.mark.parametrize(
    ("inputs", "outputs", "found"),
    [
        (("in_0", "in_1"), ("out_0", "out_1", "out_2"), None),
        (("in_1", "in_0"), ("out_0", "out_1", "out_2"), ([1, 0], [2, 3, 4])),
        (("in_0", "in_1"), ("out_2", "out_0", "out_1"), ([0, 1], [4, 2, 3])),
        (["in_1", "in_0"], ["out_1", "out_0", "out_2"], ([1, 0], [3, 2, 4])),
        (("in_1",), ("out_1", "out_0"), None),
        (("in_1", "another"), ("out_2", "out_0", "out_1"), ([0, 1], [4, 2, 3])),
        (("in_1", "in_1"), ("out_2", "out_2", "out_1"), None),
    ],
)
def test_the_order_is_that_of_the_names(inputs, outputs, found):
    made = model()
    assert io_order.restore(made, inputs, outputs) is (found is not None)
    graph = made.subgraphs[0]
    assert (indices(graph.inputs), indices(graph.outputs)) == (found or ([0, 1], [2, 3, 4]))


def test_names_that_occur_twice_have_no_order():
    made = model()
    for entry, name in zip(made.signatureDefs[0].outputs, ("a", "b", "a"), strict=True):
        entry.name = name
    assert not io_order.restore(made, ("in_0", "in_1"), ("b", "a", "a"))
    assert indices(made.subgraphs[0].outputs) == [2, 3, 4]
