"""Operators with sparse weights in place of dense ones: the same outputs in TensorFlow Lite Micro, and an undo."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import micro_process, tiny_models
from tflite_sparse.codecs.streams import options as codec_options
from tflite_sparse.codecs.streams import parameters as codec_parameters
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE, MOST_PIXELS_AT_ONCE, PIXELS_AT_ONCE, Kernel
from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import (
    drop_unread_buffers,
    drop_unread_last_tensors,
    drop_unread_operator_codes,
    graphs,
    indices,
    text,
)
from tflite_sparse.rewrites import sparse_operator, sparse_plan
from tflite_sparse.runtime import micro, micro_operators

needs_compilers = pytest.mark.skipif(not micro_operators.is_available(), reason="no C and C++ compilers")


def matrix(**options):
    return tiny_models.fully_connected((10, 64), **options)


def conv(shape=(16, 3, 3, 8), image=(9, 12), **options):
    return tiny_models.conv2d(shape, image, **options)


def conv_without_bias():
    model = conv()
    model.subgraphs[0].operators[0].inputs = np.array([0, 1], np.int32)
    model.subgraphs[0].tensors[2].buffer = 0
    return model


MODELS = {
    "FULLY_CONNECTED": matrix,
    "relu": lambda: matrix(relu=True),
    "per tensor": lambda: matrix(per_channel=False),
    "without bias": lambda: matrix(bias=False),
    "rank 3": lambda: matrix(lead=(2, 3), keep_num_dims=True),
    "batch": lambda: matrix(lead=(4,)),
    "two readers": lambda: matrix(readers=2),
    "CONV_2D": conv,
    "VALID": lambda: conv(same=False),
    "stride": lambda: conv(stride=2),
    "dilation": lambda: conv(dilation=2),
    "conv per tensor": lambda: conv(per_channel=False),
    "conv without bias": conv_without_bias,
    "1x1": lambda: conv((16, 1, 1, 24)),
    "1x3": lambda: conv((16, 1, 3, 8)),
    "few values": lambda: conv(weights=tiny_models.with_few_values(tiny_models.sparse_weights((16, 3, 3, 8)))),
}


OFTEN = ("FULLY_CONNECTED", "CONV_2D", "1x1", "few values")
RUN = [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


def parsed(model):
    return serde.parse(tiny_models.to_bytes(model))


def only(model):
    """(graph, index of the weights, their readers)."""
    graph = next(graphs(model))
    for index, uses in sorted(graph.uses().items()):
        if graph.constant(index) is not None and graph.constant(index).ndim >= 2:
            return graph, index, uses
    raise AssertionError("it has no weights")


def kernels(model):
    graph, index, uses = only(model)
    values = graph.constant(index)
    return [kernel for kernel in Kernel if sparse_plan.weights_refusal(graph, uses, values, kernel) is None]


def applied(model, kernel):
    graph, index, uses = only(model)
    assert sparse_plan.refusal(graph, index, uses) is None
    assert sparse_plan.parameters_refusal(graph, uses, graph.constant(index)) is None
    sparse_operator.apply(graph, index, uses, kernel)
    drop_unread_buffers(model)
    drop_unread_operator_codes(model)
    return model


def undone(model):
    found = [sparse_operator.undo(graph) for graph in graphs(model)]
    drop_unread_operator_codes(model)
    drop_unread_last_tensors(model)
    drop_unread_buffers(model)
    return found


def contents(model):
    """All that a file says of its graph, in a form that can be compared."""
    graph = next(graphs(model))
    tensors = [
        (
            tensor.name,
            indices(tensor.shape),
            tensor.type,
            None if graph.stored_values(index) is None else graph.stored_values(index).tolist(),
            None
            if tensor.quantization is None
            else (
                np.asarray(tensor.quantization.scale).tolist(),
                indices(tensor.quantization.zeroPoint),
                tensor.quantization.quantizedDimension,
            ),
        )
        for index, tensor in enumerate(graph.subgraph.tensors)
    ]
    operators = [
        (
            graph.operator_name(operator),
            graph.model.operatorCodes[operator.opcodeIndex].version,
            indices(operator.inputs),
            indices(operator.outputs),
            operator.builtinOptionsType,
            None if operator.builtinOptions is None else vars(operator.builtinOptions),
        )
        for operator in graph.operators
    ]
    return tensors, operators


@pytest.mark.parametrize("name", MODELS)
def test_undo_gives_back_all_that_the_file_said(name):
    before = contents(parsed(MODELS[name]()))
    for kernel in kernels(parsed(MODELS[name]())):
        model = serde.parse(serde.serialize(applied(parsed(MODELS[name]()), kernel)))
        assert sparse_operator.is_present(next(graphs(model)))
        assert contents(model) != before
        assert undone(model) == [[1]]
        assert all(operator.customOptions is None for operator in next(graphs(model)).operators)
        assert contents(serde.parse(serde.serialize(model))) == before


@micro_process.needed
@needs_compilers
@pytest.mark.parametrize("name", RUN)
def test_outputs_are_those_of_the_dense_file_in_the_runtime(name, tmp_path):
    model = parsed(MODELS[name]())
    dense = tmp_path / "dense.tflite"
    dense.write_bytes(serde.serialize(model))
    shape = indices(next(graphs(model)).tensor(0).shape)
    samples = [[np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)] for seed in range(3)]
    expected = micro.run_separately(dense, samples)
    assert len(np.unique(expected.rows[0][0])) > 3
    for kernel in kernels(parsed(MODELS[name]())):
        sparse = tmp_path / f"{kernel.name}.tflite"
        sparse.write_bytes(serde.serialize(applied(parsed(MODELS[name]()), kernel)))
        found = micro.run_separately(sparse, samples)
        for row, wanted in zip(found.rows, expected.rows, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(row, wanted, strict=True)), kernel


@pytest.mark.parametrize(("asked", "tables"), [((), 1), ((1,), 1), ((2,), 2)])
def test_streams_of_shared_values_have_as_many_tables_as_asked_for(asked, tables):
    weights = tiny_models.two_kinds_of_rows()
    graph, index, uses = only(parsed(tiny_models.fully_connected(weights.shape, weights=weights)))
    sparse_operator.apply(graph, index, uses, Kernel.ROW_SHARED, *asked)
    (found,) = sparse_operator.operators(graph)
    assert found.tables == tables
    np.testing.assert_array_equal(found.weights, weights)


def test_undo_takes_stream_and_parameters_that_nothing_reads_from_the_file():
    model = applied(parsed(conv_without_bias()), Kernel.PAIR_DELTA8)
    graph = next(graphs(model))
    parameters = int(graph.operators[0].inputs[2])
    assert graph.tensor(parameters).buffer > 1
    sparse_operator.undo(graph)
    assert graph.tensor(parameters).buffer == 0


def test_undo_leaves_parameters_that_are_an_output():
    model = applied(parsed(conv_without_bias()), Kernel.PAIR_DELTA8)
    graph = next(graphs(model))
    parameters = int(graph.operators[0].inputs[2])
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, parameters], np.int32)
    sparse_operator.undo(graph)
    assert graph.tensor(parameters).buffer > 1


def test_graphs_share_the_operator_code():
    model = parsed(conv())
    model.subgraphs.append(deepcopy(model.subgraphs[0]))
    model.operatorCodes.append(schema.OperatorCodeT())
    model.operatorCodes[-1].customCode = "OTHER"
    for graph in graphs(model):
        sparse_operator.apply(graph, 1, graph.uses()[1], Kernel.PIXEL_DELTA8)
    other, code = (code for code in model.operatorCodes if code.customCode is not None)
    assert (text(other.customCode), text(code.customCode)) == ("OTHER", CUSTOM_CODE)
    assert (code.builtinCode, code.deprecatedBuiltinCode, code.version) == (32, 32, 1)


def test_other_custom_operators_are_not_sparse():
    model = parsed(tiny_models.elementwise("ADD"))
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = "OTHER"
    (graph,) = graphs(model)
    assert not sparse_operator.is_present(graph)
    assert sparse_operator.undo(graph) == []


def test_nine_bytes_an_output_and_no_quantisation_are_left():
    model = applied(parsed(conv()), Kernel.PAIR_DELTA8)
    graph = next(graphs(model))
    (operator,) = graph.operators
    assert graph.operator_name(operator) == CUSTOM_CODE
    weights, parameters = (graph.tensor(int(index)) for index in operator.inputs[1:])
    assert weights.quantization is None
    assert parameters.quantization is None
    assert indices(parameters.shape) == [9 * 16]
    assert weights.shape.dtype == parameters.shape.dtype == np.int32
    assert weights.type == parameters.type == schema.TensorType.UINT8


def test_a_bias_of_other_scales_stays_and_comes_back():
    def model():
        made = parsed(conv())
        graph = next(graphs(made))
        graph.tensor(2).quantization.scale = graph.tensor(2).quantization.scale * np.float32(1.5)
        return made

    before = contents(model())
    found = serde.parse(serde.serialize(applied(model(), Kernel.PIXEL_DELTA8)))
    assert len(next(graphs(found)).operators[0].inputs) == 4
    undone(found)
    assert contents(found) == before


def with_details(tensor):
    tensor.quantization.detailsType = schema.QuantizationDetails.CustomQuantization
    tensor.quantization.details = schema.CustomQuantizationT()
    tensor.quantization.details.custom = [1, 2, 3]


def test_details_of_a_quantisation_are_not_lost():
    graph, index, uses = only(parsed(conv()))
    with_details(graph.tensor(index))
    assert "could not be worked out" in sparse_plan.parameters_refusal(graph, uses, graph.constant(index))


@pytest.mark.parametrize(
    "mark", [with_details, lambda tensor: setattr(tensor, "shapeSignature", np.array([16], np.int32))]
)
def test_a_bias_with_more_to_it_than_parameters_hold_stays(mark):
    model = parsed(conv())
    mark(next(graphs(model)).tensor(2))
    (operator,) = next(graphs(applied(model, Kernel.PIXEL_DELTA8))).operators
    assert len(operator.inputs) == 4


def test_the_overhead_is_what_the_file_grows_by_beside_the_weights():
    for name in ("FULLY_CONNECTED", "CONV_2D", "without bias", "per tensor", "two readers"):
        graph, index, uses = only(parsed(MODELS[name]()))
        values = graph.constant(index)
        overhead = sparse_plan.overhead_bytes(graph, uses, values)
        dense = len(serde.serialize(parsed(MODELS[name]())))
        model = applied(parsed(MODELS[name]()), Kernel.PIXEL_DELTA8)
        grown = len(serde.serialize(model)) - dense
        operator = sparse_operator.operators(next(graphs(model)))[0]
        real = grown - (operator.stream_bytes - values.nbytes)
        assert real <= overhead < real + 200


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda graph: setattr(graph.tensor(0), "type", schema.TensorType.INT16),
            "it is read or yielded with other types than int8",
        ),
        (
            lambda graph: setattr(graph.tensor(1).quantization, "zeroPoint", np.array([1])),
            "it has no scale, or a zero point other than 0",
        ),
        (
            lambda graph: setattr(
                graph.operators[0].builtinOptions,
                "fusedActivationFunction",
                schema.ActivationFunctionType.TANH,
            ),
            "its fused activation is one that TensorFlow Lite Micro does not have",
        ),
        (lambda graph: setattr(graph.operators[0], "inputs", np.array([0, 1, 3])), "its bias is no int32 constant"),
        (
            lambda graph: setattr(graph.tensor(0), "shape", np.array([1, 9, 12, 16])),
            "it is a convolution in groups",
        ),
        (
            lambda graph: setattr(graph.tensor(0), "shape", np.array([1, 1, 65_536, 8])),
            "a side of its images is more than 65,535",
        ),
        (
            lambda graph: setattr(graph.tensor(1), "shapeSignature", np.array([16, 3, 3, 8])),
            "it has a signature of its shape, which a stream of weights has no place for",
        ),
    ],
)
def test_what_kernels_do_not_take_is_refused(spoil, words):
    graph, index, uses = only(parsed(conv()))
    spoil(graph)
    assert sparse_plan.refusal(graph, index, uses) == words


def test_a_stride_that_options_do_not_hold_is_refused():
    graph, index, uses = only(parsed(conv()))
    graph.operators[0].builtinOptions.strideH = 65_536
    assert sparse_plan.refusal(graph, index, uses) is None
    assert "do not fit" in sparse_plan.parameters_refusal(graph, uses, graph.constant(index))


def test_other_readers_are_refused():
    graph, index, uses = only(parsed(tiny_models.depthwise_conv2d()))
    assert "DEPTHWISE_CONV_2D reads it" in sparse_plan.refusal(graph, index, uses)


def damaged(spoil):
    model = applied(parsed(conv()), Kernel.PAIR_DELTA8)
    graph = next(graphs(model))
    spoil(graph, graph.operators[0])
    return serde.parse(serde.serialize(model))


def shorten(position):
    def spoil(graph, operator):
        tensor = graph.tensor(int(operator.inputs[position]))
        values = graph.stored_values(int(operator.inputs[position]))[:-1]
        tensor.shape = np.array([values.size], np.int32)
        graph.store(tensor, values)

    return spoil


def overwrite(place, value):
    def spoil(graph, operator):
        del graph
        operator.customOptions = np.array(operator.customOptions, np.uint8)
        operator.customOptions[place] = value

    return spoil


DAMAGES = {
    "stream": (shorten(1), "stream"),
    "parameters": (shorten(2), "parameters take"),
    "version": (overwrite(0, 9), "version 9"),
    "zero point": (overwrite(24, 7), "zero point"),
    "kernel": (overwrite(1, 99), "number 99"),
    "matrix": (overwrite(2, 4), "FULLY_CONNECTED with a filter of 3 x 3"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_operator_is_an_error_that_names_the_tensor(name):
    spoil, words = DAMAGES[name]
    with pytest.raises(FlatbufferError, match=words) as told:
        undone(damaged(spoil))
    assert "weight" in str(told.value)


@micro_process.needed
@needs_compilers
def test_a_kernel_that_does_not_take_the_filter_is_damage(tmp_path):
    """Generated C checks nothing any more."""
    model = applied(parsed(conv()), Kernel.STRIP_DELTA8)
    (graph,) = graphs(model)
    overwrite(16, 2)(graph, graph.operators[0])
    overwrite(18, 2)(graph, graph.operators[0])
    graph.tensor(int(graph.operators[0].outputs[0])).shape = np.array([1, 5, 6, 16], np.int32)
    with pytest.raises(FlatbufferError, match="STRIP_DELTA8 does not take its weights: it takes strides"):
        sparse_operator.operators(graph)
    path = tmp_path / "damaged.tflite"
    path.write_bytes(serde.serialize(model))
    with pytest.raises(ExecutionError, match="TFLITE_SPARSE"):
        micro.run_separately(path, [[np.zeros((1, 9, 12, 8), np.int8)]])


def test_an_operator_without_options_is_damaged():
    """A tensor without a name goes by its number."""
    (graph,) = graphs(applied(parsed(conv()), Kernel.PAIR_DELTA8))
    graph.operators[0].customOptions = None
    graph.tensor(1).name = None
    with pytest.raises(FlatbufferError, match=r"tensor '1', read by .* options take 0 bytes"):
        sparse_operator.operators(graph)


@pytest.mark.parametrize("inputs", [[0, 1], [0, 1, -1], [0, 1, 2, 2, 2]])
def test_an_operator_has_three_inputs_or_four(inputs):
    (graph,) = graphs(applied(parsed(conv()), Kernel.PAIR_DELTA8))
    graph.operators[0].inputs = np.array(inputs, np.int32)
    with pytest.raises(FlatbufferError, match=f"has {len(inputs)} inputs; it needs 3"):
        sparse_operator.operators(graph)


def test_an_activation_without_a_scale_is_damage():
    model = parsed(conv())
    (graph,) = graphs(model)
    graph.tensor(0).quantization.zeroPoint = np.zeros(1, np.int64)
    applied(model, Kernel.PAIR_DELTA8)
    assert sparse_operator.operators(graph)
    graph.tensor(0).quantization = None
    with pytest.raises(FlatbufferError, match="zero point"):
        sparse_operator.operators(graph)


@pytest.mark.parametrize("fields", [{"buffer": 0}, {"type": schema.TensorType.INT8}], ids=str)
@pytest.mark.parametrize("position", [1, 2])
def test_streams_and_parameters_are_constants_of_uint8(position, fields):
    (graph,) = graphs(applied(parsed(conv()), Kernel.PAIR_DELTA8))
    for name, value in fields.items():
        setattr(graph.tensor(int(graph.operators[0].inputs[position])), name, value)
    with pytest.raises(FlatbufferError, match="is no constant vector of uint8"):
        sparse_operator.operators(graph)


@micro_process.needed
@needs_compilers
@pytest.mark.parametrize("name", sorted(set(DAMAGES) - {"zero point"}))
def test_the_runtime_refuses_a_damaged_operator(name, tmp_path):
    path = tmp_path / "damaged.tflite"
    path.write_bytes(serde.serialize(damaged(DAMAGES[name][0])))
    with pytest.raises(ExecutionError, match="TFLITE_SPARSE"):
        micro.run_separately(path, [[np.zeros((1, 9, 12, 8), np.int8)]])


@micro_process.needed
@needs_compilers
def test_the_arena_holds_the_pixels_that_a_cpu_computes_at_once(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(serde.serialize(applied(parsed(conv()), Kernel.PIXEL_DELTA8)))
    plain, helium = (micro.arena(path, pixels_at_once=pixels) for pixels in (PIXELS_AT_ONCE, MOST_PIXELS_AT_ONCE))
    assert helium - plain == (MOST_PIXELS_AT_ONCE - PIXELS_AT_ONCE) * 3 * 3 * 8
    assert micro.arena(path) == helium


@micro_process.needed
@needs_compilers
def test_another_version_of_the_package_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(micro_operators.importlib.metadata, "version", lambda name: "0.dev19990101000000")
    with pytest.raises(ExecutionError, match=r"0\.dev19990101000000 is installed.*pip install tflite-micro=="):
        micro_operators.load(b"")


def test_the_layout_is_that_of_the_pinned_package():
    pins = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert f"tflite-micro=={micro_operators.LAID_OUT_FOR};" in pins


def test_a_missing_compiler_is_told(monkeypatch):
    micro_operators.library.cache_clear()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExecutionError, match="a C and a C"):
        micro_operators.library()


def test_options_and_parameters_of_a_file_are_those_of_the_graph():
    model = applied(parsed(matrix(per_channel=False)), Kernel.ROW_INDEX8)
    (found,) = sparse_operator.operators(next(graphs(model)))
    assert found.options.one_scale
    assert found.options.filter_scale == pytest.approx(tiny_models.WEIGHT_SCALE)
    assert codec_options.pack(found.options).size == codec_options.NBYTES
    assert found.parameters.to_bytes().size == codec_parameters.nbytes(10, 1)


@pytest.mark.parametrize("shape", [(1, 24), ()])
def test_a_bias_that_is_no_vector_stays(shape):
    model = tiny_models.fully_connected((24, 64))
    graph = next(graphs(model))
    (operator,) = (each for each in graph.operators if graph.operator_name(each) == "FULLY_CONNECTED")
    weights, bias = (int(operator.inputs[index]) for index in (1, 2))
    assert sparse_plan.refusal(graph, weights, graph.uses()[weights]) is None
    graph.tensor(bias).shape = np.array(shape, np.int32)
    if not shape:
        graph.model.buffers[graph.tensor(bias).buffer].data = np.zeros(4, np.uint8)
    assert sparse_plan.refusal(graph, weights, graph.uses()[weights]) == "its bias is no vector"


@pytest.mark.parametrize("readers", [1, 2])
def test_streams_that_announce_more_weights_than_a_file_may_hold_are_refused(readers, monkeypatch):
    graph = next(graphs(tiny_models.fully_connected((24, 64), readers=readers)))
    weights = int(graph.operators[0].inputs[1])
    sparse_operator.apply(graph, weights, graph.uses()[weights], Kernel.ROW_INDEX8)
    monkeypatch.setattr(sparse_operator, "DENSE_BYTES_IN_ANY_FILE", readers * 24 * 64)
    assert len(sparse_operator.operators(graph)) == readers
    monkeypatch.setattr(sparse_operator, "DENSE_BYTES_IN_ANY_FILE", readers * 24 * 64 - 1)
    with pytest.raises(FlatbufferError, match="such weights take more than"):
        sparse_operator.operators(graph)
