"""Run files in TensorFlow Lite Micro."""

import re
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from tflite_sparse.base import child, extras
from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.runtime import litert, micro
from tflite_sparse.targets import litert as litert_target


@pytest.fixture
def write(tmp_path):
    def to_file(model, name="model.tflite"):
        (tmp_path / name).write_bytes(tiny_models.to_bytes(model))
        return tmp_path / name

    return to_file


def decoded(shape=(64, 600)):
    """FULLY_CONNECTED behind a TFLM_DECODE: bit mask, and header with the kept values."""
    model = tiny_models.fully_connected(shape)
    values = tiny_models.sparse_weights(shape)
    header = np.array([2, 1, 0, 0, 1, 0x00, *[0] * 10], np.uint8)
    mask = np.packbits(values.reshape(-1) != 0)
    kept = np.concatenate([header, values[values != 0].view(np.uint8)])
    tiny = tiny_models.Tiny()
    tiny.model, tiny.graph = model, model.subgraphs[0]
    (consumer,) = tiny.graph.operators
    weight = int(consumer.inputs[1])
    inputs = [tiny.constant("mask", mask), tiny.constant("kept", kept)]
    tiny.graph.tensors[weight].buffer = 0
    operator = tiny.operator(schema.BuiltinOperator.CUSTOM, 1, inputs, [weight])
    model.operatorCodes[-1].customCode = "TFLM_DECODE"
    tiny.graph.operators = [operator, consumer]
    return model


tiny_models.KINDS.setdefault("uint8", schema.TensorType.UINT8)
MODELS = {
    "fully connected": tiny_models.fully_connected,
    "convolution": tiny_models.conv2d,
    "float": lambda: tiny_models.conv2d(dtype="float32"),
    "two layers": odd_models.two_layers,
    "two outputs": lambda: tiny_models.fully_connected(readers=2),
}


