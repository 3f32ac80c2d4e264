"""Test that faults of the target's file are found before it is delivered."""

import numpy as np
import pytest

from helpers import tiny_models
from helpers.foreign_models import block_sparse
from helpers.spoiling import (
    ask_for_an_unknown_version,
    change_a_decoded_weight,
    change_a_weight,
    change_the_biases,
    spoiling,
)
from tflite_sparse.backends import micro as micro_backend
from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement.contract import of_model
from tflite_sparse.planning import encoder
from tflite_sparse.planning.decoder import decode_file
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.runtime import litert, micro
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources.source_model import Layer
from tflite_sparse.stages.encode import Encoding


@pytest.fixture
def make(tmp_path, in_this_process):
    """Encode a model like an export."""

    def run(model, x=None, layers=(), **settings):
        dense, sparse = tmp_path / "dense.tflite", tmp_path / "sparse.tflite"
        dense.write_bytes(tiny_models.to_bytes(model))
        chosen = ExportSettings(**{"int8": True, "verification_samples": 6, **settings})
        return Encoding(chosen, Timed(Silent())).run(dense, sparse, x, None, of_model(serde.read(dense)), layers)

    return run


def layer():
    return tiny_models.fully_connected((64, 128))


def test_a_right_file_has_no_failures(make, interpreters):
    made = make(layer())
    assert made.failures == []
    assert made.choices[0].form is not None
    found = made.verification
    assert (found.weights_bit_exact, found.outputs_bit_exact, found.samples) == (True, True, 6)
    assert [(each.name, each.outputs_bit_exact, each.largest_difference) for each in found.runtimes] == [
        (name, True, 0) for name in interpreters
    ]


def test_a_weight_of_another_value_is_a_failure(make, interpreters, monkeypatch):
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_a_weight))
    made = make(layer())
    assert made.failures[0] == "verification: weight 'weight' differs"
    assert not made.verification.weights_bit_exact


def test_failures_name_the_layers_that_are_known(make, monkeypatch):
    model = layer()
    for tensor, name in zip(model.subgraphs[0].tensors, ("x", "weight", "bias", "net/dense/MatMul"), strict=True):
        tensor.name = name.encode()
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_the_biases(9000)))
    made = make(model, layers=[Layer("net/flat", "Flatten"), Layer("net/dense", "Dense")])
    place = "the first tensor to differ is 'net/dense/MatMul' of layer 'net/dense' (Dense), of FULLY_CONNECTED"
    assert made.failures[1].endswith(place)


def test_outputs_of_another_value_are_a_failure_in_every_runtime(make, interpreters, monkeypatch):
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_the_biases(9000)))
    made = make(layer())
    assert len(made.failures) == 2 * len(interpreters) == 4
    for (outputs, place), name in zip(
        zip(made.failures[::2], made.failures[1::2], strict=True), interpreters, strict=True
    ):
        assert outputs.startswith(f"verification: {name}: output 'y0' (0) differs on 6 of 6 samples, by up to ")
        assert place == f"verification: {name}: the first tensor to differ is 'y0', of FULLY_CONNECTED"
    found = made.verification
    assert (found.weights_bit_exact, found.outputs_bit_exact) == (True, False)
    assert [each.outputs_bit_exact for each in found.runtimes] == [False, False]
    assert all(each.largest_difference > 1 for each in found.runtimes)


def test_a_file_that_no_longer_runs_is_a_failure(make, interpreters, monkeypatch):
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, ask_for_an_unknown_version))
    made = make(layer())
    assert len(made.failures) == 2
    for failure, name in zip(made.failures, interpreters, strict=True):
        assert failure.startswith(f"verification: {name}: {name} refuses ")
        assert "model.tflite" not in failure
    found = made.verification
    assert [(each.outputs_bit_exact, each.largest_difference) for each in found.runtimes] == [(False, None)] * 2
    assert not found.outputs_bit_exact


@pytest.mark.parametrize("seed", [1, 2])
def test_samples_and_seed_of_the_settings_reach_the_runtime(seed, make, interpreters, monkeypatch):
    seen = []

    def run(path, samples, kernels, *, signature, threads, at_once):
        assert (signature, threads, at_once) == (None, 1, litert.BATCH)
        seen.append(np.concatenate([array for (array,) in samples]))
        rows = tuple((array,) for (array,) in samples)
        return litert.SeparateOutputs(("y",), (len(rows),), rows)

    monkeypatch.setattr(litert, "run_separately", run)
    model = tiny_models.fully_connected((64, 128), dtype="float32")
    made = make(model, verification_samples=9, seed=seed)
    first, *others = seen
    assert first.shape == (9, 128)
    assert made.verification.samples == 9
    assert len(others) == 3  # two files in two runtimes
    assert all(np.array_equal(first, other) for other in others)
    if seed > 1:
        make(model, verification_samples=9, seed=1)
        assert not np.array_equal(first, seen[-1])
    x = np.arange(256, dtype=np.float32).reshape(2, 128)
    make(model, x, verification_samples=9, seed=seed)
    assert np.array_equal(seen[-1][3:], x)


# Two per cent of the range are allowed where a kernel of another rounding was chosen, and nowhere else


