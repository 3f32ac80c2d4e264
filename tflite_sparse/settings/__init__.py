"""Frozen, typed settings that refuse unknown keys and values out of range: one module a command, and shared parts."""

from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.export import ExportSettings
from tflite_sparse.settings.files import (
    DecodeSettings,
    EncodeSettings,
    InputShapes,
    InputShapeSettings,
    WrittenFileSettings,
)
from tflite_sparse.settings.fit import FitSettings
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
    Bytes,
    Calibration,
    DenseScales,
    Metric,
    Optimize,
    Recurrent,
    Sparsity,
    Target,
)
from tflite_sparse.settings.prune import PruneSettings, PruningSettings
from tflite_sparse.settings.sweep import SweepSettings
from tflite_sparse.settings.target import TargetSettings

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
    "Bytes",
    "Calibration",
    "DecodeSettings",
    "DenseScales",
    "EncodeSettings",
    "ExportSettings",
    "FitSettings",
    "InputShapeSettings",
    "InputShapes",
    "Metric",
    "Optimize",
    "PruneSettings",
    "PruningSettings",
    "Recurrent",
    "Settings",
    "Sparsity",
    "SweepSettings",
    "Target",
    "TargetSettings",
    "WrittenFileSettings",
]
