"""Replace SELECT by SELECT_V2."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.rewrites import select_v2

SHAPE = (2, 3)


def selecting(condition=SHAPE, shape=SHAPE):
    """``y = a where condition else b``."""
    tiny = tiny_models.Tiny()
    condition = tiny.tensor("condition", condition, "bool")
    a, b = (tiny.constant(name, np.full(shape, value, np.float32)) for name, value in (("a", 3), ("b", -5)))
    y = tiny.tensor("y", shape, "float32")
    kind, options = schema.BuiltinOptions.SelectOptions, schema.SelectOptionsT()
    tiny.operator(schema.BuiltinOperator.SELECT, 1, [condition, a, b], [y], kind, options)
    return tiny.finished([condition], [y])


def test_it_computes_the_same():
    model = serde.parse(tiny_models.to_bytes(selecting()))
    condition = np.array([[1, 0, 1], [0, 0, 1]], bool)
    (before,) = tiny_models.run_here(tiny_models.to_bytes(model), condition)
    assert select_v2.apply(model) == 1
    assert tiny_models.operator_names(model) == ["SELECT_V2"]
    assert len(model.operatorCodes) == 1
    (after,) = tiny_models.run_here(tiny_models.to_bytes(model), condition)
    np.testing.assert_array_equal(before, [[3, -5, 3], [-5, -5, 3]])
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("condition", "shape"), [((2,), SHAPE), ((1, 1, 1, 1, 2), (1, 1, 1, 1, 2))])
def test_selects_with_broadcasting_stay(condition, shape):
    model = selecting(condition, shape)
    assert select_v2.apply(model) == 0
    assert tiny_models.operator_names(model) == ["SELECT"]


def test_every_select_of_every_graph_is_looked_at():
    """One with broadcasting stands in front, another operator in between; four dimensions are the most."""
    tiny = tiny_models.Tiny()
    shape = (1, 1, 2, 3)
    ends = []
    for condition in ((1,), shape, shape):
        inputs = [tiny.tensor("condition", condition, "bool"), *(tiny.tensor("x", shape, "float32") for _ in range(2))]
        ends += [tiny.tensor("y", shape, "float32"), tiny.tensor("z", shape, "float32")]
        kind, options = schema.BuiltinOptions.SelectOptions, schema.SelectOptionsT()
        tiny.operator(schema.BuiltinOperator.SELECT, 1, inputs, ends[-2:-1], kind, options)
        tiny.operator(schema.BuiltinOperator.RELU, 1, ends[-2:-1], ends[-1:])
    model = tiny.finished([], ends)
    assert select_v2.apply(model) == 2
    assert tiny_models.operator_names(model) == ["SELECT", "RELU", "SELECT_V2", "RELU", "SELECT_V2", "RELU"]
    changed = model.subgraphs[0].operators[2]
    assert changed.builtinOptionsType == schema.BuiltinOptions.SelectV2Options
    assert isinstance(changed.builtinOptions, schema.SelectV2OptionsT)
    assert model.operatorCodes[changed.opcodeIndex].version == 1
