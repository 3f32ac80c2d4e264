"""Test that kernels left dense are listed with the reason."""

import numpy as np
import pytest

from tflite_sparse.pruning import left_dense, masks
from tflite_sparse.report.text import left_dense as words
from tflite_sparse.sources.source_model import Kernel


def kernel(name, owner, shape, zeros=0.0):
    values = np.ones(shape, np.float32)
    values.reshape(-1)[: round(zeros * values.size)] = 0
    return Kernel(name, owner, shape, lambda: values, lambda new: None)


STEM = kernel("net/stem/kernel", "Conv2D", (3, 3, 16, 16))
DEPTHWISE = kernel("net/depth/depthwise_kernel", "DepthwiseConv2D", (3, 3, 300, 1))
SMALL = kernel("net/logits/kernel", "Dense", (20, 5))
LARGE = kernel("net/large/kernel", "Conv2D", (3, 3, 64, 128), zeros=0.75)
UNTOUCHED = kernel("net/other/kernel", "Dense", (64, 64))
KERNELS = [STEM, DEPTHWISE, LARGE, UNTOUCHED, SMALL]


def reasons(found):
    return {each.name: each.reason for each in found.kernels}


def test_of_a_training():
    pruned = masks.prunable_while_training(KERNELS)
    found = left_dense.while_training(KERNELS, pruned, by_rules=False)
    assert reasons(found) == {
        "net/depth/depthwise_kernel": "a depthwise kernel",
        "net/stem/kernel": "the first convolution",
        "net/logits/kernel": "fewer than 2,048 weights",
    }
    assert found.share == pytest.approx((2700 + 2304 + 100) / (2700 + 2304 + 100 + 73728 + 4096))
    assert found.is_loud
    assert not left_dense.while_training([LARGE, SMALL], [LARGE], by_rules=False).is_loud


def test_of_a_recipe():
    found = left_dense.while_training(KERNELS, [LARGE], by_rules=True)
    assert reasons(found)["net/other/kernel"] == "left out by the recipe"


def test_of_a_model_that_came_pruned():
    """Kernels that could hold zeros and do not were missed by the pruning."""
    found = left_dense.of_masked(KERNELS, masks.prunable_of(KERNELS), by_rules=False)
    assert reasons(found)["net/other/kernel"] == reasons(found)["net/stem/kernel"] == "it holds no zeros"
    assert "net/large/kernel" not in reasons(found)


def test_sentence():
    found = left_dense.of_masked(KERNELS, masks.prunable_of(KERNELS), by_rules=False)
    assert words.lines(found) == [
        "WARNING: left dense, 11.1 % of the weights: it holds no zeros: net/other/kernel (4,096), net/stem/kernel "
        "(2,304); a depthwise kernel: net/depth/depthwise_kernel (2,700); fewer than 2,048 weights: net/logits/kernel "
        "(100)."
    ]
    quiet = left_dense.of_masked([LARGE, SMALL], [LARGE], by_rules=False)
    assert words.lines(quiet) == [
        "Left dense, 0.1 % of the weights: fewer than 2,048 weights: net/logits/kernel (100)."
    ]
    assert words.lines(None) == words.lines(left_dense.LeftDense()) == []
    many = left_dense.while_training([kernel(f"net/{n}/kernel", "Dense", (9, 9)) for n in range(11)], [], by_rules=True)
    assert "net/7/kernel (81) and 3 more" in words.sentence(many)
