"""Test that dead channels leave a model without a change of its outputs, network by network and rule by rule."""

import functools

import numpy as np
import pytest

from helpers import channel_models, tiny_models
from helpers.channel_models import NETWORKS
from tflite_sparse.flatbuffer import serde
from tflite_sparse.rewrites.dead_channels import removal

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF")


def cut(model):
    """The bytes of a model, those of the model without dead channels, and what was removed."""
    content = tiny_models.to_bytes(model)
    parsed = serde.parse(content)
    found = removal.remove(parsed)
    return content, bytes(serde.serialize(parsed)), found


@functools.cache
def made(name, kind):
    net, result = NETWORKS[name](kind)
    return net, *cut(net.finished(result))


def outputs(content, samples, resolver):
    return [tiny_models.run_here(content, sample, resolver)[0] for sample in samples]


def channels(found):
    return sum(layer.outputs[0] - layer.outputs[1] for layer in found.layers)


@pytest.mark.parametrize("kind", channel_models.KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_stay_equal(name, kind):
    net, content, smaller, found = made(name, kind)
    assert channels(found)
    assert len(smaller) < len(content)
    samples = net.samples()
    for resolver in RESOLVERS:
        try:
            expected = outputs(content, samples, resolver)
        except (RuntimeError, ValueError):
            assert kind == "int16"  # which some kernels do not take
            continue
        assert len({each.tobytes() for each in expected}) > 4
        got = outputs(smaller, samples, resolver)
        if found.is_exact:
            assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True)), resolver
        else:
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
