"""Compare the predicted shift of mean outputs with the outputs of the runtime."""

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.measurement import mean_shift
from tflite_sparse.runtime import litert

SHAPE = (8, 3, 3, 4)
MODELS = {
    "conv": lambda w: tiny_models.conv2d(SHAPE, (6, 7), "float32", weights=w(SHAPE)),
    "valid": lambda w: tiny_models.conv2d(SHAPE, (6, 7), "float32", same=False, weights=w(SHAPE)),
    "stride": lambda w: tiny_models.conv2d(SHAPE, (6, 7), "float32", stride=2, weights=w(SHAPE)),
    "valid stride": lambda w: tiny_models.conv2d(SHAPE, (6, 8), "float32", same=False, stride=2, weights=w(SHAPE)),
    "dilation": lambda w: tiny_models.conv2d(SHAPE, (6, 7), "float32", dilation=2, weights=w(SHAPE)),
    "even kernel": lambda w: tiny_models.conv2d((8, 4, 2, 4), (6, 7), "float32", weights=w((8, 4, 2, 4))),
    "large kernel": lambda w: tiny_models.conv2d((8, 5, 5, 4), (2, 3), "float32", weights=w((8, 5, 5, 4))),
    "groups": lambda w: tiny_models.conv2d(SHAPE, (6, 7), "float32", groups=2, weights=w(SHAPE)),
    "dense": lambda w: tiny_models.fully_connected((8, 20), dtype="float32", weights=w((8, 20))),
    "dense on rows": lambda w: tiny_models.fully_connected((8, 20), (1, 5), "float32", weights=w((8, 20))),
    "dense that keeps axes": lambda w: tiny_models.fully_connected(
        (8, 20), (1, 3, 2), "float32", keep_num_dims=True, weights=w((8, 20))
    ),
}  # fmt: skip


def random(shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def pruned(shape):
    values = random(shape)
    return np.where(np.abs(values) > 0.7, values, 0).astype(np.float32)


def written(model, path):
    path.write_bytes(tiny_models.to_bytes(model))
    return path


def check(before, after, tmp_path):
    """For one layer without activation function it is the difference of the mean outputs, for any padding."""
    samples = 3 + np.abs(tiny_models.samples(before, 5))
    files = written(before, tmp_path / "before.tflite"), written(after, tmp_path / "after.tflite")
    outputs = [litert.run(path, samples).real().astype(np.float64) for path in files]
    channels = outputs[0].shape[-1]
    wanted = (outputs[1] - outputs[0]).reshape(-1, channels).mean(0)
    (found,) = mean_shift.measure(*files, [samples]).values()
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(wanted).max() > 0.5


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_difference_of_the_mean_outputs(name, tmp_path):
    check(MODELS[name](random), MODELS[name](pruned), tmp_path)


@pytest.mark.parametrize("stride", [1, 2])
def test_of_a_depthwise_convolution(stride, tmp_path):
    before, after = (tiny_models.depthwise_conv2d(16, 3, (5, 6), "float32", stride=stride) for _ in range(2))
    weight = after.buffers[after.subgraphs[0].tensors[1].buffer]
    weight.data = (weight.data.view(np.float32) * np.float32(0.5)).view(np.uint8)
    check(before, after, tmp_path)


def test_weights_that_several_operators_read_are_left_out(tmp_path):
    files = [
        written(tiny_models.conv2d(SHAPE, (6, 7), "float32", weights=make(SHAPE), readers=2), tmp_path / name)
        for name, make in (("before.tflite", random), ("after.tflite", pruned))
    ]
    assert mean_shift.measure(*files, [tiny_models.samples(tiny_models.conv2d(SHAPE, (6, 7), "float32"))]) == {}
