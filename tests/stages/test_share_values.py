"""Test which number of shared values is chosen, tensor by tensor."""

from types import SimpleNamespace

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import share_values


@pytest.fixture
def chosen(monkeypatch, tmp_path):
    """Return what is chosen for tensors of these sizes where ``passes`` tells which counts are good enough."""

    def choose(passes, sizes, fixed=None):
        tried = []

        class Trial:
            def __init__(self, *_):
                pass

            def passes(self, counts):
                tried.append(counts)
                return passes(counts)

        path = tmp_path / "m.tflite"
        path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((16, 160))))
        graph = SimpleNamespace(number=0, tensor=lambda index: SimpleNamespace(shape=[sizes[index]]))
        monkeypatch.setattr(share_values, "_Trial", Trial)
        monkeypatch.setattr(share_values.shared_values, "shareable", lambda _: [(graph, i) for i in range(len(sizes))])
        sharing = share_values.Sharing(ExportSettings(int8=True, shared_values="auto"), "auto", Timed(Silent()))
        return sharing._chosen(path, path, None, fixed or {}), tried

    return choose


def test_all_take_the_fewest_where_that_passes(chosen):
    found, tried = chosen(lambda counts: True, [3000, 5000])
    assert found == {(0, 0): 8, (0, 1): 8}
    assert tried == [{(0, 0): 8, (0, 1): 8}]


def test_single_tensors_take_fewer_the_largest_first(chosen):
    def passes(counts):
        return counts[0, 0] == 16

    found, tried = chosen(passes, [3000, 5000])
    assert found == {(0, 0): 16, (0, 1): 8}
    alike = [{(0, 0): count, (0, 1): count} for count in (8, 16)]
    assert tried == [*alike, {(0, 0): 16, (0, 1): 8}, {(0, 0): 8, (0, 1): 8}]


def test_what_is_fixed_for_a_tensor_is_not_searched(chosen):
    """The first keeps its values, the second has four."""
    found, tried = chosen(lambda counts: True, [3000, 5000, 7000], {(0, 0): None, (0, 1): 4})
    assert found == {(0, 1): 4, (0, 2): 8}
    assert tried == [found]


def test_where_none_passes_all_take_the_most(chosen):
    found, _ = chosen(lambda counts: False, [3000])
    assert found == {(0, 0): 32}


def test_samples_of_training_choose():
    data = Dataset("d", np.arange(5000.0)[:, None], np.arange(5000), np.zeros((3, 1)), np.zeros(3, int))
    part = share_values._training_part(data)
    assert part.test_samples == 2000
    assert set(part.y_test) <= set(range(5000))
    assert (part.x_test[:, 0] == part.y_test).all()


@pytest.mark.parametrize(
    ("shared_values", "of_kernels", "wanted"),
    [
        (None, {}, False),
        (None, {"one/kernel": "all"}, False),
        (None, {"one/kernel": "all", "two/kernel": 8}, True),
        (16, {"one/kernel": "all"}, True),
    ],
)
def test_rules_that_keep_all_values_ask_for_nothing(shared_values, of_kernels, wanted):
    settings = ExportSettings(int8=True, shared_values=shared_values)
    assert share_values.Sharing(settings, "auto", Timed(Silent()), of_kernels).is_asked_for is wanted
