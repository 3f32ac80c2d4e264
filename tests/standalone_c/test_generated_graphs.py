"""Random small graphs in C, with address and undefined-behaviour sanitizers, beside TensorFlow Lite Micro."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import generated_c, tiny_models
from helpers.int8_graphs import GROWN, Int8Graph

pytestmark = generated_c.needed

SHAPES = [(1, 9, 8, 3), (1, 6, 7, 4), (1, 16)]


def chain(names, shape, seed):
    graph = Int8Graph(shape, seed)
    for name in names:
        graph.grow(name)
    return graph


def all_at_once():
    """Every operator in a few graphs, so that each is compiled and compared in little time."""
    taken = iter(range(1000))
    for start in range(0, len(GROWN), 7):
        yield GROWN[start : start + 7], SHAPES[start % 2], next(taken)


@pytest.mark.parametrize("numbered", list(all_at_once()), ids=lambda each: each[0][0])
def test_every_operator_computes_what_the_reference_does(numbered, tmp_path):
    names, shape, seed = numbered
    graph = Int8Graph(shape, seed)
    ends = []
    for name in names:
        graph.end = graph.start
        if name in ("EXPAND_DIMS", "SQUEEZE"):  # of an image flattened, and of one with another axis
            assert graph.grow("RESHAPE")
        if name == "SQUEEZE":
            assert graph.grow("EXPAND_DIMS")
        if graph.shape() and graph.grow(name):
            ends.append(graph.end)
    assert len(ends) >= len(names) - 2  # one that finds no room is in another graph of the fuzz
    wrong, arena, micro_arena = generated_c.differences(graph.finished(ends), tmp_path)
    assert wrong == 0
    assert arena <= micro_arena


@pytest.mark.slow
@settings(max_examples=6, derandomize=True)
@given(
    st.lists(st.sampled_from(GROWN), min_size=1, max_size=7),
    st.sampled_from(SHAPES),
    st.integers(0, 10_000),
    st.sampled_from(["generic", "cortex-m4", "cortex-m55"]),
)
def test_chains_compute_what_the_reference_does(names, shape, seed, cpu):
    graph = chain(names, shape, seed)
    if graph.end == graph.start:
        return
    with tempfile.TemporaryDirectory() as folder:
        wrong, arena, micro_arena = generated_c.differences(graph.finished(), Path(folder), cpu=cpu)
    assert wrong == 0
    assert arena <= micro_arena


def test_float_ports_and_positions(tmp_path):
    tiny = tiny_models.Tiny()
    x = tiny.tensor("x", (1, 5, 6), "float32")
    quantised = tiny.tensor("q", (1, 5, 6), "int8", tiny_models.quantization(0.03, -7))
    real = tiny.tensor("real", (1, 5, 6), "float32")
    place = tiny.tensor("place", (1, 5), "int32")
    kind = schema.BuiltinOptions
    tiny.operator(schema.BuiltinOperator.QUANTIZE, 1, [x], [quantised], kind.QuantizeOptions, schema.QuantizeOptionsT())
    tiny.operator(
        schema.BuiltinOperator.DEQUANTIZE, 2, [quantised], [real], kind.DequantizeOptions, schema.DequantizeOptionsT()
    )
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT32
    axis = tiny.constant("axis", np.array(2, np.int32))
    tiny.operator(schema.BuiltinOperator.ARG_MAX, 1, [quantised, axis], [place], kind.ArgMaxOptions, options)
    wrong, _, _ = generated_c.differences(tiny.finished([x], [real, place]), tmp_path)
    assert wrong == 0
