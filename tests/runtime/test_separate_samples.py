"""Run samples one by one: separate states, every signature, every dtype, any shape."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import litert

every_runtime = pytest.mark.parametrize("kernels", litert.KERNELS_TO_VERIFY)
interpreters = [kernels for kernels in litert.KERNELS_TO_VERIFY if kernels != "compiled_model"]


@pytest.fixture
def write(tmp_path):
    def to_file(model):
        (tmp_path / "model.tflite").write_bytes(tiny_models.to_bytes(model))
        return tmp_path / "model.tflite"

    return to_file


def column(outputs, index=0):
    return [row[index] for row in outputs.rows]


@every_runtime
def test_equals_the_batched_run(kernels, write):
    model = tiny_models.fully_connected((8, 16), dynamic=True)
    path, samples = write(model), tiny_models.samples(model, count=5)
    outputs = litert.run_separately(path, [[sample[None]] for sample in samples], kernels)
    np.testing.assert_array_equal(np.concatenate(column(outputs)), litert.run(path, samples, kernels).arrays[0])
    assert (outputs.names, outputs.indices) == (("y0",), (3,))


@pytest.mark.parametrize("kernels", interpreters)
def test_variables_are_reset_before_each_sample(kernels, write):
    path = write(odd_models.recurrent())
    sample = np.ones((1, 3, 4), np.float32)
    first, second = column(litert.run_separately(path, [[sample], [sample]], kernels))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[:, 0], first[:, 1])  # within a sample the state does count


def test_compiled_model_takes_no_variables(write):
    """If a later version accepts them, their state must be reset as well."""
    with pytest.raises(ExecutionError, match="CompiledModel"):
        litert.run_separately(write(odd_models.recurrent()), [[np.ones((1, 3, 4), np.float32)]], "compiled_model")


@every_runtime
def test_resource_variables_start_anew_with_each_sample(kernels, write):
    path = write(odd_models.accumulator())
    samples = [[np.full((1, 4), value, np.float32)] for value in (1, 2, 3)]
    outputs = column(litert.run_separately(path, samples, kernels))
    np.testing.assert_array_equal(np.concatenate(outputs)[:, 0], [1, 2, 3])


@every_runtime
def test_each_signature(kernels, write):
    model = odd_models.two_signatures()
    path = write(model)
    for signature, width, outputs in (("small", 16, 6), ("large", 32, 8)):
        (detail,) = litert.inputs(path, signature)
        assert (detail.name, detail.signature) == ("in_0", (1, width))
        sample = np.arange(width, dtype=np.int8)[None]
        found = litert.run_separately(path, [[sample]], kernels, signature=signature)
        assert found.names == ("out_0",)
        alone = tiny_models.fully_connected((outputs, width), density=0.5)
        np.testing.assert_allclose(
            column(found)[0].astype(int), tiny_models.run_here(tiny_models.to_bytes(alone), sample)[0], atol=1
        )


@every_runtime
def test_unknown_signature(kernels, write):
    with pytest.raises(ExecutionError, match="medium"):
        litert.run_separately(
            write(odd_models.two_signatures()), [[np.zeros((1, 16), np.int8)]], kernels, signature="medium"
        )


@every_runtime
@pytest.mark.parametrize("count", [0, 1, 3])
def test_wrong_number_of_inputs(count, kernels, write):
    path = write(odd_models.addition("float32"))
    with pytest.raises(ExecutionError, match=f"has 2 inputs, {count} were given"):
        litert.run_separately(path, [[np.zeros((1, 4), np.float32)] * count], kernels)


@every_runtime
def test_a_file_without_signatures(kernels, write):
    model = odd_models.addition("float32")
    model.signatureDefs = None
    x, y = np.arange(4, dtype=np.float32)[None], np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(column(litert.run_separately(write(model), [[x, y]], kernels))[0], x + y)


@every_runtime
@pytest.mark.parametrize("dtype", ["int32", "int64", "int16", "bool"])
def test_dtypes(dtype, kernels, write):
    x, y = np.array([[1, 0, 1, 1]], dtype), np.array([[0, 0, 1, 1]], dtype)
    (found,) = column(litert.run_separately(write(odd_models.addition(dtype)), [[x, y]], kernels))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, x & y if dtype == "bool" else x + y)


@every_runtime
@pytest.mark.parametrize("shape", [(), (4,), (3, 4)])
def test_inputs_without_a_batch_of_one(shape, kernels, write):
    x, y = np.ones(shape, np.float32), np.full(shape, 2, np.float32)
    (found,) = column(litert.run_separately(write(odd_models.addition("float32", shape)), [[x, y]], kernels))
    assert found.shape == shape
    np.testing.assert_array_equal(found, x + y)


@every_runtime
def test_samples_of_changing_size(kernels, write):
    path = write(odd_models.addition("float32", (1, 4), dynamic=True))
    samples = [[np.full((size, 4), size, np.float32)] * 2 for size in (1, 3, 2, 1)]
    found = column(litert.run_separately(path, samples, kernels))
    assert [array.shape for array in found] == [(1, 4), (3, 4), (2, 4), (1, 4)]
    assert [array[0, 0] for array in found] == [2, 6, 4, 2]


@every_runtime
def test_an_output_that_is_named_twice(kernels, write):
    model = tiny_models.fully_connected((4, 8))
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    graph.outputs = np.repeat(graph.outputs, 2)
    again = schema.TensorMapT()
    again.name, again.tensorIndex = "again", int(graph.outputs[0])
    signature.outputs.append(again)
    outputs = litert.run_separately(write(model), [[np.ones((1, 8), np.int8)]], kernels)
    assert len(outputs.rows[0]) == 2
    np.testing.assert_array_equal(*outputs.rows[0])
