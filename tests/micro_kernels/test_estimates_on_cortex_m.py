"""The model of costs beside instructions counted in the emulator, for whole networks."""

from pathlib import Path

import pytest

import tflite_sparse
from helpers import int8_nets, tiny_models
from helpers.int8_graphs import GROWN, Int8Graph
from tflite_sparse.backends import c_instructions, in_c
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.runtime import cortex_m
from tflite_sparse.standalone_c import estimate, files
from tflite_sparse.standalone_c.header import Naming

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not cortex_m.is_available(), reason="compiler or emulator is not installed"),
]
DEMO = Path(__file__).resolve().parents[2] / "firmware_demo" / "digits.tflite"
OF_SUM, OF_OPERATOR, LARGE = 0.1, 0.2, 0.05


def demo(folder):
    tflite_sparse.decode(DEMO, folder / "dense.tflite")
    return serde.read(folder / "dense.tflite")


def parsed(net):
    return serde.parse(tiny_models.to_bytes(net.finished()))


def every_operator(seed):
    """A graph in which each operator reads the input."""
    graph = Int8Graph((1, 17, 12, 8), seed)
    ends = []
    for name in GROWN:
        graph.end = graph.start
        if graph.grow(name):
            ends.append(graph.end)
    return serde.parse(tiny_models.to_bytes(graph.finished(ends)))


NETS = {
    "demo": demo,
    "DS-CNN": lambda _: parsed(int8_nets.ds_cnn()),
    "MobileNet": lambda _: parsed(int8_nets.mobilenet()),
}


def check(model, cpu):
    sources = files.generate(model, Naming("model", "tests", "x"), cpu)
    found = c_instructions.inference(sources, cpu)
    assert found.counted
    estimated = estimate.instructions(sources.program, cpu)
    counted = [each.instructions for each in found.operators]
    far = [
        (each.operator, each.layer, guess, each.instructions)
        for each, guess in zip(found.operators, estimated, strict=True)
        if each.instructions > LARGE * sum(counted) and abs(guess / each.instructions - 1) > OF_OPERATOR
    ]
    assert not far
    assert sum(estimated) == pytest.approx(sum(counted), rel=OF_SUM)


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("net", sorted(NETS))
def test_networks(net, cpu, tmp_path):
    model = NETS[net](tmp_path)
    encode_model(model, in_c.planned(cpu, "latency"))
    check(model, cpu)


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_all_operators(cpu):
    check(every_operator(5), cpu)
