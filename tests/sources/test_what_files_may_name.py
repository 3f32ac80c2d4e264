"""Test which classes, functions and operators a model file may name, without Keras and TensorFlow."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.sources.untrusted import refuse_code_in_config, refuse_code_in_graph

PATH = Path("model.keras")


def refused(config, words, custom=()):
    with pytest.raises(ModelError, match=words):
        refuse_code_in_config(config, PATH, custom)


def let_through(config, custom=()):
    refuse_code_in_config(config, PATH, custom)


def layer(module, name="Dense", **more):
    return {"module": module, "class_name": name, "config": {"units": 3}, **more}


TRUSTED = ("keras", "tf_keras", "tensorflow_model_optimization.python.core.sparsity.keras")


@pytest.mark.parametrize("root", TRUSTED)
def test_classes_of_keras_and_of_its_submodules_are_allowed(root):
    for module in (root, f"{root}.layers", f"{root}.src.layers.core"):
        let_through(layer(module))


@pytest.mark.parametrize("root", TRUSTED)
@pytest.mark.parametrize("module", ["{}_evil", "{}_evil.layers", "{}x.layers", "{}-evil", "evil.{}", "evil.{}.layers"])
def test_modules_whose_name_only_holds_that_of_keras_are_not_trusted(root, module):
    refused(layer(module.format(root)), "'Dense', which Keras does not know")


@pytest.mark.parametrize("module", ["", "ker", "os", "tensorflow", "tensorflow_model_optimization.python.core"])
def test_other_modules_are_not_trusted(module):
    refused(layer(module), "'Dense', which Keras does not know")


def test_a_class_is_found_however_deep_it_lies():
    evil = layer("evil", "Evil")
    for inside in ({"layers": [evil]}, [[{"config": {"cell": evil}}]], layer("keras.layers", config={"inner": [evil]})):
        refused(inside, "'Evil', which Keras does not know")


def test_a_class_of_the_user_is_allowed_by_either_name():
    evil = layer("evil", "Mine", registered_name="Custom>Mine")
    for custom in ({"Mine"}, {"Custom>Mine"}):
        let_through(evil, custom)
    refused(evil, "'Mine'", {"Min", "Custom"})


def function(module, name="relu"):
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


@pytest.mark.parametrize(
    "module",
    ["keras.activations", "tf_keras.losses", "keras.src.metrics.accuracy", "keras.api.regularizers", "builtins"],
)
def test_functions_of_keras_are_allowed(module):
    let_through(function(module))
    let_through(function(module, {"name": "relu"}))


@pytest.mark.parametrize(
    "module",
    [
        "keras",
        "keras.utils",
        "keras.src.utils.file_utils",
        "keras.activations_evil",
        "keras_evil.activations",
        "tf_kerasx.activations",
        "kerasxactivations",
        "evil.keras.activations",
        "evilkeras.activations",
        "os",
    ],
)
def test_other_functions_are_not(module):
    refused(function(module, "get_file"), "'get_file', which Keras does not know")
    refused(function(module, {"name": "get_file"}), "'get_file', which Keras does not know")
    let_through(function(module, "mine"), {"mine"})


@pytest.mark.parametrize("name", ["Lambda", "__lambda__", "__tensor_lambda__"])
def test_lambdas_are_refused_also_where_the_user_gives_the_name(name):
    refused(layer("keras.layers", name, config={"name": "square"}), "'square' is a Lambda layer", {name})
    refused({"class_name": name, "config": None}, "a layer is a Lambda layer")


OPERATION_LAYERS = (
    "TFOpLambda",
    "SlicingOpLambda",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
    "TensorFlowOpLayer",
)


@pytest.mark.parametrize("kind", OPERATION_LAYERS)
@pytest.mark.parametrize(
    "called", ["math.add", "nn.relu", "compat.v1.nn.relu", "linalg.matmul", "concat", "image.resize"]
)
def test_plain_mathematics_is_allowed(kind, called):
    let_through({"class_name": kind, "config": {"function": called}})


@pytest.mark.parametrize("kind", OPERATION_LAYERS)
@pytest.mark.parametrize(
    "called",
    ["io.write_file", "maths.add", "mathadd", "nnx.relu", "io.math.add", "concatenated", "py_function", 3, None],
)
def test_other_functions_of_tensorflow_are_refused(kind, called):
    refused({"class_name": kind, "config": {"function": called}}, "only plain mathematics")
    refused({"class_name": kind, "config": called}, "only plain mathematics")


# SavedModels: the parts of the message that are checked.


def node(operator, name="node", inputs=(), calls=(), branches=(), inside=""):
    attributes = {f"f{i}": attribute(function) for i, function in enumerate(calls)}
    if branches:
        attributes["branches"] = attribute("", *branches)
    if inside:
        attributes["f"] = attribute("other", inside=inside)
    return SimpleNamespace(op=operator, name=name, input=list(inputs), attr=attributes)


def attribute(function, *several, inside=""):
    called, *branches = (SimpleNamespace(name=name, attr={}) for name in (function, *several))
    if inside:  # a function that takes another one
        called.attr["f"] = attribute(inside)
    return SimpleNamespace(func=called, list=SimpleNamespace(func=branches))


def tensors(*names):
    return {f"key{i}": SimpleNamespace(name=name) for i, name in enumerate(names)}


def meta_graph(nodes=(), functions=(), objects=(), saver="", restore="", signature=((), ()), collection=()):
    library = [SimpleNamespace(signature=SimpleNamespace(name=name), node_def=list(held)) for name, *held in functions]
    inputs, outputs = (tensors(*names) for names in signature)
    return SimpleNamespace(
        graph_def=SimpleNamespace(node=list(nodes), library=SimpleNamespace(function=library)),
        saver_def=SimpleNamespace(save_tensor_name=saver, restore_op_name=restore),
        signature_def={"serving_default": SimpleNamespace(inputs=inputs, outputs=outputs)},
        collection_def={"saved_model_main_op": SimpleNamespace(node_list=SimpleNamespace(value=list(collection)))},
        object_graph_def=objects or object_graph(),
    )


def object_graph(functions=(), of_a_node=(), bare=""):
    named = SimpleNamespace(
        function=SimpleNamespace(concrete_functions=list(of_a_node)),
        bare_concrete_function=SimpleNamespace(concrete_function_name=bare),
    )
    return SimpleNamespace(concrete_functions=dict.fromkeys(functions), nodes=[named])


def graph_refused(operator, *graphs):
    with pytest.raises(ModelError, match=f"operator {operator}, which reaches files or Python"):
        refuse_code_in_graph(SimpleNamespace(meta_graphs=graphs), PATH)


def graph_let_through(*graphs):
    refuse_code_in_graph(SimpleNamespace(meta_graphs=graphs), PATH)


HARMLESS = meta_graph([node("MatMul")], [("serve", node("Relu"), node("RestoreV2"))])
REACH_FILES = """
    WriteFile ReadFile MatchingFiles ImmutableConst PyFunc PyFuncStateless EagerPyFunc CreateSummaryFileWriter
    CreateSummaryDbWriter LoadAndRemapMatrix GenerateVocabRemapping Save SaveSlices DebugIdentity DebugIdentityV2
    DebugNanCount DebugNumericSummary DebugNumericSummaryV2 LoadDataset SaveDataset SaveDatasetV2 DistributedSave
    SnapshotDataset SnapshotDatasetV2 SnapshotDatasetReader SnapshotChunkDataset ListSnapshotChunksDataset
    CacheDataset CacheDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord TextLineDataset TFRecordDataset
    TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 CSVDataset CSVDatasetV2
    ExperimentalCSVDataset LMDBDataset ExperimentalLMDBDataset SqlDataset ExperimentalSqlDataset RecordInput
    WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2
    FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader
