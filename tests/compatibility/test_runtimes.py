"""Run written files on every supported runtime, also old ones, and check the table of acceptance."""

import numpy as np
import pytest

from helpers import runtime_versions, tiny_models
from helpers.acceptance import measure
from helpers.acceptance_cases import CASES
from helpers.runtime_versions import OLDER, Job, Runtime, installed, unpack
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.targets import acceptance
from tflite_sparse.targets import litert as litert_target

pytestmark = pytest.mark.slow

MODELS = {
    "conv2d": (tiny_models.conv2d, (1, 1)),
    "conv2d_float32": (lambda: tiny_models.conv2d(dtype="float32"), (1, 1)),
    "conv2d_in_channel_groups": (lambda: tiny_models.conv2d((320, 1, 1, 320), (4, 4)), (1, 1)),
    "depthwise_conv2d": (tiny_models.depthwise_conv2d, (1, 1)),
    "transpose_conv": (tiny_models.transpose_conv, (1, 1)),
    "fully_connected": (tiny_models.fully_connected, (1, 1)),
    "fully_connected_of_any_batch": (lambda: tiny_models.fully_connected(dynamic=True), (3, 1, 2)),
    "fully_connected_one_scale": (lambda: tiny_models.fully_connected(per_channel=False, lead=(4,)), (4, 4)),
    "fully_connected_float32": (lambda: tiny_models.fully_connected(dtype="float32"), (1, 1)),
    "gather": (tiny_models.gather, (1, 1)),
    "in_a_while": (tiny_models.conv2d_in_subgraph, (1, 1)),
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("runtimes")


@pytest.fixture(scope="session", params=[*OLDER, "installed LiteRT", "installed TensorFlow"])
def runtime(request, cache) -> Runtime:
    here, tensorflow = installed()
    here_already = {"installed LiteRT": here, "installed TensorFlow": tensorflow}
    return here_already.get(request.param) or unpack(request.param, cache)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Return for each model: dense content, encoded content, inputs of each call."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for name, (make, batches) in MODELS.items():
        model = make()
        dense, sparse = folder / f"{name}.tflite", folder / f"{name}_sparse.tflite"
        dense.write_bytes(tiny_models.to_bytes(model))
        choices = encode_file(dense, sparse, litert_target.answer)
        assert any(choice.form is not None for choice in choices), name
        parts = np.split(tiny_models.samples(model, sum(batches)), np.cumsum(batches)[:-1])
        found[name] = (dense.read_bytes(), sparse.read_bytes(), tuple((part,) for part in parts))
    return found


def test_encoded_files_run_as_the_dense_ones_do(runtime, pairs):
    kernels = ("default", "builtin")
    jobs = [Job(file, calls, kind) for *files, calls in pairs.values() for kind in kernels for file in files]
    results = iter(runtime_versions.run(runtime, jobs))
    for name in pairs:
        for kind in kernels:
            dense, sparse = next(results), next(results)
            assert dense.outputs is not None, (name, kind, dense.refusal)
            assert sparse.outputs is not None, (name, kind, sparse.refusal)
            assert sparse.same_outputs(dense), (name, kind)
            assert all(np.unique(array).size > 10 for row in dense.outputs for array in row), (name, kind)


def test_the_table_is_true_of_the_installed_litert():
    runtime, _ = installed()
    recorded = acceptance.table()
    assert runtime.name in recorded.runtimes, "run benchmarks/acceptance.py again"
    for case, entry, outcome in zip(CASES, recorded.cases, measure(runtime, CASES), strict=True):
        form, _, variant = case.variant.rpartition(": ")
        said = (entry.operator, entry.position, entry.weight, entry.data, entry.form, entry.variant)
        assert said == (case.operator, case.position, case.weight, case.data, form, variant)
        assert entry.outcomes[runtime.name] == outcome, case.name


def test_a_crash_loses_only_its_own_job():
    (crashing, *_) = (case for case in CASES if case.operator.endswith("LSTM") and case.data == "int8")
    good = CASES[0]
    jobs = [
        Job(case.sparse(), case.calls(), "default") for case in (good, crashing, good, crashing, crashing, good, good)
    ]
    results = runtime_versions.run(installed()[0], jobs)
    assert [result.outputs is not None for result in results] == [True, False, True, False, False, True, True]
    assert all(result.refusal is None for result in results)
    assert results[0].same_outputs(results[-1])
    assert not results[0].same_outputs(results[1])


def test_a_refusal_is_told():
    content = tiny_models.to_bytes(tiny_models.conv2d(data_dtype="float32"))
    (result,) = runtime_versions.run(installed()[0], [Job(content[:-1000], ((),), "default")])
    assert result.outputs is None
    assert result.refusal
