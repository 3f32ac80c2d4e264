"""Define paths: nothing that is made or downloaded is part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent
REPOSITORY = DEMO.parent
APP = DEMO / "app" / "src" / "main"
UNIT_TESTS = DEMO / "app" / "src" / "test" / "kotlin"
SHIM = DEMO / "checks" / "shim"
JVM_TESTS = DEMO / "checks" / "jvm_tests"

BUILD = DEMO / "build" / "checks"  # ignored by git
ASSETS = BUILD / "assets"  # not the app's folder, which may hold a user's model
LOGS = BUILD / "logs"


def cache() -> Path:
    """Return the folder of downloads: ``$TFLITE_SPARSE_CACHE``, or ``tflite-sparse`` in the user's cache folder."""
    chosen = os.environ.get("TFLITE_SPARSE_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tflite-sparse"
