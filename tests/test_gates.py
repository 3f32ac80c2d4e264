"""When an export is a success: accuracy and size, exactly at what is allowed and beside it."""

from types import SimpleNamespace

import pytest

from example_reports import make
from tflite_sparse.config import ExportSettings
from tflite_sparse.evaluation_pipeline import gate_failures


def failures(drop=0.0, sparse_bytes=65_000, dense_bytes=260_000, accuracy=0.98, **settings):
    report = make()
    sizes = {
        "sparse_int8": {"file_bytes": sparse_bytes, "accuracy": accuracy},
        "dense_int8": {"file_bytes": dense_bytes},
    }
    models = report.models.model_copy(
        update={name: getattr(report.models, name).model_copy(update=each) for name, each in sizes.items()}
    )
    settings = ExportSettings(int8=True, **settings)
    judged = report.accuracy.model_copy(update={"drop": drop, "max_drop": settings.max_accuracy_drop})
    evaluated = SimpleNamespace(models=models, accuracy=None if accuracy is None else judged)
    return gate_failures(evaluated, settings, [], [])


@pytest.mark.parametrize("allowed", [0.0, 0.01, 0.05])
def test_a_drop_of_exactly_what_is_allowed_passes(allowed):
    assert failures(drop=allowed, max_accuracy_drop=allowed) == []
    assert failures(drop=-0.2, max_accuracy_drop=allowed) == []
    (words,) = failures(drop=allowed + 0.001, max_accuracy_drop=allowed)
    assert words.startswith("accuracy: ")
    assert f"more than --max-accuracy-drop {allowed:g}. " in words


def test_a_sparse_file_of_as_many_bytes_as_the_dense_one_passes():
    assert failures(sparse_bytes=1000, dense_bytes=1000) == []
    assert failures(sparse_bytes=1001, dense_bytes=1000) == ["size: 1,001 bytes, more than the dense int8 file's 1,000"]


def test_nan_of_the_sparse_file_fails_and_all_failures_are_told():
    assert failures(accuracy=None) == ["accuracy: the sparse file yields NaN or infinity on test samples"]
    assert [each.partition(":")[0] for each in failures(drop=0.5, sparse_bytes=2, dense_bytes=1)] == [
        "accuracy",
        "size",
    ]