""".split()  # noqa: SIM905 - as in the module


def test_operators_that_compute_are_allowed():
    graph_let_through(HARMLESS)


@pytest.mark.parametrize("operator", REACH_FILES)
def test_operators_that_reach_files_or_python_are_refused_wherever_they_are(operator):
    for hostile in ([node("Relu"), node(operator)], [node(operator), node("Relu")]):
        for graph in (meta_graph(hostile), meta_graph(functions=[("f", node("Relu")), ("g", *hostile)])):
            graph_refused(operator, graph)
            graph_refused(operator, HARMLESS, graph)
            graph_refused(operator, graph, HARMLESS)


def printing(stream):
    found = node("PrintV2")
    if stream is not None:
        found.attr["output_stream"] = SimpleNamespace(s=stream, **vars(attribute("")))
    return meta_graph(functions=[(SERVE, node("StringFormat"), found)])


@pytest.mark.parametrize("stream", [None, b"", b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)"])
def test_prints_to_the_streams_of_the_program_are_allowed(stream):
    graph_let_through(printing(stream))


@pytest.mark.parametrize("stream", [b"file:///home/user/.profile", b"file://x", b"x", b"log(info)file://x"])
def test_prints_to_files_are_refused(stream):
    graph_refused("PrintV2", printing(stream))


# The form of TensorFlow: only a node that ``save_tensor_name`` names calls the functions.
SAVE, RESTORE, SERVE = "__inference__traced_save_61", "__inference__traced_restore_77", "__inference_serve_12"
FUNCTIONS = [
    (SERVE, node("ReadVariableOp"), node("MatMul")),
    (SAVE, node("SaveV2"), node("MergeV2Checkpoints")),
    (RESTORE, node("RestoreV2")),
]
NODES = [
    node("Placeholder", "x"),
    node("StatefulPartitionedCall", "call", ["x"], [SERVE]),
    node("Placeholder", "saver_filename"),
    node("StatefulPartitionedCall", "call_1", ["saver_filename"], [SAVE]),
    node("StatefulPartitionedCall", "call_2", ["saver_filename"], [RESTORE]),
    node("NoOp", "init"),
]
NAMES = {
    "saver": "call_1:0",
    "restore": "call_2",
    "signature": (("x:0",), ("call:0",)),
    "collection": ("init",),
    "objects": object_graph([SERVE], [SERVE], SERVE),
}


def tensorflow_2(nodes=NODES, functions=FUNCTIONS, **names):
    return meta_graph(nodes, functions, **{**NAMES, **names})


def tensorflow_1(output="y:0", sources=("x",), **names):
    nodes = [
        node("Placeholder", "x"),
        node("MatMul", "y", sources),
        node("Const", "save/Const"),
        node("SaveV2", "save/SaveV2", ["save/Const", "x"]),
        node("Identity", "save/control_dependency", ["save/Const", "^save/SaveV2"]),
        node("RestoreV2", "save/restore", ["save/Const"]),
    ]
    found = {"saver": "save/control_dependency:0", "restore": "save/restore", "signature": (("x:0",), (output,))}
    return meta_graph(nodes, **{**found, **names})


def test_the_saver_of_tensorflow_is_allowed():
    graph_let_through(tensorflow_2())
    graph_let_through(tensorflow_1())
    graph_let_through(
        tensorflow_2(functions=[*FUNCTIONS[:2], (RESTORE, node("RestoreV2")), ("unused", node("SaveV2"))])
    )


EVIL = "__inference__traced_save_1"  # no name makes a function the saver


@pytest.mark.parametrize("operator", ["SaveV2", "MergeV2Checkpoints"])
@pytest.mark.parametrize(
    "caller",
    [{"calls": [EVIL]}, {"branches": ["other", EVIL]}, {"calls": [SERVE, "between"]}, {"inside": EVIL}],
    ids=str,
)
def test_a_function_that_writes_and_that_the_model_calls_is_refused(operator, caller):
    between = ("between", node("While", calls=["other", EVIL]))
    serve = (SERVE, node("Relu"), node("StatefulPartitionedCall", **caller))
    for order in (1, -1):
        functions = [*FUNCTIONS[1:], serve, between, ("other", node("Relu")), (EVIL, node("Const"), node(operator))]
        graph_refused("SaveV2|MergeV2Checkpoints", tensorflow_2(functions=functions[::order]))
    graph_refused(operator, meta_graph(functions=[(EVIL, node(operator))], objects=object_graph([EVIL])))


@pytest.mark.parametrize(
    "names",
    [
        {"objects": object_graph([SERVE, SAVE])},
        {"objects": object_graph([SERVE], [SAVE])},
        {"objects": object_graph([SERVE], [SERVE], SAVE)},
        {"signature": (("x:0",), ("call_1:0",))},
        {"signature": (("call_1:0",), ("call:0",))},
        {"collection": ("init", "call_1")},
        {"restore": "call_1"},
        {"saver": "call:0"},
        {"saver": ""},
        {"saver": "x:0"},
    ],
    ids=str,
)
def test_the_saver_is_refused_where_something_else_names_it(names):
    graph_refused("SaveV2", tensorflow_2(**names))


@pytest.mark.parametrize("source", ["call_1", "call_1:0", "^call_1"])
def test_nodes_that_wait_for_the_saver_are_refused(source):
    graph_refused("SaveV2", tensorflow_2([*NODES, node("Identity", "more", [source])]))
    graph_refused("SaveV2", tensorflow_1(sources=["x", "^save/SaveV2"]))
    graph_refused("SaveV2", tensorflow_1(output="save/SaveV2:0"))
    graph_refused("SaveV2", tensorflow_1(output="save/control_dependency:0"))
    graph_refused("SaveV2", tensorflow_1(restore="save/SaveV2"))
    graph_refused("SaveV2", HARMLESS, tensorflow_1(restore="save/SaveV2"))
