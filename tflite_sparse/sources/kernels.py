"""The layers and kernels of a Keras model of either generation, in the order in which data pass through them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tflite_sparse.sources import orientation, tensorflow_import
from tflite_sparse.sources.optimization_wrappers import is_quantising
from tflite_sparse.sources.source_model import Kernel

_ORDERED_BY_THEMSELVES = {"keras", "tf_keras", "tensorflow_model_optimization"}


def flatten(model: Any) -> Iterator[Any]:
    """Every layer of a Keras model, the model itself, nested models and cells of recurrent layers included, each once.

    A layer comes before its own layers, and these in the order in which Keras lists them: that of the data in
    Sequential and Functional models, that of their creation in classes of the user.
    """
    # Keras 3 lists the layers of nested models from the last to the first where it is asked for all of them at once.
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            waiting += reversed(list(layer._flatten_layers(include_self=False, recursive=False)))  # no public equal


def kernels_and_variables(model: Any) -> list[tuple[Any, Kernel]]:
    """Every trainable weight of rank 2 or more of a built Keras model, each once, beside its variable.

    They come in the order in which data meet them. Where a class of the user calls its layers in an order of its own,
    that is found by tracing the model; one that tells no shapes of its inputs, or that is distributed over several
    devices, keeps the order in which its layers were made.
    """
    found: dict[int, tuple[Any, Kernel]] = {}
    names: Counter[str] = Counter()
    layers = list(flatten(model))
    for layer in layers:
        # A wrapper that quantises a kernel before the layer inside takes it lists it in that one's place.
        owner = getattr(layer, "layer", layer) if is_quantising(layer) else layer
        for variable in _own_variables(layer):
            if len(variable.shape) >= 2 and is_float(variable) and id(variable) not in found:
                name = _path(owner, variable)
                names[name] += 1
                unique = name if names[name] == 1 else f"{name} ({names[name]})"
                found[id(variable)] = variable, _kernel(unique, owner, variable)
    if len(found) > 1 and any(map(_calls_in_its_own_order, layers)):
        places = _order_of_reading(model)
        if not places:  # the handles of a distributed variable are known within its strategy only
            return list(found.values())
        return sorted(found.values(), key=lambda pair: places.get(_handle(pair[0]), len(places)))  # stable
    return list(found.values())


def is_float(variable: Any) -> bool:
    """Whether a variable of either generation holds floating-point numbers."""
    return "float" in str(getattr(variable.dtype, "name", variable.dtype))


def _calls_in_its_own_order(layer: Any) -> bool:
    """Whether a layer of a class of the user holds several layers."""
    if type(layer).__module__.partition(".")[0] in _ORDERED_BY_THEMSELVES:
        return False
    return len(list(layer._flatten_layers(include_self=False, recursive=False))) > 1


def _order_of_reading(model: Any) -> dict[int, int]:
    """When each variable, by its handle, is first read in a call of the model: a graph captures them in that order."""
    specs = _call_specs(model)
    strategy = getattr(model, "distribute_strategy", None)
    if specs is None or (strategy is not None and strategy.num_replicas_in_sync > 1):
        return {}
    function = tensorflow_import.tensorflow().function(lambda inputs: model(inputs, training=False))
    captures = function.get_concrete_function(specs).graph.captures
    return {id(external): place for place, (external, _) in enumerate(captures)}


def _call_specs(model: Any) -> Any:
    """Shapes and types of what a model is called with, in the structure of its inputs; None: it does not tell."""
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


def _handle(variable: Any) -> int:
    """What identifies a variable of either generation among the captures of a graph."""
    return id(getattr(getattr(variable, "_value", variable), "handle", None))


def _path(layer: Any, variable: Any) -> str:
    """Where a variable is in the model. Keras 2 forgets all but the last part in some files."""
    path = str(getattr(variable, "path", variable.name)).partition(":")[0]
    return path if "/" in path else f"{layer.name}/{path}"


def _kernel(name: str, layer: Any, variable: Any) -> Kernel:
    return Kernel(
        name,
        type(layer).__name__,
        tuple(int(n) for n in variable.shape),
        variable.numpy,
        variable.assign,
        orientation.axes(layer, len(variable.shape)),
    )


def _own_variables(layer: Any) -> list[Any]:
    """The trainable-by-nature variables of a layer, those of its sublayers and frozen or not left aside."""
    for attribute in ("_trainable_variables", "_trainable_weights"):  # Keras 3, Keras 2
        if hasattr(layer, attribute):
            return list(getattr(layer, attribute))
    return []
