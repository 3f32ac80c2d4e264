"""Test whether the shapes that a file announces are those that it computes with."""

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime.announced_shapes import UntrueShape, first_untrue, refusal

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def write(tmp_path):
    def to_file(model):
        path = tmp_path / "model.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return to_file


def test_blocks_of_a_free_batch_are_more_than_announced(write):
    path = write(odd_models.dilated())
    assert first_untrue(path) == UntrueShape("net/conv/blocks", "SPACE_TO_BATCH_ND", (1, 6, 6, 16), (4, 6, 6, 16))
    found = refusal(path)
    assert found.startswith("it leaves the batch open: convert it with a batch of 1 (SPACE_TO_BATCH_ND yields ")
    assert "of shape (4, 6, 6, 16), and the file announces (1, 6, 6, 16)" in found


def test_what_no_open_batch_explains_is_told_otherwise(write):
    found = refusal(write(odd_models.dilated(open_axes=())))
    assert found.startswith("its shapes are known only while it runs: replace the layer (SPACE_TO_BATCH_ND")


@pytest.mark.parametrize(
    "model",
    [
        odd_models.dilated(4, open_axes=()),
        odd_models.dilated(4),  # an open batch harms nothing by itself
        tiny_models.fully_connected(dynamic=True),
        tiny_models.conv2d_in_subgraph(),
        tiny_models.lstm(),
        odd_models.accumulator(),
    ],
    ids=["dilated", "open", "dense", "while", "lstm", "variable"],
)
def test_true_shapes(model, write):
    path = write(model)
    assert first_untrue(path) is None
    assert refusal(path) is None


def test_a_shape_in_a_loop_is_seen_as_well(write):
    model = tiny_models.conv2d_in_subgraph()
    body = model.subgraphs[2]
    outputs = {int(index) for operator in body.operators for index in operator.outputs}
    inner = next(index for index in sorted(outputs) if len(body.tensors[index].shape) == 4)
    body.tensors[inner].shape = np.array([1, 1, 1, 16], np.int32)
    assert first_untrue(write(model)).announced == (1, 1, 1, 16)


def test_an_open_size_that_the_file_announces_as_1_is_asked_for(write):
    model = tiny_models.conv2d(image=(1, 1))
    model.subgraphs[0].tensors[0].shapeSignature = np.array([-1, -1, -1, 64], np.int32)
    assert refusal(write(model)) == (
        "it leaves axis 1 of input 'x' open: convert it with the size that the app will feed"
    )


def test_an_open_size_with_a_default_is_no_refusal(write):
    assert refusal(write(odd_models.dilated(4, open_axes=(0, 1, 2)))) is None


def test_nothing_is_known_of_a_file_that_does_not_run(write):
    path = write(odd_models.custom())
    with pytest.raises(ExecutionError, match="Mine"):
        first_untrue(path)
    assert refusal(path) is None
