"""What is refused, and the words for it; how a model becomes steps."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import generated_c, odd_models, tiny_models
from helpers.int8_graphs import Int8Graph
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.errors import ExecutionError, FlatbufferError, OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.standalone_c import core, files, reader
from tflite_sparse.target_registry import C_KERNELS, extra_files


def gelu():
    graph = Int8Graph((1, 8))
    out = graph._value("odd/Gelu", (1, 8))
    return graph.tiny.finished([graph.start], [graph._add_operator("GELU", [graph.start], [out], "GeluOptions")])


def with_edit(model, edit):
    edit(model.subgraphs[0])
    return model


def zero_point(graph):
    graph.tensors[1].quantization.zeroPoint = np.array([3], np.int64)


def other_shape(graph):
    graph.tensors[int(graph.operators[0].outputs[0])].shape = np.array([1, 3, 3, 16], np.int32)


def huge_activation(graph):
    graph.operators[0].builtinOptions.fusedActivationFunction = 5


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (gelu(), "does not have GELU"),
        (tiny_models.conv2d(groups=2), "groups"),
        (tiny_models.conv2d(dtype="float32"), "float"),
        (tiny_models.fully_connected(shuffled=True), "shuffled"),
        (with_edit(tiny_models.fully_connected(per_channel=False), zero_point), "zero points"),
        (with_edit(tiny_models.conv2d(), other_shape), "size that its filter makes"),
        (with_edit(tiny_models.conv2d(), huge_activation), "fused activation"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_operator_is_refused_in_one_line_that_names_it(model, words):
    with pytest.raises(OperatorRefusedError, match=words) as caught:
        generated_c.generated(model)
    message = str(caught.value)
    assert "\n" not in message
    name = tiny_models.operator_names(model)[0]
    assert message.startswith(f"{name} of ")
    assert caught.value.tensors[0][0]


@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_an_input_of_another_type_is_refused(dtype):
    with pytest.raises(ExecutionError, match=f"^input 'in_0' is {dtype}; int8, float32 and int32 are supported"):
        generated_c.generated(tiny_models.fully_connected(data_dtype=dtype))


@pytest.mark.parametrize(
    ("scales", "zero_point", "words"),
    [
        ([], 0, "without a scale"),
        ([0.5, 0.5], 0, "with several scales"),
        ([np.nan], 0, "with the scale nan, which is not a positive number"),
        ([-1.0], 0, "with the scale -1,"),
        ([0.5], 200, "with the zero point 200, which int8 does not hold"),
    ],
)
def test_what_is_amiss_with_a_quantisation_is_told(scales, zero_point, words):
    parsed = serde.parse(tiny_models.to_bytes(tiny_models.conv2d()))
    found = parsed.subgraphs[0].tensors[int(parsed.subgraphs[0].inputs[0])]
    found.quantization.scale, found.quantization.zeroPoint = np.array(scales, np.float32), np.array([zero_point])
    with pytest.raises(ExecutionError, match=rf"^input '\w+' is int8 {words}"):
        reader.read(parsed, core.of("generic"))


def test_an_output_that_is_no_result_is_refused():
    parsed = serde.parse(tiny_models.to_bytes(tiny_models.conv2d()))
    graph = parsed.subgraphs[0]
    graph.inputs = np.append(graph.inputs, graph.inputs[:1])
    with pytest.raises(ExecutionError, match="an input of the model is listed twice"):
        reader.read(parsed, core.of("generic"))
    constant = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected()))
    constant.subgraphs[0].outputs = np.array([1], np.int32)
    with pytest.raises(ExecutionError, match=r"^output 'weight' is a constant"):
        reader.read(constant, core.of("generic"))


def test_a_variable_is_refused():
    model = odd_models.addition("int8")
    model.subgraphs[0].tensors[0].isVariable = True
    with pytest.raises(ExecutionError, match="keeps its value between runs"):
        generated_c.generated(model)


def test_operators_that_work_out_shapes_are_left_out():
    graph = Int8Graph((1, 4, 6))
    tiny = graph.tiny
    sizes, batch, both = (tiny.tensor(name, shape, "int32") for name, shape in (("s", (3,)), ("b", ()), ("t", (2,))))
    graph._add_operator("SHAPE", [graph.start], [sizes], "ShapeOptions", outType=schema.TensorType.INT32)
    bounds = [graph._integers([each]) for each in (0, 1, 1)]
    graph._add_operator("STRIDED_SLICE", [sizes, *bounds], [batch], "StridedSliceOptions", shrinkAxisMask=1)
    graph._add_operator("PACK", [batch, graph._integers(24)], [both], "PackOptions", valuesCount=2)
    flat = graph._like("flat", (1, 24))
    graph._add_operator("RESHAPE", [graph.start, both], [flat], "ReshapeOptions")
    assert [step.operator for step in generated_c.generated(tiny.finished([graph.start], [flat])).program.steps] == [
        "RESHAPE"
    ]
    with pytest.raises(ExecutionError, match="output 'out_1' is a shape that the model works out"):
        generated_c.generated(tiny.finished([graph.start], [flat, both]))


def test_a_graph_out_of_order_is_refused():
    graph = Int8Graph((1, 8))
    assert graph.grow("RELU")
    assert graph.grow("TANH")
    model = graph.finished()
    parsed = serde.parse(tiny_models.to_bytes(model))
    for found in (model, parsed):
        found.subgraphs[0].operators.reverse()
    with pytest.raises(FlatbufferError, match="is read before an operator yields it"):
        generated_c.generated(model)
    with pytest.raises(OperatorRefusedError, match="no operator before it yields"):
        reader.read(parsed, core.of("generic"))


def test_equal_constants_are_written_once():
    twice = generated_c.generated(tiny_models.fully_connected(readers=2))
    once = generated_c.generated(tiny_models.fully_connected())
    added = twice.program.constant_bytes - once.program.constant_bytes
    assert 0 < added < 64 * 600
    assert twice.files["model.c"].count(b"_weights[") == 1


def test_the_registry_knows_every_kernel():
    assert sorted(C_KERNELS) == sorted(files.kernel_files())
    sources = generated_c.generated(tiny_models.conv2d(), prefix="net")
    names = extra_files("c", "model", {"name": "net"})
    assert set(sources.files) < set(names)
    assert "tfls_pool.c" not in sources.files
    assert b"0xFFFFFFFEu" in sources.files.get("tflite_sparse_kernels.h", b"0xFFFFFFFEu")


def test_code_for_a_cpu_without_helium_is_not_compiled_for_one():
    model = tiny_models.conv2d((16, 1, 1, 64), stride=2)
    sources = {cpu: generated_c.sparse(model, cpu) for cpu in ("cortex-m3", "generic", "cortex-m55")}
    refusing = {cpu for cpu, each in sources.items() if b'#error "MODEL_ARENA' in each.files["model.c"]}
    assert Kernel.PIXEL_DELTA8 in {step.kernel for step in sources["cortex-m3"].program.steps}
    assert refusing == {"cortex-m3"}
    assert sources["cortex-m3"].arena.nbytes < sources["generic"].arena.nbytes


def test_option_types_of_the_schema_are_those_that_readers_use():
    assert schema.ActivationFunctionType.SIGN_BIT == 5  # the one that a test above takes for unknown
