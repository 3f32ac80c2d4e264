"""Load Keras models of both generations, from files and from memory.

A file is loaded by the Keras that wrote it: a ``.keras`` archive names it in ``metadata.json``, an HDF5 file in its
attribute ``keras_version``; a SavedModel of Keras 2 has a ``keras_metadata.pb``. Contents that would make Keras run
code of the file (``Lambda`` layers, classes of other modules) are refused before Keras opens it.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from tflite_sparse.errors import ModelError, one_line
from tflite_sparse.sources import (
    compiled,
    layers,
    mixed_precision,
    model_files,
    optimization_wrappers,
    recurrent,
    strings,
    tensorflow_import,
    weights_only,
)
from tflite_sparse.sources.arrays import Arrays, ordered
from tflite_sparse.sources.compiled import Compiled
from tflite_sparse.sources.containers import check_folder
from tflite_sparse.sources.custom_objects import of_file as custom_objects_of
from tflite_sparse.sources.keras_types import KerasModel, SymbolicTensor, is_model, roots_of
from tflite_sparse.sources.kernels import flatten, is_float, kernels_and_variables
from tflite_sparse.sources.saved_model import SavedModelSource, read_saved_model
from tflite_sparse.sources.source_model import AS_IT_IS, InputSpec, Kernel, Layer, Loops, OutputSpec, SourceModel, Trace
from tflite_sparse.sources.traced import TracedModel
from tflite_sparse.sources.untrusted import custom_object_message, refuse_code_in_config, refuse_code_in_graph

_SUFFIXES = (".keras", *model_files.HDF5_SUFFIXES)


class KerasSource:
    """A Sequential or Functional Keras model, with or without wrappers.

    Attributes:
        was_mixed: whether it computed in 16 bits and was rebuilt in float32.
        compiled: the loss and the optimizer that it was compiled with, where they are known.
    """

    def __init__(
        self,
        model: KerasModel,
        keras: ModuleType,
        name: str,
        *,
        was_mixed: bool = False,
        compiled: Compiled | None = None,
    ) -> None:
        self.was_mixed = was_mixed
        self.compiled = compiled
        self.model = model
        self.keras = keras
        self.name = name
        self._traced: dict[Trace, TracedModel] = {}

    def inputs(self) -> tuple[InputSpec, ...]:
        """See :class:`SourceModel`."""
        return tuple(
            InputSpec(_parameter(tensor.name), _shape(tensor), _dtype(tensor.dtype)) for tensor in self.model.inputs
        )

    def kernels(self) -> list[Kernel]:
        """See :class:`SourceModel`."""
        return [kernel for _, kernel in kernels_and_variables(self.model)]

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """See :class:`SourceModel`."""
        for variable in self.model.weights:
            if is_float(variable):
                yield str(getattr(variable, "path", variable.name)).partition(":")[0], np.asarray(variable.numpy())

    def layers(self) -> list[Layer]:
        """See :class:`SourceModel`."""
        return [description for _, description in layers.found_in(self.model)]

    def outputs(self) -> tuple[OutputSpec, ...]:
        """See :class:`SourceModel`."""
        shapes = [_shape(tensor) for tensor in self.model.outputs]
        return tuple(OutputSpec(name, shape) for name, shape in zip(self._output_names(), shapes, strict=True))

    def layer_kinds(self) -> Counter[str]:
        """See :class:`SourceModel`."""
        return Counter(type(layer).__name__ for layer in flatten(self.model) if layer is not self.model)

    def copied(self) -> KerasSource:
        """Return an independent model with the same weights.

        Raises:
            ModelError: a layer cannot be made from its configuration.
        """
        try:
            with optimization_wrappers.scopes(self.layer_kinds().keys()):
                copy = self.keras.models.clone_model(self.model)
        except Exception as error:
            raise ModelError(f"{self.name} cannot be copied for training: {one_line(error)}") from error
        copy.set_weights(self.model.get_weights())
        for layer in flatten(copy):
            if hasattr(layer, "adapt_mean") and hasattr(layer, "finalize_state"):
                layer.finalize_state()  # Normalization of Keras 3 computes with values that it takes from its weights
        return KerasSource(copy, self.keras, self.name, was_mixed=self.was_mixed, compiled=self.compiled)

    def compute(self, x: Arrays) -> dict[str, np.ndarray]:
        """See :class:`SourceModel`."""
        outputs = tensorflow_import.tensorflow().nest.flatten(self.model(self.fed(x), training=False))
        return dict(zip(self._output_names(), (np.asarray(output, np.float32) for output in outputs), strict=True))

    def compute_many(self, x: Arrays) -> dict[str, np.ndarray]:
        """See :class:`SourceModel`; the graph is that of the conversion, which says why if a model has none."""
        fixed = {spec.name: (None, *spec.shape[1:]) for spec in self.inputs() if spec.shape[0] is not None}
        try:
            traced = self._traced_as(replace(AS_IT_IS, shapes=fixed))
        except Exception:  # noqa: BLE001 - code of layers may raise anything
            return self.compute(x)
        return traced.compute(ordered(x, tuple(spec.name for spec in self.inputs())))

    def loops(self) -> Loops:
        """See :class:`SourceModel`."""
        return recurrent.describe(flatten(self.model))

    def save_for_conversion(self, folder: Path, trace: Trace = AS_IT_IS) -> None:
        """See :class:`SourceModel`."""
        self._traced_as(trace).save(folder)

    def _traced_as(self, trace: Trace) -> TracedModel:
        if trace not in self._traced:
            self._traced[trace] = self._trace(trace)
        return self._traced[trace]

    def _trace(self, trace: Trace) -> TracedModel:
        tf = tensorflow_import.tensorflow()
        specs = [
            tf.TensorSpec(trace.shapes.get(spec.name, spec.shape), spec.dtype, name=spec.name) for spec in self.inputs()
        ]
        names = self._output_names()
        model = self.model

        @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
        def serve(*inputs: object) -> dict[str, object]:
            fed = inputs[0] if len(inputs) == 1 else tf.nest.pack_sequence_as(model.input, inputs)
            outputs = model(fed, training=False)
            return dict(zip(names, tf.nest.flatten(outputs), strict=True))

        with (
            recurrent.unrolled(flatten(model)) if trace.unrolled else nullcontext(),
            layers.named(model, tf) if trace.named else nullcontext(),
        ):
            return TracedModel(serve.get_concrete_function())

    def fed(self, x: Arrays) -> object:
        """Return samples in the structure of the model's inputs: an array, a list or a dict."""
        return self._packed("input", x, tuple(spec.name for spec in self.inputs()))

    def labelled(self, y: np.ndarray | Mapping[str, object]) -> object:
        """Return labels, or one value for each output, in the structure of the model's outputs."""
        return self._packed("output", y, tuple(self._output_names()))

    def _packed(self, attribute: str, values: np.ndarray | Mapping[str, object], names: tuple[str, ...]) -> object:
        if not isinstance(values, Mapping):
            return values
        structure = getattr(self.model, attribute)  # read late: Sequential models of Keras 3 have none
        return tensorflow_import.tensorflow().nest.pack_sequence_as(structure, [values[name] for name in names])

    def _output_names(self) -> list[str]:
        given = getattr(self.model, "output_names", None)
        count = len(self.model.outputs)
        names = [_identifier(name) for name in given or ()]
        return names if len(set(names)) == count else [f"output_{i}" for i in range(count)]


