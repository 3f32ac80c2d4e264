"""Frozen, typed settings that refuse unknown keys and values out of range: one module a command, and shared parts.

``XOptions`` type the same settings as keywords of the functions of :mod:`tflite_sparse`, for editors and type checkers.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tflite_sparse.settings.base import (
        Flag,
        Settings,
    )
    from tflite_sparse.settings.export import (
        ExportOptions,
        ExportSettings,
    )
    from tflite_sparse.settings.files import (
        BenchOptions,
        BenchSettings,
        DecodeOptions,
        DecodeSettings,
        EncodeOptions,
        EncodeSettings,
        InspectOptions,
        InspectSettings,
        VerifyOptions,
        VerifySettings,
        WrittenFileOptions,
        WrittenFileSettings,
    )
    from tflite_sparse.settings.fit import (
        FitOptions,
        FitSettings,
    )
    from tflite_sparse.settings.kinds import (
        ANY_DROP,
        DEFAULT_DROP,
        DEFAULT_OUT,
        DEFAULT_SWEEP_OUT,
        DEMO_DATA,
        DEMO_SPARSITY,
        METRICS,
        Activations,
        Alternatives,
        AnyPath,
        Bytes,
        Calibration,
        DenseScales,
        FittedTarget,
        InputShapes,
        Metric,
        Optimize,
        Recurrent,
        RunnableTarget,
        Sparsity,
        Target,
    )
    from tflite_sparse.settings.prune import (
        PruneOptions,
        PruneSettings,
        PruningOptions,
        PruningSettings,
        ScheduleOptions,
    )
    from tflite_sparse.settings.shared import (
        ChannelOptions,
        ChannelSettings,
        ConversionOptions,
        ConversionSettings,
        InputShapeOptions,
        InputShapeSettings,
        OutOptions,
        OutSettings,
        ScoreOptions,
        ScoreSettings,
        SourceOptions,
        SourceSettings,
        TrainingOptions,
        TrainingSettings,
    )
    from tflite_sparse.settings.sweep import (
        SweepOptions,
        SweepSettings,
    )
    from tflite_sparse.settings.target import (
        TargetOptions,
        TargetSettings,
    )

_MODULES = ("base", "kinds", "shared", "target", "files", "prune", "export", "sweep", "fit")
"""In the order of their imports: a later one imports earlier ones."""

__all__ = [
    "ANY_DROP",
    "DEFAULT_DROP",
    "DEFAULT_OUT",
    "DEFAULT_SWEEP_OUT",
    "DEMO_DATA",
    "DEMO_SPARSITY",
    "METRICS",
    "Activations",
    "Alternatives",
    "AnyPath",
    "BenchOptions",
    "BenchSettings",
    "Bytes",
    "Calibration",
    "ChannelOptions",
    "ChannelSettings",
    "ConversionOptions",
    "ConversionSettings",
    "DecodeOptions",
    "DecodeSettings",
    "DenseScales",
    "EncodeOptions",
    "EncodeSettings",
    "ExportOptions",
    "ExportSettings",
    "FitOptions",
    "FitSettings",
    "FittedTarget",
    "Flag",
    "InputShapeOptions",
    "InputShapeSettings",
    "InputShapes",
    "InspectOptions",
    "InspectSettings",
    "Metric",
    "Optimize",
    "OutOptions",
    "OutSettings",
    "PruneOptions",
    "PruneSettings",
    "PruningOptions",
    "PruningSettings",
    "Recurrent",
    "RunnableTarget",
    "ScheduleOptions",
    "ScoreOptions",
    "ScoreSettings",
    "Settings",
    "SourceOptions",
    "SourceSettings",
    "Sparsity",
    "SweepOptions",
    "SweepSettings",
    "Target",
    "TargetOptions",
    "TargetSettings",
    "TrainingOptions",
    "TrainingSettings",
    "VerifyOptions",
    "VerifySettings",
    "WrittenFileOptions",
    "WrittenFileSettings",
]


def __getattr__(name: str) -> Any:
    # A command imports its own settings, not those of the others: classes of settings take long to make.
    for module in _MODULES if name in __all__ else ():
        home = importlib.import_module(f"{__name__}.{module}")
        if hasattr(home, name):
            globals()[name] = getattr(home, name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
