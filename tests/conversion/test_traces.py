"""Test the shapes of traces: data set open sizes if a target needs fixed ones."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from tflite_sparse.conversion.traces import fixed_shapes, traces
from tflite_sparse.errors import ModelError
from tflite_sparse.sources.source_model import AS_IT_IS, InputSpec, Loops


@dataclass
class Source:
    """A model with the methods that traces need."""

    shapes: dict
    found: Loops = field(default_factory=Loops)
    name: str = "net"

    def inputs(self):
        return tuple(InputSpec(name, shape, np.dtype(np.float32)) for name, shape in self.shapes.items())

    def loops(self):
        return self.found


IMAGES = Source({"image": (None, None, None, 3)})
TWO = Source({"b": (None, 4), "a": (None, None, 9)})


def test_what_is_open_stays_open():
    assert traces(IMAGES, None, "auto", int8=True) == [AS_IT_IS]


def test_a_fixed_batch_leaves_other_sizes_open_where_the_layers_allow_it():
    open_first, sized = traces(IMAGES, np.zeros((5, 24, 32, 3)), "auto", int8=True, fixed_batch=True)
    assert open_first.shapes == {"image": (1, None, None, 3)}
    assert sized.shapes == {"image": (1, 24, 32, 3)}


def test_sizes_are_those_of_the_samples():
    (trace,) = traces(IMAGES, np.zeros((5, 24, 32, 3)), "auto", int8=False, fixed_sizes=True)
    assert trace.shapes == {"image": (1, 24, 32, 3)}
    samples = {"a": np.zeros((5, 150, 9)), "b": np.zeros((5, 4))}
    (trace,) = traces(TWO, samples, "auto", int8=True, fixed_sizes=True)
    assert trace.shapes == {"b": (1, 4), "a": (1, 150, 9)}


@pytest.mark.parametrize("recurrent", ["loop", "unroll", "auto"])
@pytest.mark.parametrize("int8", [False, True])
def test_recurrent_models_have_fixed_sizes_too(recurrent, int8):
    source = Source({"x": (None, None, 9)}, Loops(any=True, unrollable=True))
    found = traces(source, np.zeros((5, 30, 9)), recurrent, int8=int8, fixed_sizes=True)
    assert [trace.shapes for trace in found] == [{"x": (1, 30, 9)}] * len(found)


def test_samples_are_not_used_if_no_size_is_open():
    """They need not even fit: samples of a model as one time step are sequences."""
    assert fixed_shapes(Source({"x": (None, 9), "h": (1, 16)}), np.zeros((5, 30, 9))) == {"x": (1, 9), "h": (1, 16)}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (IMAGES, r"net: input 'image' of shape \(None, None, None, 3\) leaves its height and width open"),
        (TWO, r"net: input 'a' of shape \(None, None, 9\) leaves its length open"),
    ],
)
def test_an_unknown_size_is_an_error(source, words):
    with pytest.raises(ModelError, match=words):
        traces(source, None, "auto", int8=False, fixed_sizes=True)
