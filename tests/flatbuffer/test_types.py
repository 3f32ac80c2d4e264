"""The protocols against the classes that flatc generated for the installed runtime."""

import inspect

import pytest
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer import types

# The classes that a protocol stands for, where it is not the one of its name.
CLASSES = {
    "Table": ("ModelT", "OperatorT", "TensorT", "BufferT", "SparsityParametersT"),
    "IndexVector": ("Uint8VectorT", "Uint16VectorT", "Int32VectorT"),
    "ConvolutionOptions": ("Conv2DOptionsT", "DepthwiseConv2DOptionsT"),
}
PROTOCOLS = [
    name for name, value in vars(types).items() if inspect.isclass(value) and value.__module__ == types.__name__
]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_generated_class_has_every_field_of_its_protocol(name):
    fields = {field for base in getattr(types, name).__mro__ for field in vars(base).get("__annotations__", ())}
    for generated in CLASSES.get(name, (f"{name}T",)):
        made = getattr(schema, generated)()
        assert fields <= set(vars(made))
        assert callable(made.Pack)