def check_path(path: Path) -> None:
    """Refuse a path that cannot be a model, by its name.

    Raises:
        ModelError: there is no such file or folder, or the suffix is unknown.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder.")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in _SUFFIXES:
        return
    if suffix == ".tflite":
        raise ModelError(f"{path} is a .tflite file already; export starts from a Keras model or a SavedModel.")
    raise ModelError(f"{path}: expected a .keras, .h5 or .hdf5 file or a SavedModel folder.")


def open_model(
    path: Path, custom_objects: Path | None = None, builder: str | None = None, signature: str | None = None
) -> SourceModel:
    """Open a model file or SavedModel folder without running code of it.

    Args:
        path: ``.keras`` (Keras 2 or 3), ``.h5`` / ``.hdf5``, or a SavedModel folder.
        custom_objects: Python file that defines the model's own layers; it *is* run.
        builder: ``path/to/module.py:function`` that returns the model for a file with weights only; it *is* run.
        signature: name of a SavedModel's signature; a Keras model in the folder is then ignored.

    Raises:
        ModelError: the model is missing, unreadable or no model, or an argument that it needs is missing.
    """
    check_path(path)
    suffix = path.suffix.lower()
    if builder is not None and (path.is_dir() or suffix == ".keras"):
        raise ModelError(_whole_model_message(path))
    if path.is_dir():
        return _open_saved_model(path, custom_objects, signature)
    if signature is not None:
        raise ModelError(f"{path} is no SavedModel folder, and only those have signatures: leave `signature` out.")
    if suffix == ".keras":
        config, version = model_files.read_keras_archive(path)
    else:
        whole = model_files.read_hdf5(path)
        if whole is None:
            return _with_weights_of(path, builder, custom_objects)
        if builder is not None:
            raise ModelError(_whole_model_message(path))
        config, version = whole
    is_keras2 = version.split(".")[0] in ("1", "2")
    keras = tensorflow_import.keras2() if is_keras2 else tensorflow_import.keras3()
    custom = custom_objects_of(custom_objects, keras)
    refuse_code_in_config(config, path, custom)
    return _load(path, keras, custom, version, config)


def _with_weights_of(path: Path, builder: str | None, custom_objects: Path | None) -> SourceModel:
    if builder is None:
        raise ModelError(
            f"{path} holds weights only, and the architecture is needed: give `builder='FILE.py:FUNCTION'`, a "
            "function of yours that returns the built model; or load them in Python and save it whole as .keras."
        )
    model = weights_only.build(path, builder)
    keras = _generation(model)
    return _as_source(model, keras, str(path), custom_objects_of(custom_objects, keras))


def _whole_model_message(path: Path) -> str:
    return f"{path} holds a whole model: leave `builder` out; it is for .h5 files with weights only."


def from_memory(model: object) -> SourceModel:
    """Return a source for a Keras model in memory, of either generation.

    Raises:
        ModelError: the object is no Keras model.
    """
    if not is_model(model):
        raise ModelError(f"expected a Keras model or the path of one, not an object of type {type(model).__name__}.")
    return _as_source(model, _generation(model), model.name, found=compiled.of_model(model))


def _generation(model: KerasModel) -> ModuleType:
    """Return the Keras that a model in memory belongs to."""
    return tensorflow_import.keras2() if "tf_keras" in roots_of(model) else tensorflow_import.keras3()


def _as_source(
    model: KerasModel,
    keras: ModuleType,
    name: str,
    custom: Mapping[str, object] | None = None,
    found: Compiled | None = None,
) -> SourceModel:
    strings.refuse_layers(flatten(model), name)
    for what in ("input", "output"):
        tensors = getattr(model, f"{what}s", None) or ()
        strings.refuse_tensors(what, [(_identifier(tensor.name), tensor.dtype) for tensor in tensors], name)
    mixed = next((layer.name for layer in flatten(model) if "16" in str(getattr(layer, "compute_dtype", ""))), None)
    cause: Exception | None = None
    if mixed is not None and getattr(model, "inputs", None):
        try:
            in_float32 = mixed_precision.in_float32(model, custom or {})
            return KerasSource(in_float32, keras, name, was_mixed=True, compiled=found)
        except Exception as error:  # noqa: BLE001 - a layer's own code may raise anything; cause of the error below
            cause = error
    if mixed is not None:
        raise ModelError(
            f"{name}: layer {mixed!r} computes in 16 bits (mixed precision), which cannot be converted. Build the "
            "model under the policy 'float32', load the weights into it and save that one."
        ) from cause
    if getattr(model, "inputs", None):
        return KerasSource(model, keras, name, compiled=found)
    if not model.built:
        raise ModelError(f"{name} is a subclassed model that was never called: call it on one batch before saving it.")
    if not _was_called(model):
        _call_on_symbols(model, keras, name)
    return SavedModelSource.from_subclassed(model, name)


def _was_called(model: KerasModel) -> bool:
    """Whether a subclassed model was called, which Keras has to know its inputs for an export."""
    if hasattr(model, "_called"):
        return bool(model._called)
    return model._get_save_spec() is not None  # tf_keras before 2.20


def _call_on_symbols(model: KerasModel, keras: ModuleType, name: str) -> None:
    """Call a subclassed model that is built but was never called, such as one loaded from a ``.keras`` file.

    Keras exports only models that were called. The shapes are those that the model was built with.
    """
    config = model.get_build_config() or {}
    known = config.get("shapes_dict")
    shapes = known if isinstance(known, Mapping) and known else {"input_shape": config.get("input_shape")}
    try:
        model(*(_symbols(shape, keras) for shape in shapes.values()))
    except Exception as error:
        raise ModelError(f"{name} is a subclassed model that cannot be called: {one_line(error)}") from error


def _symbols(shapes: object, keras: ModuleType) -> object:
    """Return a symbolic tensor in the place of each shape of a structure."""
    if isinstance(shapes, Mapping):
        return {key: _symbols(shape, keras) for key, shape in shapes.items()}
    if not isinstance(shapes, Iterable):
        raise TypeError(f"{shapes!r} is no shape")
    sizes = list(shapes)
    if all(size is None or isinstance(size, int) for size in sizes):
        return keras.Input(batch_shape=(None, *sizes[1:]))
    return [_symbols(shape, keras) for shape in sizes]


def _load(path: Path, keras: ModuleType, custom: Mapping[str, object], version: str, config: object) -> SourceModel:
    try:
        with optimization_wrappers.scopes(optimization_wrappers.class_names(config)):
            model = keras.models.load_model(str(path), custom_objects=dict(custom), compile=False)
    except Exception as error:
        message = one_line(error)
        unknown = re.search(
            r"Unknown (?:layer|object|\w+): '?(\w+)|Could not locate (?:class|function) '(\w+)'", message
        )
        if unknown:
            raise ModelError(custom_object_message(path, unknown.group(1) or unknown.group(2))) from error
        if version == keras.__version__:
            raise ModelError(f"{path} cannot be loaded: {message}") from error
        raise ModelError(
            f"{path} was written by Keras {version} and Keras {keras.__version__} cannot load it: {message}"
        ) from error
    found = compiled.of_hdf5(path) if path.suffix.lower() in model_files.HDF5_SUFFIXES else compiled.of_config(config)
    return _as_source(model, keras, str(path), custom, found)


def _open_saved_model(path: Path, custom_objects: Path | None, signature: str | None) -> SourceModel:
    if not (path / "saved_model.pb").is_file():
        raise ModelError(f"{path} is no SavedModel: it holds no saved_model.pb.")
    message = read_saved_model(path)
    check_folder(path, message)
    refuse_code_in_graph(message, path)
    metadata = path / "keras_metadata.pb"
    if signature is not None or not metadata.is_file():
        return SavedModelSource.open(path, message, signature)
    configs = model_files.read_keras_metadata(metadata)
    root = configs[0] if configs else None
    if not isinstance(root, dict) or not root.get(
        "is_graph_network"
    ):  # a subclassed model: its class is not in the file
        return SavedModelSource.open(path, message)
    keras = tensorflow_import.keras2()
    custom = custom_objects_of(custom_objects, keras)
    refuse_code_in_config(configs, path, custom)
    return _load(path, keras, custom, "2", configs)


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name.partition(":")[0]) or "input"


def _parameter(name: str) -> str:
    """Return an input's name as a parameter name of ``tf.function``: it starts with a letter and is no keyword."""
    name = _identifier(name)
    return name if name[0].isalpha() and not keyword.iskeyword(name) else f"arg_{name}"


def _shape(tensor: SymbolicTensor) -> tuple[int | None, ...]:
    return tuple(None if size is None else int(size) for size in tensor.shape)


def _dtype(dtype: object) -> np.dtype:
    name = str(getattr(dtype, "name", dtype))
    try:
        return np.dtype(name)
    except TypeError as error:
        raise ModelError(
            f"the model has an input of type {name}, which is not supported: use a numeric input."
        ) from error
