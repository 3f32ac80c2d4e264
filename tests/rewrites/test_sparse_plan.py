"""What the sparse kernels refuse of a graph, reason by reason, and what becomes of a bias."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.rewrites import sparse_plan

INT8, INT16 = schema.TensorType.INT8, schema.TensorType.INT16


def conv(**options):
    return tiny_models.conv2d((16, 3, 3, 8), (9, 12), **options)


def matrix(**options):
    return tiny_models.fully_connected((10, 64), **options)


def graph_of(model):
    return next(graphs(serde.parse(tiny_models.to_bytes(model))))


def refused(graph):
    return sparse_plan.refusal(graph, 1, graph.uses().get(1, []))


def taken_bias(graph):
    weights = graph.constant(1)
    return [sparse_plan.plan(graph, each, Kernel.PIXEL_DELTA8, weights).takes_bias for each in graph.operators]


def of_tensor(index, **fields):
    return lambda graph: [setattr(graph.tensor(index), name, value) for name, value in fields.items()]


def of_operator(**fields):
    return lambda graph: [setattr(graph.operators[0], name, np.array(value)) for name, value in fields.items()]


def of_weights(**fields):
    return lambda graph: [setattr(graph.tensor(1).quantization, name, value) for name, value in fields.items()]


def of_output(**fields):
    return lambda graph: [setattr(graph.tensor(3).quantization, name, value) for name, value in fields.items()]


def without_options(graph):
    graph.operators[0].builtinOptions = None


def yielded(graph):
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, 1], np.int32)


def unread(graph):
    graph.operators[0].inputs = np.array([0, 2, 2], np.int32)


def shuffled(graph):
    graph.operators[0].builtinOptions.weightsFormat = 1


ALONE, OTHERS = "it is no int8 constant that operators alone read", "has other inputs or options than the kernels know"
TYPES, SCALE = "it is read or yielded with other types than int8", "it has no scale, or a zero point other than 0"
REFUSED = [
    (conv, yielded, ALONE),
    (conv, unread, ALONE),
    (conv, of_tensor(1, isVariable=True), ALONE),
    (lambda: conv(dtype="float32"), lambda graph: None, ALONE),
    (conv, without_options, f"CONV_2D {OTHERS}"),
    (conv, of_operator(inputs=[0, 1, 2, 2]), f"CONV_2D {OTHERS}"),
    (conv, of_operator(outputs=[3, 3]), f"CONV_2D {OTHERS}"),
    (conv, of_tensor(1, shape=np.array([16, 72])), f"CONV_2D {OTHERS}"),
    (matrix, of_tensor(1, shape=np.array([10, 1, 1, 64])), f"FULLY_CONNECTED {OTHERS}"),
    (conv, of_tensor(0, shape=np.array([9, 12, 8])), "it reads or yields no images"),
    (conv, of_tensor(3, shape=np.array([9, 12, 16])), "it reads or yields no images"),
    (matrix, shuffled, "its weights are shuffled"),
    (conv, of_tensor(2, shape=np.array([1, 16])), "its bias is no vector"),
    (conv, of_tensor(3, type=INT16), TYPES),
    (conv, of_output(scale=np.array([0.0], np.float32)), TYPES),
    (conv, of_output(scale=np.array([np.inf], np.float32)), TYPES),
    (conv, of_tensor(1, quantization=None), SCALE),
    (conv, of_weights(scale=None), SCALE),
    (conv, of_weights(zeroPoint=np.array([0] * 15 + [1])), SCALE),
    (conv, of_weights(scale=np.ones(2, np.float32)), "it has 2 scales, which are not one for each output"),
    (conv, of_weights(quantizedDimension=3), "it has 16 scales, which are not one for each output"),
]


@pytest.mark.parametrize(("make", "spoil", "reason"), REFUSED, ids=lambda value: value if type(value) is str else "")
def test_reasons(make, spoil, reason):
    graph = graph_of(make())
    if make is not REFUSED[3][0]:
        assert refused(graph) is None
    spoil(graph)
    assert refused(graph) == reason


@pytest.mark.parametrize("inputs", [[0, 1], [0, 1, -1]])
def test_a_bias_may_be_missing(inputs):
    graph = graph_of(conv())
    graph.operators[0].inputs = np.array(inputs, np.int32)
    assert refused(graph) is None
    assert taken_bias(graph) == [False]


def test_a_bias_may_be_the_first_tensor():
    graph = graph_of(conv())
    tensors = graph.subgraph.tensors
    tensors[0], tensors[2] = tensors[2], tensors[0]
    graph.subgraph.inputs, graph.operators[0].inputs = (np.array(each, np.int32) for each in ([2], [2, 1, 0]))
    assert refused(graph) is None
    assert taken_bias(graph) == [True]
    tensors[0].shape = np.array([1, 16], np.int32)
    assert refused(graph) == "its bias is no vector"


def test_parameters_take_the_place_of_a_bias_that_nothing_else_reads():
    assert taken_bias(graph_of(conv())) == [True]
    assert taken_bias(graph_of(conv(readers=2))) == [False, False]
    graph = graph_of(conv())
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, 2], np.int32)
    assert taken_bias(graph) == [False]


@pytest.mark.parametrize("name", ["min", "max", "scale", "zeroPoint", "quantizedDimension", "none"])
def test_a_bias_with_a_quantisation_that_is_not_worked_out_stays(name):
    graph = graph_of(conv())
    changed = {"scale": np.ones(16, np.float32), "zeroPoint": np.zeros(1, np.int64), "quantizedDimension": 1}
    if name == "none":
        graph.tensor(2).quantization = None
    else:
        setattr(graph.tensor(2).quantization, name, changed.get(name, np.zeros(16, np.float32)))
    assert taken_bias(graph) == [False]


@pytest.mark.parametrize("name", ["min", "max", "zeroPoint"])
def test_weights_with_a_quantisation_that_is_not_worked_out_are_refused(name):
    graph = graph_of(conv())
    assert sparse_plan.parameters_refusal(graph, graph.uses()[1], graph.constant(1)) is None
    setattr(graph.tensor(1).quantization, name, np.zeros(1, np.int64 if name == "zeroPoint" else np.float32))
    found = sparse_plan.parameters_refusal(graph, graph.uses()[1], graph.constant(1))
    assert found == "its quantisation could not be worked out again"


def test_options_are_those_of_the_operator():
    graph = graph_of(conv(same=False, stride=2))
    operator = graph.operators[0]
    found = sparse_plan.plan(graph, operator, Kernel.PIXEL_DELTA8, graph.constant(1)).options
    assert (found.operator, found.kernel, found.valid, found.one_scale) == ("CONV_2D", Kernel.PIXEL_DELTA8, True, False)
    assert (found.shape.shape, found.shape.strides, found.shape.dilations) == ((16, 3, 3, 8), (2, 2), (1, 1))
    points = [int(graph.tensor(index).quantization.zeroPoint[0]) for index in (0, 3)]
    assert [found.input_zero_point, found.output_zero_point] == points
    assert points[0] != points[1]
    assert (found.output_range, found.activation, found.filter_scale) == ((-128, 127), 0, 0.0)
    assert found.version == graph.model.operatorCodes[operator.opcodeIndex].version
    assert not found.keep_num_dims
    assert not found.asymmetric_quantize_inputs
    graph = graph_of(matrix(relu=True, per_channel=False, keep_num_dims=True, lead=(2, 3)))
    graph.operators[0].builtinOptions.asymmetricQuantizeInputs = True
    found = sparse_plan.plan(graph, graph.operators[0], Kernel.ROW_INDEX8, graph.constant(1)).options
    assert (found.operator, found.valid, found.one_scale) == ("FULLY_CONNECTED", False, True)
    assert (found.output_range, found.activation) == ((-20, 127), schema.ActivationFunctionType.RELU)
    assert found.keep_num_dims
    assert found.asymmetric_quantize_inputs
    assert found.filter_scale == np.float32(tiny_models.WEIGHT_SCALE)


@pytest.mark.parametrize("options", [{"dilation": 2}, {"stride": 3}], ids=str)
def test_strides_and_dilations_along_both_axes(options):
    graph = graph_of(conv(**options))
    made = graph.operators[0].builtinOptions
    made.strideH, made.dilationHFactor = made.strideH + 1, made.dilationHFactor + 2
    found = sparse_plan.filter_of(graph, graph.operators[0])
    assert found.strides == (made.strideH, made.strideW)
    assert found.dilations == (made.dilationHFactor, made.dilationWFactor)
