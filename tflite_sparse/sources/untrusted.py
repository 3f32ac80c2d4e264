"""Refuse model files whose loading would run or import code of the file's choice.

A configuration names classes and functions, which Keras imports. A SavedModel is a program whose initialisers run when
it is loaded. Both are checked before Keras or TensorFlow opens them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tflite_sparse.errors import ModelError
from tflite_sparse.sources import optimization_wrappers

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.core.protobuf.saved_object_graph_pb2 import SavedObjectGraph

# Modules whose classes a file may name: they define layers and parts of layers.
_TRUSTED_MODULES = ("keras", "tf_keras", *optimization_wrappers.MODULES)
_FUNCTION_MODULES = re.compile(
    r"(tf_)?keras(\.src|\.api)?(\.backend)?\.(activations|initializers|losses|metrics|regularizers|constraints)\b"
)
_LAMBDAS = {"Lambda", "__lambda__", "__tensor_lambda__"}

# Keras 2 stores a call of a TensorFlow function as a layer that names it. These functions only compute.
_OPERATION_LAYERS = {
    "TFOpLambda",
    "SlicingOpLambda",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
    "TensorFlowOpLayer",
}
_PURE_PREFIXES = ("math.", "nn.", "linalg.", "signal.", "__operators__.", "compat.v1.nn.", "compat.v1.math.")
_PURE_FUNCTIONS = frozenset(
    """
    abs add argmax argmin broadcast_to cast clip_by_value concat cos cumsum divide einsum exp expand_dims
    eye fill floor gather gather_nd identity image.resize less greater equal logical_and logical_not
    logical_or matmul maximum minimum multiply negative norm not_equal one_hot ones ones_like pad pow range
    rank reduce_max reduce_mean reduce_min reduce_prod reduce_sum repeat reshape reverse roll round shape
    sigmoid sign sin size slice split sqrt square squeeze stack strided_slice subtract sum tanh tensordot
    tile transpose unstack where zeros zeros_like compat.v1.shape compat.v1.transpose compat.v1.gather
    compat.v1.squeeze compat.v1.where keras.backend.mean keras.backend.sum
    """.split()  # noqa: SIM905 - seventy lines otherwise
)

# Operators that reach the file system or Python.
_FORBIDDEN_OPERATORS = frozenset(
    """
    WriteFile ReadFile MatchingFiles ImmutableConst PyFunc PyFuncStateless EagerPyFunc CreateSummaryFileWriter
    CreateSummaryDbWriter LoadAndRemapMatrix GenerateVocabRemapping Save SaveSlices DebugIdentity DebugIdentityV2
    DebugNanCount DebugNumericSummary DebugNumericSummaryV2 LoadDataset SaveDataset SaveDatasetV2 DistributedSave
    SnapshotDataset SnapshotDatasetV2 SnapshotDatasetReader SnapshotChunkDataset ListSnapshotChunksDataset
    CacheDataset CacheDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord TextLineDataset TFRecordDataset
    TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 CSVDataset CSVDatasetV2
    ExperimentalCSVDataset LMDBDataset ExperimentalLMDBDataset SqlDataset ExperimentalSqlDataset RecordInput
    WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2
    FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader
    """.split()  # noqa: SIM905 - fifty lines otherwise
)
_STREAMS = {b"", b"stdout", b"stderr", b"log(info)", b"log(warning)", b"log(error)"}
"""Allowed targets of ``PrintV2``, which can also write to files."""
_SAVER_OPERATORS = {"SaveV2", "MergeV2Checkpoints"}


def refuse_code_in_config(config: object, path: Path, custom: Collection[str]) -> None:
    """Refuse a configuration that makes Keras import or run something that neither Keras nor the user provides.

    Args:
        config: a model's configuration as parsed JSON.
        path: of its file, for the message.
        custom: names of classes and functions that the user provides.

    Raises:
        ModelError: names the layer, class or function, and the cure.
    """
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        if not isinstance(value, dict):
            continue
        pending.extend(value.values())
        name = value.get("class_name")
        if not isinstance(name, str):
            continue
        inner = value.get("config")
        if name in _LAMBDAS:
            raise ModelError(_lambda_message(path, inner))
        if name in _OPERATION_LAYERS:
            _refuse_impure(inner, path)
        module = value.get("module")
        if not isinstance(module, str) or name in custom or value.get("registered_name") in custom:
            continue
        if name == "function":
            _refuse_foreign_function(module, inner, path, custom)
        elif module != "builtins" and not _is_trusted(module):
            raise ModelError(custom_object_message(path, name))


def refuse_code_in_graph(saved_model: SavedModel, path: Path) -> None:
    """Refuse a SavedModel with operators that reach files or Python.

    TensorFlow's own operators for saving may write: they run when a model is saved, not when it is loaded.

    Args:
        saved_model: the parsed ``SavedModel`` message.
        path: of its folder, for the message.

    Raises:
        ModelError: names the operator.
    """
    for graph in saved_model.meta_graphs:
        found = [node.op for node in _nodes(graph) if node.op in _FORBIDDEN_OPERATORS or _prints_to_a_file(node)]
        if not found and _runs_savers(graph):
            found = [node.op for node in _nodes(graph) if node.op in _SAVER_OPERATORS]
        if found:
            raise ModelError(
                f"{path} holds the operator {found[0]}, which reaches files or Python when the model is loaded or run. "
                "Export the model again without it."
            )


def custom_object_message(path: Path, name: str) -> str:
    """Return the message for a model that needs a class or function that Keras does not have."""
    return (
        f"{path} uses {name!r}, which Keras does not know. "
        "Pass the Python file that defines it: `custom_objects='FILE.py'`."
    )


def _nodes(graph: MetaGraphDef) -> Iterator[NodeDef]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _prints_to_a_file(node: NodeDef) -> bool:
    return node.op == "PrintV2" and "output_stream" in node.attr and node.attr["output_stream"].s not in _STREAMS


def _runs_savers(graph: MetaGraphDef) -> bool:
    """Return whether an operator that writes checkpoints may run although nobody saves the model.

    TensorFlow's own are inputs of the one node that ``save_tensor_name`` names. Only that node and its inputs may
    write, directly or in a function, and no name that a loader follows may lead to them. The name of a function proves
    nothing.
    """
    callers = defaultdict(set)
    writers = set()
    for function in graph.graph_def.library.function:
        name = function.signature.name
        for node in function.node_def:
            if node.op in _SAVER_OPERATORS:
                writers.add(name)
            for called in _called(node.attr):
                callers[called].add(name)
    writers = _reachable(writers, callers)
    readers, sources = defaultdict(set), defaultdict(set)
    writing = set()
    for node in graph.graph_def.node:
        if node.op in _SAVER_OPERATORS or not writers.isdisjoint(_called(node.attr)):
            writing.add(node.name)
        for source in map(_node_name, node.input):
            readers[source].add(node.name)
            sources[node.name].add(source)
    writing = _reachable(writing, readers)
    of_saver = _reachable({_node_name(graph.saver_def.save_tensor_name)}, sources)
    return not (
        writing <= of_saver
        and writing.isdisjoint(map(_node_name, _entries(graph)))
        and writers.isdisjoint(_functions_of_objects(graph.object_graph_def))
    )


def _entries(graph: MetaGraphDef) -> Iterator[str]:
    """Yield the nodes that a loader runs or returns."""
    yield graph.saver_def.restore_op_name
    for signature in graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield tensor.name
    for collection in graph.collection_def.values():
        yield from collection.node_list.value


def _functions_of_objects(objects: SavedObjectGraph) -> Iterator[str]:
    yield from objects.concrete_functions
    for node in objects.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name


def _called(attributes: Mapping[str, AttrValue]) -> Iterator[str]:
    """Yield the functions that a node names."""
    for attribute in attributes.values():
        for function in (attribute.func, *attribute.list.func):
            yield function.name
            yield from _called(function.attr)


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _reachable(start: Collection[str], followers: Mapping[str, Collection[str]]) -> set[str]:
    """Return the names in ``start`` and all names reachable from them."""
    found, waiting = set(start), list(start)
    while waiting:
        new = set(followers.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _refuse_impure(config: object, path: Path) -> None:
    function = config.get("function") if isinstance(config, dict) else None
    if isinstance(function, str) and (function.startswith(_PURE_PREFIXES) or function in _PURE_FUNCTIONS):
        return
    raise ModelError(
        f"{path} calls the TensorFlow function {function!r} in a layer; only plain mathematics is allowed, because a "
        "file could name any function. Make it a layer class in a file of yours and pass `custom_objects='FILE.py'`."
    )


def _refuse_foreign_function(module: str, config: object, path: Path, custom: Collection[str]) -> None:
    name = config if isinstance(config, str) else config.get("name") if isinstance(config, dict) else None
    if name in custom or module == "builtins" or _FUNCTION_MODULES.match(module):
        return
    raise ModelError(custom_object_message(path, str(name)))


def _is_trusted(module: str) -> bool:
    return any(module == root or module.startswith(root + ".") for root in _TRUSTED_MODULES)


def _lambda_message(path: Path, config: object) -> str:
    layer = repr(config.get("name", "lambda")) if isinstance(config, dict) else "a layer"
    return (
        f"{path}: {layer} is a Lambda layer, and loading one runs code from the file. "
        "Make it a layer class in a file of yours, save the model again and pass `custom_objects='FILE.py'`."
    )