def test_the_runtime_is_installed():
    """Otherwise the other tests here would mean nothing."""
    assert micro.is_available(), "pip install '.[micro]'"


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_litert_s_to_a_unit(name, write):
    model = MODELS[name]()
    path, samples = write(model), tiny_models.samples(model, 5)
    found, expected = micro.run(path, samples), litert.run(path, samples, "builtin")
    assert len(found.arrays) == len(expected.arrays)
    for one, other in zip(found.arrays, expected.arrays, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.unique(one).size > 10
        atol = 1e-4 if one.dtype == np.float32 else 1
        np.testing.assert_allclose(one.astype(np.float32), other.astype(np.float32), atol=atol, rtol=1e-5)
    assert found.scales == pytest.approx(expected.scales)
    assert found.zero_points == expected.zero_points


def test_real_values_are_quantised_as_the_input_asks(write):
    path = write(tiny_models.fully_connected((24, 8)))
    real = np.random.default_rng(0).uniform(-9, 9, (5, 8)).astype(np.float32)
    by_hand = np.clip(np.round(real / 0.05) - 3, -128, 127).astype(np.int8)
    np.testing.assert_array_equal(micro.run(path, real).arrays[0], micro.run(path, by_hand).arrays[0])


def test_several_inputs_in_the_order_of_the_graph(write):
    tiny = tiny_models.Tiny()
    x, y, z = (tiny.tensor(name, (1, 4), "float32") for name in "xyz")
    tiny.operator(schema.BuiltinOperator.SUB, 1, [x, y], [z], schema.BuiltinOptions.SubOptions, schema.SubOptionsT())
    path = write(tiny.finished([x, y], [z]))
    a, b = np.random.default_rng(0).normal(size=(2, 7, 4)).astype(np.float32)
    np.testing.assert_array_equal(micro.run(path, [a, b]).arrays[0], a - b)
    separate = micro.run_separately(path, [(a[:1], b[:1]), (a[1:2], b[1:2])])
    assert (separate.names, separate.indices) == (("z",), (z,))
    np.testing.assert_array_equal(np.concatenate([row[0] for row in separate.rows]), (a - b)[:2])
    with pytest.raises(ExecutionError, match="has 2 inputs, 1 were given"):
        micro.run(path, a)


@pytest.mark.parametrize("model", [odd_models.accumulator, tiny_models.svdf], ids=["resource variable", "SVDF"])
def test_each_sample_starts_afresh(model, write):
    path = write(model())
    samples = np.ones((3, *litert.inputs(path)[0].signature[1:]), np.float32)
    (outputs,) = micro.run(path, samples).arrays
    assert np.any(outputs)
    np.testing.assert_array_equal(outputs[1:], outputs[[0, 0]])


def test_steps(write):
    seen = []
    model = tiny_models.fully_connected((4, 8))
    micro.run(write(model), tiny_models.samples(model, 3), on_step=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# The arena


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_arena_is_enough_and_no_smaller_one(name, write):
    model = MODELS[name]()
    path, samples = write(model), tiny_models.samples(model, 2)
    least = micro.arena(path)
    assert least % micro.ARENA_ALIGNMENT == 0
    found = micro.run(path, samples, arena_bytes=least)
    for one, other in zip(found.arrays, micro.run(path, samples).arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ExecutionError, match=r"Micro .* .*model\.tflite"):
        micro.run(path, samples, arena_bytes=least - micro.ARENA_ALIGNMENT)


def test_what_is_needed_only_while_loading_counts(write):
    """These are 1000 scales, which the runtime's own figure does not include."""
    assert micro.arena(write(tiny_models.fully_connected((1000, 16)))) > 17_000


def test_decoded_weights_lie_in_the_arena_or_in_a_memory_of_their_own(write):
    weight_bytes = 64 * 600
    dense, packed = write(tiny_models.fully_connected(), "dense.tflite"), write(decoded(), "packed.tflite")
    samples = tiny_models.samples(tiny_models.fully_connected(), 4)
    (expected,) = micro.run(dense, samples).arrays
    for memory in (0, weight_bytes):
        least = micro.arena(packed, alternate_memory_bytes=memory)
        found = micro.run(packed, samples, arena_bytes=least, alternate_memory_bytes=memory)
        np.testing.assert_array_equal(found.arrays[0], expected)
        in_arena = least - micro.arena(dense)
        assert 0 < in_arena - (0 if memory else weight_bytes) < 1000


# What goes wrong


def test_what_the_runtime_prints_is_told(write):
    model = tiny_models.conv2d()
    with pytest.raises(ExecutionError, match="Failed to resize buffer") as caught:
        micro.run(write(model), tiny_models.samples(model), arena_bytes=3000)
    assert "\n" not in str(caught.value)
    assert "TensorFlow Lite Micro refuses" in str(caught.value)


def test_an_operator_that_it_does_not_have(write):
    with pytest.raises(ExecutionError, match="Didn't find op for builtin opcode"):
        micro.arena(write(tiny_models.conv3d()))


def test_samples_of_another_shape_or_dtype(write):
    path = write(tiny_models.fully_connected((4, 8)))
    with pytest.raises(ExecutionError, match=r"Got 9 but expected 8.*of input 0"):
        micro.run(path, np.zeros((3, 9), np.int8))
    with pytest.raises(ExecutionError, match="Got value of type FLOAT32 but expected type INT8"):
        micro.run_separately(path, [(np.zeros((1, 8), np.float32),)])


def test_a_sparse_file_is_refused_as_it_would_compute_garbage(write, tmp_path):
    model = tiny_models.fully_connected()
    sparse = tmp_path / "sparse.tflite"
    encode_file(write(model), sparse, litert_target.answer)
    for call in (micro.arena, lambda path: micro.run(path, tiny_models.samples(model))):
        with pytest.raises(ExecutionError, match="would compute garbage"):
            call(sparse)


@pytest.mark.parametrize("content", [b"", b"garbage" * 50, b"\x1c\x00\x00\x00TFL3" + b"\xff" * 200])
def test_garbage(content, tmp_path):
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(FlatbufferError, match=r"bad\.tflite"):
        micro.run(path, np.zeros((1, 4), np.float32))


def test_an_arena_past_the_limit(write):
    """The input alone has 64 MiB."""
    with pytest.raises(ExecutionError, match=r"Failed to resize buffer"):
        micro.arena(write(tiny_models.fully_connected((4, 4), lead=(2**24,))))


def test_a_run_that_does_not_end_is_given_up(write):
    """Ten billion multiplications, in plain C++."""
    path = write(tiny_models.conv2d((64, 3, 3, 64), (512, 512)))
    with pytest.raises(ExecutionError, match=r"took too long"):
        micro.run(path, np.zeros((1, 512, 512, 64), np.int8), seconds_per_sample=1)


def test_without_the_package(write, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "tflite_micro.py").write_text("raise ImportError('broken wheel')")
    monkeypatch.syspath_prepend(str(tmp_path / "empty"))
    with pytest.raises(ExecutionError, match="broken wheel.*" + re.escape(extras.install_command("micro"))) as caught:
        micro.arena(write(tiny_models.fully_connected((4, 8))))
    assert "\n" not in str(caught.value)


def test_asking_whether_it_is_there_loads_nothing():
    command = "import sys; from tflite_sparse.runtime import micro; assert micro.is_available(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert "tflite_micro" not in done.stdout.split()


def test_a_crash_is_told(write, monkeypatch):
    def call(*_, **__):
        raise child.ChildDiedError("crashed (segmentation fault)", "")

    monkeypatch.setattr(child, "call", call)
    path = write(tiny_models.fully_connected((4, 8)))
    with pytest.raises(ExecutionError, match=rf"^TensorFlow Lite Micro crashed \(segmentation fault\) on {path}\.$"):
        micro.arena(path)
