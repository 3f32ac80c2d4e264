"""Test what is measured, but no speed."""

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError
from tflite_sparse.measurement import latency


@pytest.fixture
def paths(tmp_path):
    """Return files of a fully connected layer, and of one with 100 times as many weights."""
    found = []
    for name, shape in (("small", (100, 100)), ("large", (1000, 1000))):
        found.append(tmp_path / f"{name}.tflite")
        found[-1].write_bytes(tiny_models.to_bytes(tiny_models.fully_connected(shape, dtype="float32")))
    return found


def test_interleaved(paths):
    seen = []
    timings = latency.interleaved([*paths, paths[0]], rounds=4, on_step=lambda *step: seen.append(step))
    assert timings.shape == (3, 4)
    assert timings.dtype == np.float64
    assert (timings > 0).all()
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.median(timings[1]) > np.median(timings[0])  # 100 times the work


def test_interleaved_with_kernels_of_their_own(paths):
    timings = latency.interleaved([paths[0]] * 3, rounds=1, kernels=["default", "builtin", "compiled_model"])
    assert (timings > 0).all()
    with pytest.raises(ValueError, match="zip"):
        latency.interleaved(paths, rounds=1, kernels=["default"])


def test_compare(paths):
    seen = []
    found = latency.compare(paths, rounds=3, processes=2, on_step=lambda *step: seen.append(step))
    assert seen == [(done, 7) for done in range(1, 8)]
    first, second = found
    assert [each.path for each in found] == paths
    assert [each.file_bytes for each in found] == [path.stat().st_size for path in paths]
    assert (first.loading_ratio, first.resident_ratio, first.latency_ratio) == (1, 1, 1)
    assert second.loading_ratio == second.loading.load_ms / first.loading.load_ms
    assert second.resident_ratio == second.loading.resident_bytes / first.loading.resident_bytes
    for each in found:
        assert 0 < each.latency_ms_median <= each.latency_ms_p90
    assert second.loading.resident_bytes > 4e6  # its weights take 4 MB, read in place from the file or repacked


def test_median_ratio():
    """The median of the rounds' ratios, not the ratio of the medians: of 2, 3, 1 rather than 4 / 3."""
    assert latency.median_ratio(np.array([2.0, 9.0, 4.0]), np.array([1.0, 3.0, 4.0])) == 2


def test_a_refused_file_is_named_before_anything_is_timed(paths, tmp_path):
    bad = tmp_path / "bad.tflite"
    model = tiny_models.conv2d()
    model.operatorCodes[0].version = 99
    bad.write_bytes(tiny_models.to_bytes(model))
    seen = []
    with pytest.raises(ExecutionError, match=r"refuses .*bad\.tflite") as caught:
        latency.compare([*paths, bad], on_step=lambda *step: seen.append(step))
    assert "\n" not in str(caught.value)
    assert len(seen) == 2
    with pytest.raises(ExecutionError, match=r"refuses .*bad\.tflite"):
        latency.interleaved([*paths, bad])


def test_a_file_that_loads_but_does_not_run(tmp_path):
    """GATHER checks its indices when it runs."""
    model = tiny_models.gather(1, 4)
    path = tmp_path / "gather.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    with pytest.raises(ExecutionError, match=r"does not run .*gather\.tflite"):
        latency.first_invoke(path)


@pytest.mark.parametrize("model", [odd_models.recurrent, odd_models.accumulator], ids=lambda make: make.__name__)
def test_models_with_state(model, tmp_path):
    path = tmp_path / "state.tflite"
    path.write_bytes(tiny_models.to_bytes(model()))
    assert (latency.interleaved([path], rounds=2) > 0).all()
