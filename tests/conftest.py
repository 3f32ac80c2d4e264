"""Fixtures that several folders share."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings

from helpers import tiny_models
from tflite_sparse.base import child
from tflite_sparse.errors import TfliteSparseError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import fastest, planner
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.runtime import litert
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.targets import litert as litert_target
from tflite_sparse.verification.outputs import same_bits
from tflite_sparse.verification.weights import check_weights

settings.register_profile("no_deadline", deadline=None)  # other work on the machine must not fail a test
settings.register_profile("reproducible", deadline=None, derandomize=True)
# Continuous integration judges a change: the same code gives the same verdict there. New examples are tried elsewhere.
settings.load_profile("reproducible" if os.environ.get("CI") else "no_deadline")
settings.register_profile(  # of mutation testing: the same examples each time, and no time spent on smaller ones
    "mutation", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)


def pytest_collection_modifyitems(items):
    """The longest test begins first: begun late, it is what all others wait for in the end."""
    items.sort(key=lambda item: item.path.name != "test_demo.py")


@pytest.fixture(scope="session", autouse=True)
def runtimes_without_tensorflow():
    """Let children that run interpreters be forks of a small process, which is faster, in whatever order tests run."""
    child.prepare("runtimes")


@pytest.fixture(params=["keras3", "keras2"])
def keras(request):
    """Each generation of Keras."""
    return getattr(tensorflow_import, request.param)()


@dataclass
class Pair:
    """A dense file, the sparse file made from it, and what was decided."""

    dense: Path
    sparse: Path
    choices: list[planner.Choice]

    @property
    def model(self):
        return serde.read(self.sparse)

    @property
    def operators(self):
        return tiny_models.operator_names(self.model)

    def choice(self, name="weight"):
        return next(choice for choice in self.choices if choice.name == name)

    def check_same(self, samples, kernels=litert.ALL_KERNELS):
        """Weights and outputs are the dense file's to the bit, and the outputs are such that a mistake would show."""
        assert check_weights(self.sparse, self.dense) > 0
        for kind in kernels:
            found, expected = (litert.run(path, samples, kind, threads=1).arrays for path in (self.sparse, self.dense))
            assert len(found) == len(expected)
            assert all(map(same_bits, found, expected)), kind
        for output in litert.run(self.dense, samples, "builtin").arrays:
            assert np.unique(output).size > 10


@pytest.fixture
def encode(tmp_path):
    """Write a model dense, encode it for LiteRT, return both files."""

    def run(model) -> Pair:
        dense, sparse = tmp_path / "dense.tflite", tmp_path / "sparse.tflite"
        dense.write_bytes(tiny_models.to_bytes(model))
        choices = encode_file(dense, sparse, litert_target.answer)
        assert sparse.stat().st_size <= dense.stat().st_size
        return Pair(dense, sparse, choices)

    return run


@pytest.fixture
def in_this_process(monkeypatch):
    """LiteRT's interpreters run here, not in a child of their own, which takes a quarter of a second to start.

    CompiledModel does not: it loads plugins, which other tests of this process are better off without.
    """
    elsewhere = child.call

    def call(function, /, **arguments):
        module, _, name = function.partition(":")
        if module != litert.__name__ or arguments.get("kernels") == "compiled_model":
            return elsewhere(function, **arguments)
        try:
            return getattr(importlib.import_module(module), name)(**arguments)
        except TfliteSparseError:
            raise
        except Exception as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    monkeypatch.setattr(child, "call", call)


@pytest.fixture
def interpreters(monkeypatch, in_this_process):
    """Let written files be checked without CompiledModel, which takes a process of its own; names of the others."""
    monkeypatch.setattr(litert, "ALL_KERNELS", ("default", "builtin"))
    return [litert.NAMES[kernels] for kernels in litert.ALL_KERNELS]


@pytest.fixture
def native_is_fastest(monkeypatch):
    """Let no form but the native one be offered where the fastest is asked for, so that nothing is timed."""

    def target_for(optimize):
        def answer(graph, index, uses):
            found = litert_target.answer_with_native(graph, index, uses)
            forms = tuple(form for form in found.forms if not form.exact)
            return type(found)(forms) if forms else found

        return answer if optimize == "latency" else litert_target.answer

    monkeypatch.setattr(fastest, "target_for", target_for)
