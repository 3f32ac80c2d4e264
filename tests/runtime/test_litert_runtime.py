"""Run files in each of LiteRT's runtimes."""

import sys

import numpy as np
import pytest
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import litert

every_runtime = pytest.mark.parametrize("kernels", litert.KERNELS_TO_VERIFY)


@pytest.fixture
def write(tmp_path):
    def to_file(model, name="model.tflite"):
        (tmp_path / name).write_bytes(tiny_models.to_bytes(model))
        return tmp_path / name

    return to_file


def difference(signature_inputs=(0, 1), signature_outputs=(0, 1)):
    """``x - y`` and ``2 x - y``-like outputs: two inputs and two outputs that cannot be confused."""
    tiny = tiny_models.Tiny()
    x, y = tiny.tensor("x", (1, 4), "float32"), tiny.tensor("y", (1, 4), "float32")
    plain, twice = tiny.tensor("plain", (1, 4), "float32"), tiny.tensor("twice", (1, 4), "float32")
    options = schema.SubOptionsT
    tiny.operator(schema.BuiltinOperator.SUB, 1, [x, y], [plain], schema.BuiltinOptions.SubOptions, options())
    tiny.operator(schema.BuiltinOperator.SUB, 1, [plain, y], [twice], schema.BuiltinOptions.SubOptions, options())
    model = tiny.finished([x, y], [plain, twice])
    signature = model.signatureDefs[0]
    signature.inputs = [signature.inputs[i] for i in signature_inputs]
    signature.outputs = [signature.outputs[i] for i in signature_outputs]
    return model


@every_runtime
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_dense_layer_against_numpy(dtype, kernels, write):
    model = tiny_models.fully_connected((5, 12), dtype=dtype, density=0.5)
    samples = tiny_models.samples(model, count=6)
    outputs = litert.run(write(model), samples, kernels)
    weights = tiny_models.sparse_weights((5, 12), dtype, 0.5)
    assert len(outputs.arrays) == 1
    assert outputs.arrays[0].shape == (6, 5)
    assert outputs.arrays[0].dtype == dtype
    if dtype == "float32":
        assert (outputs.scales, outputs.zero_points) == ((0.0,), (0,))
        expected = samples @ weights.T + np.linspace(-1, 1, 5, dtype=np.float32)
        np.testing.assert_allclose(outputs.real(), expected, rtol=1e-5, atol=1e-5)
    else:
        scales = tiny_models.weight_scales(5, True)
        sums = (samples.astype(int) - tiny_models.INPUT_ZERO_POINT) @ weights.astype(int).T
        exact = (sums + np.linspace(-3000, 3000, 5).astype(int)) * scales * tiny_models.INPUT_SCALE
        scale = np.float32(tiny_models.output_scale(12 * 0.5))
        assert outputs.scales == (pytest.approx(scale),)
        assert outputs.zero_points == (-20,)
        inside = np.clip(exact, (-128 + 20) * scale, (127 + 20) * scale)
        np.testing.assert_allclose(outputs.real(), inside, atol=0.51 * scale)
        assert outputs.real().dtype == np.float32


@every_runtime
def test_samples_do_not_depend_on_their_neighbours(kernels, write):
    """33 and 70 samples are more than one batch, with a smaller last one."""
    model = tiny_models.fully_connected((8, 16), dynamic=True)
    path = write(model)
    samples = tiny_models.samples(model, count=70)
    whole = litert.run(path, samples, kernels).arrays[0]
    assert whole.shape == (70, 8)
    assert len(np.unique(whole, axis=0)) > 35
    np.testing.assert_array_equal(litert.run(path, samples[:33], kernels).arrays[0], whole[:33])
    np.testing.assert_array_equal(litert.run(path, samples[40:41], kernels).arrays[0], whole[40:41])


def test_runtimes_agree_on_a_convolution(write):
    model = tiny_models.conv2d()
    path, samples = write(model), tiny_models.samples(model)
    first, second, third = (litert.run(path, samples, kernels).arrays[0] for kernels in litert.ALL_KERNELS)
    assert np.unique(first).size > 50
    np.testing.assert_array_equal(first, third)  # both are XNNPACK
    np.testing.assert_allclose(first.astype(int), second.astype(int), atol=1)  # they round differently
    assert np.mean(first == second) > 0.99
    np.testing.assert_array_equal(first[1:2], tiny_models.run_here(path.read_bytes(), samples[1:2])[0])


@every_runtime
def test_steps(kernels, write):
    model = tiny_models.fully_connected((4, 8))
    seen = []
    litert.run(write(model), tiny_models.samples(model, 5), kernels, on_step=lambda *step: seen.append(step))
    assert seen == [(done, 5) for done in range(1, 6)]


@every_runtime
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["as the graph", "reversed"])
def test_several_inputs_and_outputs_come_in_the_order_of_the_graph(order, kernels, write):
    """CompiledModel follows the signature, whose order may differ."""
    path = write(difference(order, order))
    generator = np.random.default_rng(0)
    x, y = (generator.normal(size=(7, 4)).astype(np.float32) for _ in range(2))
    outputs = litert.run(path, [x, y], kernels)
    assert len(outputs.arrays) == 2
    np.testing.assert_allclose(outputs.arrays[0], x - y, atol=1e-6)
    np.testing.assert_allclose(outputs.arrays[1], x - y - y, atol=1e-6)
    np.testing.assert_allclose(outputs.real(1), x - y - y, atol=1e-6)
    assert [detail.name for detail in litert.inputs(path)] == ["x", "y"]


