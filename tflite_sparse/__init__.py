"""Sparse int8 ``.tflite`` files that the stock runtime loads, from Keras models, with an honest report.

    import tflite_sparse

    report = tflite_sparse.export("model.keras", "data.npz", sparsity=0.875, int8=True)
    print(report.models.sparse_int8.file_bytes, report.accuracy.drop, report.gates.passed)

TensorFlow is imported when a model is loaded, not before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tflite_sparse.comparison import verify as verify
    from tflite_sparse.file_pipeline import decode as decode
    from tflite_sparse.file_pipeline import encode as encode
    from tflite_sparse.inspection import inspect as inspect
    from tflite_sparse.pipeline import export as export
    from tflite_sparse.prune_pipeline import prune as prune
    from tflite_sparse.report.model import Report as Report
    from tflite_sparse.sources.dataset import Dataset as Dataset
    from tflite_sparse.sweep_pipeline import sweep as sweep

__all__ = ["Dataset", "Report", "decode", "encode", "export", "inspect", "prune", "sweep", "verify"]

_HOMES = {
    "decode": "tflite_sparse.file_pipeline",
    "encode": "tflite_sparse.file_pipeline",
    "export": "tflite_sparse.pipeline",
    "inspect": "tflite_sparse.inspection",
    "prune": "tflite_sparse.prune_pipeline",
    "sweep": "tflite_sparse.sweep_pipeline",
    "verify": "tflite_sparse.comparison",
    "Report": "tflite_sparse.report.model",
    "Dataset": "tflite_sparse.sources.dataset",
}


def __getattr__(name: str) -> Any:
    # Children of this package import it for one module each; the rest is loaded when it is asked for.
    import importlib

    if name == "pruning":
        return importlib.import_module("tflite_sparse.pruning")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
