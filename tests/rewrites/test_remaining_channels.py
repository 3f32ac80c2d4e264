"""Test which channels with weights of 0 are said to stay, and what is said to keep them."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.channel_models import CODE, OPTIONS, Network
from helpers.tiny_models import quantization
from tflite_sparse.flatbuffer import serde
from tflite_sparse.rewrites.dead_channels import removal

SOME = range(6)


def stays(net, *results, staying=None):
    """(operator, how many of its channels stay, what keeps them, its multiple)."""
    cut = removal.remove(serde.parse(tiny_models.to_bytes(net.finished(*results))), staying)
    return [(each.operator, each.channels, each.keeper, each.multiple) for each in cut.remaining]


def unknown(net, x):
    y = net.like(x)
    net.append(CODE.SOFTMAX, [x], [y], OPTIONS.SoftmaxOptions, net.options("SoftmaxOptionsT", beta=1.0))
    return net.conv(y, 6, 1)


def swished(net, x):
    """A constant other than 0 in front of a HARD_SWISH."""
    y = net.like(x)
    net.append(CODE.HARD_SWISH, [x], [y], OPTIONS.HardSwishOptions, schema.HardSwishOptionsT())
    return net.conv(net.pool(y), 6, 1)


def padded(net, x):
    """One more operator stands in front of the convolution that cannot take the constants."""
    return net.conv(net.pool(x), 6, 3)


def added(net, x):
    return net.conv(net.binary(net.conv(net.source, 16, 1), net.unary(CODE.RELU, x)), 6, 1)


FORMS = {
    "an operator that is not known": (unknown, "SOFTMAX", 0),
    "a function whose value is not known": (swished, "HARD_SWISH", 0),
    "padding": (padded, "CONV_2D", 0),
    "a sum with what varies": (added, "ADD", 0),
    "an output": (lambda net, x: x, "an input or output of the graph", 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_keeps_channels_is_named(form):
    reads, keeper, multiple = FORMS[form]
    net = Network()
    x = net.conv(net.source, 16, 1, dead=SOME)
    assert stays(net, reads(net, x)) == [("CONV_2D", 6, keeper, multiple)]


def test_channels_that_go_are_not_named():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=SOME, relu=True)
    assert stays(net, net.conv(x, 6, 1)) == []


@pytest.mark.parametrize(("dead", "left"), [(SOME, 6), (range(20), 4)])
def test_a_multiple_is_named(dead, left):
    """Of 32 channels of 0 in front of a MEAN 16 or none go: masks that leave a multiple of 8 keep some."""
    net = Network()
    x = net.conv(net.source, 32, 1, dead=dead)
    bias = net.tiny.graph.tensors[net.tiny.graph.operators[0].inputs[2]].buffer
    net.tiny.model.buffers[bias].data.view(np.int32)[list(dead)] = 0
    net.tiny.graph.tensors[x].quantization = quantization(0.02)
    y = net.mean(x, keep=True)
    net.tiny.graph.tensors[y].quantization = quantization(0.02)
    assert stays(net, net.conv(y, 6, 1)) == [("CONV_2D", left, "MEAN", 16)]


def test_the_larger_multiple_is_named():
    net = Network()
    x = net.depthwise(net.conv(net.source, 32, 1), 1, dead=SOME)
    y = net.mean(x, keep=True)
    assert stays(net, net.conv(y, 6, 1)) == [("DEPTHWISE_CONV_2D", 6, "MEAN", 16)]


def test_one_channel_that_stays_is_named():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(16), relu=True)
    y = net.conv(net.source, 6, 1)
    assert stays(net, net.conv(x, 6, 1), y) == [("CONV_2D", 1, "one channel must stay", 0)]


def test_channels_of_a_failed_comparison_are_named():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=SOME, relu=True)
    found = stays(net, net.conv(x, 6, 1), staying={(0, x): np.array([1, 3])})
    assert found == [("CONV_2D", 2, "a failed comparison", 0)]


def test_float16_weights_are_looked_at_behind_their_dequantize():
    net = Network("float16")
    x = net.conv(net.source, 16, 1, dead=SOME)
    y = net.like(x)
    net.append(CODE.SOFTMAX, [x], [y], OPTIONS.SoftmaxOptions, net.options("SoftmaxOptionsT", beta=1.0))
    assert stays(net, net.conv(y, 6, 1)) == [("CONV_2D", 6, "SOFTMAX", 0)]