@every_runtime
def test_each_output_keeps_its_own_quantisation(kernels, write):
    model = tiny_models.fully_connected((6, 32), readers=2)  # the second output has twice the scale
    model.signatureDefs[0].outputs.reverse()
    outputs = litert.run(write(model), tiny_models.samples(model, 4), kernels)
    assert outputs.scales[1] == pytest.approx(2 * outputs.scales[0])
    assert np.abs(outputs.real(0)).max() > 10 * outputs.scales[1]
    unsaturated = np.abs(outputs.arrays[0].astype(int)) < 127
    np.testing.assert_allclose(
        outputs.real(0)[unsaturated], outputs.real(1)[unsaturated], atol=1.01 * outputs.scales[1]
    )


# Threads


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kernels", ["default", "builtin", "reference"])
def test_threads_reach_the_interpreter(kernels, threads, write, in_this_process, monkeypatch):
    used, real = [], interpreter.Interpreter

    def remember(*arguments, num_threads=None, **options):
        used.append(num_threads)
        return real(*arguments, num_threads=num_threads, **options)

    monkeypatch.setattr(interpreter, "Interpreter", remember)
    model = tiny_models.fully_connected((4, 8))
    path, samples = write(model), tiny_models.samples(model, 2)
    litert.run(path, samples, kernels, threads=threads)
    litert.run_separately(path, [[sample[None]] for sample in samples], kernels, threads=threads)
    assert used == [threads] * 2


# Real values


@every_runtime
def test_real_values_are_quantised_as_the_input_asks(kernels, write):
    model = tiny_models.fully_connected((4, 8))
    path = write(model)
    real = np.random.default_rng(0).uniform(-9, 9, (5, 8)).astype(np.float32)
    by_hand = np.clip(np.round(real / 0.05) - 3, -128, 127).astype(np.int8)
    assert by_hand.min() == -128  # some are outside
    np.testing.assert_array_equal(
        litert.run(path, real, kernels).arrays[0], litert.run(path, by_hand, kernels).arrays[0]
    )


def test_inputs(write):
    (found,) = litert.inputs(write(tiny_models.fully_connected((4, 8), dynamic=True)))
    assert (found.name, found.signature, found.dtype) == ("x", (-1, 8), np.int8)
    assert found.scale == pytest.approx(tiny_models.INPUT_SCALE)
    assert found.zero_point == tiny_models.INPUT_ZERO_POINT
    (found,) = litert.inputs(write(tiny_models.fully_connected((4, 8), dtype="float32")))
    assert (found.signature, found.dtype, found.scale) == ((1, 8), np.float32, 0)


# What goes wrong


@every_runtime
@pytest.mark.parametrize("count", [0, 1, 3])
def test_wrong_number_of_inputs(count, kernels, write):
    path = write(difference())
    with pytest.raises(ExecutionError, match=f"has 2 inputs, {count} were given") as caught:
        litert.run(path, [np.zeros((1, 4), np.float32)] * count, kernels)
    assert str(path) in str(caught.value)


@every_runtime
def test_samples_of_another_shape(kernels, write):
    path = write(tiny_models.fully_connected((4, 8)))
    with pytest.raises(ExecutionError) as caught:
        litert.run(path, np.zeros((3, 9), np.int8), kernels)
    assert str(path) in str(caught.value)
    assert litert.NAMES[kernels] in str(caught.value)


@every_runtime
@pytest.mark.parametrize("content", [b"", b"garbage" * 50, b"\x1c\x00\x00\x00TFL3" + b"\xff" * 200])
def test_garbage(content, kernels, tmp_path):
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(ExecutionError, match=r"bad\.tflite") as caught:
        litert.run(path, np.zeros((1, 4), np.float32), kernels)
    assert litert.NAMES[kernels] in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ExecutionError, match=r"bad\.tflite"):
        litert.inputs(path)


def test_missing_file(tmp_path):
    with pytest.raises(ExecutionError, match=r"gone\.tflite"):
        litert.inputs(tmp_path / "gone.tflite")


@every_runtime
def test_truncated_file(kernels, write):
    model = tiny_models.fully_connected((16, 64))
    path = write(model)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ExecutionError, match=r"model.tflite"):
        litert.run(path, tiny_models.samples(model), kernels)


@every_runtime
def test_what_loads_and_does_not_run_is_refused(kernels, write):
    """CompiledModel of 2.3.0 loads an operator that it does not have, and fails when it runs."""
    assert litert.refusal(write(odd_models.custom()), kernels) is not None
    assert litert.refusal(write(tiny_models.fully_connected()), kernels) is None


@pytest.mark.skipif(sys.platform == "win32", reason="without SIGALRM nothing is limited")
def test_a_file_that_does_not_end_is_refused(write):
    assert litert.refusal(write(odd_models.endless()), "builtin", seconds=1) == "it took too long and was stopped."
