"""Load SavedModels without a Keras model: plain TensorFlow, ``model.export()``, subclassed models.

Their weights are the variables that the serving signature captures. The operators that read a variable tell its
purpose; they are found by following the variable through the function library of the graph.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import weakref
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.errors import ModelError, one_line
from tflite_sparse.sources import strings, tensorflow_import
from tflite_sparse.sources.arrays import Arrays, ordered
from tflite_sparse.sources.keras_types import KerasModel
from tflite_sparse.sources.source_model import (
    AS_IT_IS,
    InputSpec,
    Kernel,
    Layer,
    Loops,
    OutputSpec,
    Trace,
    UniqueNames,
)

if TYPE_CHECKING:
    from tensorflow import Module, Variable
    from tensorflow.core.framework.function_pb2 import FunctionDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.types.experimental import ConcreteFunction

_SIGNATURE = "serving_default"
_PASS_THROUGH = {"ReadVariableOp", "Identity", "Cast", "ExpandDims", "Squeeze", "Reshape", "Transpose"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_LOOPS = {"While", "StatelessWhile"}
_WRAPPER_PREFIX = "prune_low_magnitude_"

_Spec = TypeVar("_Spec")


class SavedModelSource:
    """A SavedModel with the signature to convert: the named one, else ``serving_default`` or the only one.

    Attributes:
        what: in messages that a model with layers is needed.
    """

    what = "is a SavedModel without its Keras model"

    def __init__(self, loaded: Module, name: str, folder: Path, signature: str | None = None) -> None:
        # TensorFlow reads assets from the temporary folder when it saves, so it lives as long as this object.
        weakref.finalize(self, scratch.remove, folder)
        self.name = name
        self._loaded = loaded
        self._function = _chosen(loaded.signatures, signature, name)
        inputs, outputs = self._function.structured_input_signature[1], self._function.structured_outputs
        for what, specs in (("input", inputs), ("output", outputs)):
            strings.refuse_tensors(what, [(key, spec.dtype) for key, spec in sorted(specs.items())], name)

    @classmethod
    def open(cls, path: Path, message: SavedModel, signature: str | None = None) -> SavedModelSource:
        """Open a SavedModel folder whose ``saved_model.pb`` was parsed as ``message``.

        Raises:
            ModelError: TensorFlow cannot load it, or it has no such signature.
        """
        tf = tensorflow_import.tensorflow()
        folder = scratch.lasting_folder()
        try:
            source = _without_mask_updates(path, message, folder / "model")
            loaded = tf.saved_model.load(str(source))
        except Exception as error:
            scratch.remove(folder)
            raise ModelError(f"{path} cannot be loaded as a SavedModel: {one_line(error)}") from error
        return cls(loaded, str(path), folder, signature)

    @classmethod
    def from_subclassed(cls, model: KerasModel, name: str) -> SavedModelSource:
        """Export a subclassed Keras model of either generation with Keras's ``export``, and open the result.

        Raises:
            ModelError: Keras cannot export it.
        """
        tf = tensorflow_import.tensorflow()
        folder = scratch.lasting_folder()
        exported = folder / "exported"
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Keras 2 has no argument that keeps it silent
                model.export(str(exported))
            source = _without_mask_updates(exported, read_saved_model(exported), folder / "model")
            loaded = tf.saved_model.load(str(source))
        except Exception as error:
            scratch.remove(folder)
            raise ModelError(f"{name} is a subclassed model that Keras cannot export: {one_line(error)}") from error
        made = cls(loaded, name, folder)
        made.what = "is a subclassed model, no Sequential or functional one"
        return made

    def inputs(self) -> tuple[InputSpec, ...]:
        """See :class:`SourceModel`."""
        specs = self._function.structured_input_signature[1]
        return tuple(
            InputSpec(name, tuple(spec.shape.as_list()), np.dtype(spec.dtype.as_numpy_dtype))
            for name, spec in _in_order(specs)
        )

    def kernels(self) -> list[Kernel]:
        """See :class:`SourceModel`."""
        readers, names = self._readers(), UniqueNames()  # layers that were built without a call share the name "kernel"
        return [
            Kernel(
                names.of(_bare(variable)),
                "+".join(sorted(readers.get(variable.ref(), {"unread"}))),
                tuple(variable.shape.as_list()),
                variable.numpy,
                variable.assign,
            )
            for variable in self._function.variables
            if len(variable.shape) >= 2 and variable.dtype.is_floating and not _bare(variable).endswith("/mask")
        ]

    def outputs(self) -> tuple[OutputSpec, ...]:
        """See :class:`SourceModel`."""
        return tuple(
            OutputSpec(name, tuple(spec.shape.as_list()) if spec.shape.rank is not None else ())
            for name, spec in _in_order(self._function.structured_outputs)
        )

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """See :class:`SourceModel`."""
        for variable in self._function.variables:
            if variable.dtype.is_floating:
                yield _bare(variable), variable.numpy()

    def layers(self) -> list[Layer]:
        """See :class:`SourceModel`."""
        found: dict[str, set[str]] = defaultdict(set)
        for node in self._nodes():
            path = node.name.rpartition("/")[0]
            if path:
                found[path].add(node.op)
        return [Layer(path, "+".join(sorted(operators))) for path, operators in found.items()]

    def masks(self) -> dict[str, np.ndarray]:
        """Return the masks of pruning wrappers by the name of their kernel.

        tfmot calls the mask of ``dense/kernel`` ``prune_low_magnitude_dense/mask``. In a subclassed model the wrapper
        makes the variables of its layer, and the kernel is ``prune_low_magnitude_dense/kernel``. Several kernels of one
        layer each take the next mask of their shape.
        """
        masks: dict[str, list[np.ndarray]] = defaultdict(list)
        for variable in self._function.variables:
            layer, _, leaf = _bare(variable).rpartition("/")
            folder, _, name = layer.rpartition("/")
            if leaf == "mask" and name.startswith(_WRAPPER_PREFIX):
                owner = name.removeprefix(_WRAPPER_PREFIX)
                masks[f"{folder}/{owner}".strip("/")].append(variable.numpy())
        found = {}
        for kernel in self.kernels():
            folder, _, name = kernel.name.rpartition("/")[0].rpartition("/")
            waiting = masks.get(f"{folder}/{name.removeprefix(_WRAPPER_PREFIX)}".strip("/"), [])
            place = next((i for i, mask in enumerate(waiting) if mask.shape == kernel.shape), None)
            if place is not None:
                found[kernel.name] = waiting.pop(place)
        return found

    def layer_kinds(self) -> Counter[str]:
        """See :class:`SourceModel`."""
        return Counter(node.op for node in self._nodes())

    def compute(self, x: Arrays) -> dict[str, np.ndarray]:
        """See :class:`SourceModel`."""
        tf = tensorflow_import.tensorflow()
        names = tuple(spec.name for spec in self.inputs())
        fed = {name: tf.constant(array) for name, array in zip(names, ordered(x, names), strict=True)}
        return {name: np.asarray(value, np.float32) for name, value in self._function(**fed).items()}

    def compute_many(self, x: Arrays) -> dict[str, np.ndarray]:
        """See :class:`SourceModel`."""
        return self.compute(x)

    def loops(self) -> Loops:
        """See :class:`SourceModel`."""
        return Loops(any=bool(_LOOPS & set(self.layer_kinds())))

    def save_for_conversion(self, folder: Path, trace: Trace = AS_IT_IS) -> None:
        """See :class:`SourceModel`."""
        tf = tensorflow_import.tensorflow()
        function = self._function
        if trace.shapes:
            specs = {
                spec.name: tf.TensorSpec(trace.shapes.get(spec.name, spec.shape), spec.dtype, name=spec.name)
                for spec in self.inputs()
            }
            loaded = self._function
            function = tf.function(lambda **inputs: loaded(**inputs)).get_concrete_function(**specs)
        tf.saved_model.save(self._loaded, str(folder), signatures={_SIGNATURE: function})

    def _nodes(self) -> Iterator[NodeDef]:
        """Yield the nodes of the signature and of the functions that it calls, without those that compute nothing."""
        definition = self._function.graph.as_graph_def()
        for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
            for node in nodes:
                if node.op not in _PASS_THROUGH | _CALLS | {"Const", "NoOp", "Placeholder"}:
                    yield node

    def _readers(self) -> dict[Hashable, set[str]]:
        """Return for each captured variable the kinds of operator that read its value."""
        graph = self._function.graph
        definition = graph.as_graph_def()
        library = {function.signature.name: function for function in definition.library.function}
        handles = {id(variable.handle): variable.ref() for variable in self._function.variables}
        readers: dict[Hashable, set[str]] = defaultdict(set)
        for external, internal in graph.captures:
            owner = handles.get(id(external))
            if owner is not None:
                readers[owner].update(_reading_operators(definition.node, internal.op.name, library, set()))
        return dict(readers)


def _chosen(signatures: Mapping[str, ConcreteFunction], wanted: str | None, name: str) -> ConcreteFunction:
    """Return the named signature, else ``serving_default``, else the only one."""
    if wanted is None and len(signatures) == 1:
        return next(iter(signatures.values()))
    chosen = _SIGNATURE if wanted is None else wanted
    if chosen in signatures:
        return signatures[chosen]
    if not signatures:
        raise ModelError(f"{name} has no signatures. Save it with one: tf.saved_model.save(..., signatures=...).")
    found = "; ".join(f"{key}({_inputs_in_words(function)})" for key, function in sorted(signatures.items()))
    cure = " Choose one with `signature`." if wanted is None else ""
    raise ModelError(f"{name} has no signature {chosen!r}, it has: {found}.{cure}")


def _in_order(specs: Mapping[str, _Spec]) -> list[tuple[str, _Spec]]:
    """Sort by name, ``output_2`` before ``output_10``: the order of the model where Keras made the names."""
    return sorted(specs.items(), key=lambda item: [part.zfill(9) for part in re.split(r"(\d+)", item[0])])


def _inputs_in_words(function: ConcreteFunction) -> str:
    specs = sorted(function.structured_input_signature[1].items())
    return ", ".join(
        f"{key}: {spec.dtype.name} {'of any shape' if spec.shape.rank is None else tuple(spec.shape.as_list())}"
        for key, spec in specs
    )


def _reading_operators(
    nodes: Sequence[NodeDef], name: str, library: Mapping[str, FunctionDef], seen: set[tuple[int, str]]
) -> Iterator[str]:
    if (id(nodes), name) in seen:
        return
    seen.add((id(nodes), name))
    for node in nodes:
        for position, source in enumerate(node.input):
            if source.split(":")[0] != name or source.startswith("^"):
                continue
            if node.op in _PASS_THROUGH:
                yield from _reading_operators(nodes, node.name, library, seen)
            elif node.op in _CALLS:
                function = library[node.attr["f"].func.name]
                argument = function.signature.input_arg[position].name
                yield from _reading_operators(function.node_def, argument, library, seen)
            else:
                yield node.op


def read_saved_model(path: Path) -> SavedModel:
    """Parse the ``SavedModel`` message of a SavedModel folder.

    Raises:
        ModelError: it cannot be parsed.
    """
    tensorflow_import.tensorflow()
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except Exception as error:
        raise ModelError(
            f"{path} cannot be loaded as a SavedModel: its saved_model.pb is damaged ({error})."
        ) from error


def _without_mask_updates(path: Path, message: SavedModel, copy: Path) -> Path:
    """Return the SavedModel at ``path``, or a copy in which tfmot's wrappers no longer write to their kernels.

    A wrapper multiplies its kernel by its mask at every call. A variable that is written to cannot become a constant.
    """
    functions = [function for graph in message.meta_graphs for function in graph.graph_def.library.function]
    if not sum(_drop_assignments(function) for function in functions):
        return path
    shutil.copytree(path, copy, symlinks=False)
    (copy / "saved_model.pb").write_bytes(message.SerializeToString())
    return copy


def _drop_assignments(function: FunctionDef) -> int:
    """Remove the assignments of pruning wrappers from a function and return their number."""
    dropped = {
        node.name for node in function.node_def if node.op == "AssignVariableOp" and _WRAPPER_PREFIX in node.name
    }
    if not dropped:
        return 0
    kept = [node for node in function.node_def if node.name not in dropped]
    for node in kept:
        inputs = [source for source in node.input if not (source.startswith("^") and source[1:] in dropped)]
        del node.input[:]
        node.input.extend(inputs)
    del function.node_def[:]
    function.node_def.extend(kept)
    for name in [key for key, target in function.control_ret.items() if target in dropped]:
        del function.control_ret[name]
    remaining = [name for name in function.signature.control_output if name in function.control_ret]
    del function.signature.control_output[:]
    function.signature.control_output.extend(remaining)
    return len(dropped)


def _bare(variable: Variable) -> str:
    return str(variable.name).partition(":")[0]
