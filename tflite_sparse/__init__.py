"""Sparse int8 ``.tflite`` files that the stock runtime loads, from Keras models, with an honest report.

    import tflite_sparse

    report = tflite_sparse.export("model.keras", "data.npz", sparsity=0.875, int8=True)
    print(report.models.sparse_int8.file_bytes, report.accuracy.drop, report.gates.passed)

``help(tflite_sparse.export)`` lists all settings of a function. TensorFlow is imported when a model is loaded, not
before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tflite_sparse.commands.bench import bench as bench
    from tflite_sparse.commands.encode import decode as decode
    from tflite_sparse.commands.encode import encode as encode
    from tflite_sparse.commands.export import export as export
    from tflite_sparse.commands.fit.command import fit as fit
    from tflite_sparse.commands.inspect import inspect as inspect
    from tflite_sparse.commands.prune import prune as prune
    from tflite_sparse.commands.report import rebuild_report as rebuild_report
    from tflite_sparse.commands.scan import scan as scan
    from tflite_sparse.commands.sweep.command import sweep as sweep
    from tflite_sparse.commands.verify import verify as verify
    from tflite_sparse.results.export import Report as Report
    from tflite_sparse.settings import BenchSettings as BenchSettings
    from tflite_sparse.settings import DecodeSettings as DecodeSettings
    from tflite_sparse.settings import EncodeSettings as EncodeSettings
    from tflite_sparse.settings import ExportSettings as ExportSettings
    from tflite_sparse.settings import FitSettings as FitSettings
    from tflite_sparse.settings import InspectSettings as InspectSettings
    from tflite_sparse.settings import PruneSettings as PruneSettings
    from tflite_sparse.settings import PruningSettings as PruningSettings
    from tflite_sparse.settings import SweepSettings as SweepSettings
    from tflite_sparse.settings import VerifySettings as VerifySettings
    from tflite_sparse.sources.dataset import Dataset as Dataset

    __version__: str

_HOMES = {
    "bench": "commands.bench",
    "decode": "commands.encode",
    "encode": "commands.encode",
    "export": "commands.export",
    "fit": "commands.fit.command",
    "inspect": "commands.inspect",
    "prune": "commands.prune",
    "rebuild_report": "commands.report",
    "scan": "commands.scan",
    "sweep": "commands.sweep.command",
    "verify": "commands.verify",
    "Dataset": "sources.dataset",
    "Report": "results.export",
    "BenchSettings": "settings",
    "DecodeSettings": "settings",
    "EncodeSettings": "settings",
    "ExportSettings": "settings",
    "FitSettings": "settings",
    "InspectSettings": "settings",
    "PruneSettings": "settings",
    "PruningSettings": "settings",
    "SweepSettings": "settings",
    "VerifySettings": "settings",
}
"""The module of each public name, below this package."""

__all__ = [
    "BenchSettings",
    "Dataset",
    "DecodeSettings",
    "EncodeSettings",
    "ExportSettings",
    "FitSettings",
    "InspectSettings",
    "PruneSettings",
    "PruningSettings",
    "Report",
    "SweepSettings",
    "VerifySettings",
    "__version__",
    "bench",
    "decode",
    "encode",
    "export",
    "fit",
    "inspect",
    "prune",
    "rebuild_report",
    "scan",
    "sweep",
    "verify",
]


def __getattr__(name: str) -> Any:
    # Children of this package import it for one module each; the rest is loaded when it is asked for.
    import importlib

    if name == "pruning":
        return importlib.import_module(f"{__name__}.pruning")
    if name == "__version__":
        from tflite_sparse.version import VERSION

        return VERSION
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tflite_sparse.base import imports

    with imports.uncollected():
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)


def __dir__() -> list[str]:
    special = {name for name in globals() if name.startswith("__")}
    return sorted({*special, *__all__, "errors", "pruning", "settings"})
