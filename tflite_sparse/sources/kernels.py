"""List the layers and kernels of a Keras model of either generation in the order of the data flow."""

from __future__ import annotations

from collections.abc import Iterator

from tflite_sparse.sources import orientation, tensorflow_import
from tflite_sparse.sources.keras_types import KerasLayer, KerasModel, Variable
from tflite_sparse.sources.optimization_wrappers import is_quantising
from tflite_sparse.sources.source_model import Kernel, UniqueNames

_ORDERED_BY_THEMSELVES = {"keras", "tf_keras", "tensorflow_model_optimization"}


def flatten(model: KerasLayer) -> Iterator[KerasLayer]:
    """Yield each layer of a Keras model once: the model itself, nested models, and cells of recurrent layers.

    A layer comes before its own layers. Those come in the order of Keras: of the data flow in Sequential and Functional
    models, of creation in subclassed models.
    """
    # Asked for all levels at once, Keras 3 lists the layers of nested models in reverse.
    seen: set[int] = set()
    waiting: list[KerasLayer] = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            waiting += reversed(list(layer._flatten_layers(include_self=False, recursive=False)))  # no public API


def kernels_and_variables(model: KerasModel) -> list[tuple[Variable, Kernel]]:
    """Return every trainable weight of rank 2 or more of a built Keras model, each once, beside its variable.

    The order is that of the data flow. A subclassed model is traced to find it. If such a model does not tell the
    shapes of its inputs, or is distributed over several devices, the order is that of the creation of its layers.
    """
    found: dict[int, tuple[Variable, Kernel]] = {}
    names = UniqueNames()
    layers = list(flatten(model))
    for layer in layers:
        # A quantising wrapper lists the kernel of the layer inside as its own.
        owner = getattr(layer, "layer", layer) if is_quantising(layer) else layer
        for variable in _own_variables(layer):
            if len(variable.shape) >= 2 and is_float(variable) and id(variable) not in found:
                found[id(variable)] = variable, _kernel(names.of(_path(owner, variable)), owner, variable)
    if len(found) > 1 and any(map(_calls_in_its_own_order, layers)):
        places = _order_of_reading(model)
        if not places:  # handles of distributed variables are known within their strategy only
            return list(found.values())
        return sorted(found.values(), key=lambda pair: places.get(_handle(pair[0]), len(places)))  # stable
    return list(found.values())


def is_float(variable: Variable) -> bool:
    """Return whether a variable of either generation holds floating-point numbers."""
    return "float" in str(getattr(variable.dtype, "name", variable.dtype))


def _calls_in_its_own_order(layer: KerasLayer) -> bool:
    """Return whether a layer of a user's class holds several layers."""
    if type(layer).__module__.partition(".")[0] in _ORDERED_BY_THEMSELVES:
        return False
    return len(list(layer._flatten_layers(include_self=False, recursive=False))) > 1


def _order_of_reading(model: KerasModel) -> dict[int, int]:
    """Return the rank of each variable, by its handle, in the order in which a call of the model reads them first."""
    specs = _call_specs(model)
    strategy = getattr(model, "distribute_strategy", None)
    if specs is None or (strategy is not None and strategy.num_replicas_in_sync > 1):
        return {}
    function = tensorflow_import.tensorflow().function(lambda inputs: model(inputs, training=False))
    captures = function.get_concrete_function(specs).graph.captures
    return {id(external): place for place, (external, _) in enumerate(captures)}


def _call_specs(model: KerasModel) -> object:
    """Return shapes and dtypes of the model's inputs, in their structure; None if the model does not tell them."""
    tf = tensorflow_import.tensorflow()
    if getattr(model, "inputs", None):
        specs = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in model.inputs]
        return specs[0] if len(specs) == 1 else tf.nest.pack_sequence_as(model.input, specs)
    if hasattr(model, "save_spec"):  # Keras 2
        saved = model.save_spec()
        return None if saved is None or len(saved[0]) != 1 else saved[0][0]
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, list | tuple) or not all(size is None or isinstance(size, int) for size in shape):
        return None
    return tf.TensorSpec([None, *shape[1:]], model.input_dtype)


def _handle(variable: Variable) -> int:
    """Return the identity of a variable of either generation among the captures of a graph."""
    return id(getattr(getattr(variable, "_value", variable), "handle", None))


def _path(layer: KerasLayer, variable: Variable) -> str:
    """Return a variable's path in the model. In some files Keras 2 keeps only its last part."""
    path = str(getattr(variable, "path", variable.name)).partition(":")[0]
    return path if "/" in path else f"{layer.name}/{path}"


def _kernel(name: str, layer: KerasLayer, variable: Variable) -> Kernel:
    return Kernel(
        name,
        type(layer).__name__,
        tuple(int(n) for n in variable.shape),
        variable.numpy,
        variable.assign,
        orientation.axes(layer, len(variable.shape)),
    )


def _own_variables(layer: KerasLayer) -> list[Variable]:
    """Return the trainable variables of a layer itself, frozen or not, without those of its sublayers."""
    for attribute in ("_trainable_variables", "_trainable_weights"):  # Keras 3, Keras 2
        if hasattr(layer, attribute):
            return list(getattr(layer, attribute))
    return []
