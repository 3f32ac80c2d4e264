"""Which classes, functions and operators a model file may name, without Keras and TensorFlow."""

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
def test_classes_of_keras_and_of_its_submodules_are_let_through(root):
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


def test_a_class_that_the_user_gives_is_let_through_by_either_name():
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
def test_functions_of_keras_are_let_through(module):
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
def test_plain_mathematics_are_let_through(kind, called):
    let_through({"class_name": kind, "config": {"function": called}})


@pytest.mark.parametrize("kind", OPERATION_LAYERS)
@pytest.mark.parametrize(
    "called",
    ["io.write_file", "maths.add", "mathadd", "nnx.relu", "io.math.add", "concatenated", "py_function", 3, None],
)
def test_other_functions_of_tensorflow_are_refused(kind, called):
    refused({"class_name": kind, "config": {"function": called}}, "only plain mathematics")
    refused({"class_name": kind, "config": called}, "only plain mathematics")


# SavedModels: the parts of the message that are looked at.


def saved_model(nodes=(), **functions):
    def all_of(operators):
        return [SimpleNamespace(op=operator, name=f"node{i}") for i, operator in enumerate(operators)]

    library = [
        SimpleNamespace(signature=SimpleNamespace(name=name), node_def=all_of(operators))
        for name, operators in functions.items()
    ]
    graph = SimpleNamespace(node=all_of(nodes), library=SimpleNamespace(function=library))
    return SimpleNamespace(meta_graphs=[SimpleNamespace(graph_def=graph)])


SAVER = "__inference__traced_save_61"
REACH_FILES = """
    WriteFile ReadFile MatchingFiles ImmutableConst PyFunc PyFuncStateless EagerPyFunc CreateSummaryFileWriter
    CreateSummaryDbWriter LoadAndRemapMatrix LoadDataset SaveDataset SaveDatasetV2 TextLineDataset TFRecordDataset
    FixedLengthRecordDataset DebugIdentityV2 DebugIdentity Save SaveSlices
""".split()  # noqa: SIM905 - as in the module


def test_operators_that_compute_are_let_through():
    refuse_code_in_graph(saved_model(["MatMul", "Const"], serve=["Relu", "ReadVariableOp", "RestoreV2"]), PATH)


@pytest.mark.parametrize("operator", REACH_FILES)
@pytest.mark.parametrize("where", ["graph", "function", SAVER])
def test_operators_that_reach_files_or_python_are_refused_wherever_they_are(operator, where):
    hostile = [operator, "Relu"], ["Relu", operator]
    for operators in hostile:
        message = saved_model(operators) if where == "graph" else saved_model(other=["Relu"], **{where: operators})
        with pytest.raises(ModelError, match=f"operator {operator}, which reaches files or Python"):
            refuse_code_in_graph(message, PATH)
        message.meta_graphs.insert(0, saved_model(["MatMul"]).meta_graphs[0])
        with pytest.raises(ModelError, match=f"operator {operator}, which reaches files or Python"):
            refuse_code_in_graph(message, PATH)


@pytest.mark.parametrize("operator", ["SaveV2", "MergeV2Checkpoints"])
def test_only_the_saver_of_tensorflow_writes_checkpoints(operator):
    refuse_code_in_graph(saved_model([operator], **{SAVER: ["Const", operator]}), PATH)
    for function in ("__inference_serve_12", "__inference__traced_restore_7", "traced_saver", ""):
        with pytest.raises(ModelError, match=f"operator {operator}, which reaches files or Python"):
            refuse_code_in_graph(saved_model(**{SAVER: [operator], function: ["Relu", operator]}), PATH)