def blocks():
    return tiny_models.fully_connected((64, 128), weights=block_sparse((64, 128), "int8", 16), per_channel=False)


@pytest.mark.parametrize(
    ("optimize", "by", "passes"),
    [
        ("size", 600, False),
        ("latency", 600, True),
        ("latency", 9000, False),
    ],
)
def test_a_small_difference_passes_only_where_another_kernel_was_chosen(
    optimize, by, passes, make, interpreters, native_is_fastest, monkeypatch
):
    """600 steps of the biases are 1 of the 255 of the outputs, 9,000 are more than 2 % of them."""
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_the_biases(by)))
    made = make(blocks(), optimize=optimize)
    assert made.choices[0].form.exact == (optimize == "size")
    assert (made.failures == []) == passes
    assert not made.verification.outputs_bit_exact  # reported, allowed or not
    largest = [each.largest_difference for each in made.verification.runtimes]
    assert (max(largest) <= 0.02 * 255) == (by == 600)
    assert min(largest) >= 1


# TensorFlow Lite Micro


@pytest.fixture
def without_micro(monkeypatch):
    monkeypatch.setattr(micro, "is_available", lambda: False)


def test_a_micro_weight_of_another_value_is_a_failure(make, without_micro, monkeypatch):
    """This does not depend on the runtime being installed."""
    settings = {"target": "micro", "micro_codec": "prune", "c_array": True}
    made = make(tiny_models.conv2d(), **settings)
    assert made.failures == []
    assert made.verification.weights_bit_exact
    assert set(made.files) == {"model.h", "model.cc", "app.cc"}
    monkeypatch.setattr(micro_backend, "encode_file", spoiling(encode_file, change_a_decoded_weight))
    made = make(tiny_models.conv2d(), **settings)
    assert made.failures == ["verification: weight 'weight' differs"]
    assert not made.verification.weights_bit_exact
    assert made.part is None  # nothing is reported of a file that is not delivered


class Micro:
    """A TensorFlow Lite Micro with LiteRT's outputs for a decoded file, moved for the encoded one.

    Attributes:
        moved: shift with decoded weights in the arena and in a memory of their own; or an exception to raise.
        seen: the inputs of each run.
    """

    def __init__(self, in_arena=0, in_own_memory=0):
        self.moved, self.seen = (in_arena, in_own_memory), []

    def run_separately(self, path, inputs, *, alternate_memory_bytes=0):
        self.seen.append(np.concatenate([array for (array,) in inputs]))
        decoded = path.with_name(f"decoded-{path.name}")
        decode_file(path, decoded)
        found = litert.run_separately(decoded, inputs, "reference")
        decoded.unlink()
        by = 0 if path.name in ("dense.tflite", "reference.tflite") else self.moved[alternate_memory_bytes > 0]
        if isinstance(by, Exception):
            raise by
        rows = tuple((np.where(array > 0, array - np.int8(by), array + np.int8(by)),) for (array,) in found.rows)
        return litert.SeparateOutputs(found.names, found.indices, rows)


DIFFERS = [
    "output 'y0' (0) differs on 9 of 9 samples, by up to 7",
    "the first tensor to differ is 'y0', of CONV_2D",
]


@pytest.mark.parametrize(
    ("in_arena", "in_own_memory", "words"),
    [
        (7, 7, [DIFFERS] * 2),
        (7, 0, [DIFFERS, []]),
        (0, 7, [[], DIFFERS]),
        (0, ExecutionError("no room"), [[], ["no room"]]),
    ],
)
def test_micro_outputs_of_another_value_are_a_failure(in_arena, in_own_memory, words, make, monkeypatch):
    monkeypatch.setattr(micro, "is_available", lambda: True)
    monkeypatch.setattr(micro, "run_separately", Micro(in_arena, in_own_memory).run_separately)
    made = make(tiny_models.conv2d(), target="micro")
    names = [f"{micro.NAME}, weights decoded into the arena", f"{micro.NAME}, into a memory of their own"]
    assert made.failures == [
        f"verification: {name}: {failure}" for name, each in zip(names, words, strict=True) for failure in each
    ]
    found = made.verification
    assert (found.weights_bit_exact, found.outputs_bit_exact, found.samples) == (True, False, 9)
    largest = {0: 0, 1: None, 2: 7}  # by the number of sentences: the same, refused, another value
    assert [(each.name, each.outputs_bit_exact, each.largest_difference) for each in found.runtimes] == [
        (name, not each, largest[len(each)]) for name, each in zip(names, words, strict=True)
    ]


def test_samples_and_seed_of_the_settings_reach_micro(make, monkeypatch):
    runtime = Micro()
    monkeypatch.setattr(micro, "is_available", lambda: True)
    monkeypatch.setattr(micro, "run_separately", runtime.run_separately)
    monkeypatch.setattr(micro, "arena", lambda *_, **__: 16)
    first, again, other = (
        make(tiny_models.conv2d(), target="micro", verification_samples=5, seed=seed) and runtime.seen[-1]
        for seed in (1, 1, 2)
    )
    assert len(runtime.seen) == 9  # the dense file once, the other in each of the two memories
    assert all(len(inputs) == 3 + 5 for inputs in runtime.seen)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
