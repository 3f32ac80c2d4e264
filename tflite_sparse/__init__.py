"""Sparse int8 ``.tflite`` files that the stock runtime loads, from Keras models, with an honest report.

    import tflite_sparse

    report = tflite_sparse.export("model.keras", "data.npz", sparsity=0.875, int8=True)
    print(report.models.sparse_int8.file_bytes, report.accuracy.drop, report.gates.passed)

TensorFlow is imported when a model is loaded, not before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tflite_sparse.commands.encode import decode as decode
    from tflite_sparse.commands.encode import encode as encode
    from tflite_sparse.commands.export import export as export
    from tflite_sparse.commands.fit.command import fit as fit
    from tflite_sparse.commands.inspect import inspect as inspect
    from tflite_sparse.commands.prune import prune as prune
    from tflite_sparse.commands.sweep.command import sweep as sweep
    from tflite_sparse.commands.verify import verify as verify
    from tflite_sparse.results.export import Report as Report
    from tflite_sparse.sources.dataset import Dataset as Dataset

__all__ = ["Dataset", "Report", "decode", "encode", "export", "fit", "inspect", "prune", "sweep", "verify"]

_HOMES = {
    "decode": "tflite_sparse.commands.encode",
    "encode": "tflite_sparse.commands.encode",
    "export": "tflite_sparse.commands.export",
    "fit": "tflite_sparse.commands.fit.command",
    "inspect": "tflite_sparse.commands.inspect",
    "prune": "tflite_sparse.commands.prune",
    "sweep": "tflite_sparse.commands.sweep.command",
    "verify": "tflite_sparse.commands.verify",
    "Report": "tflite_sparse.results.export",
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
