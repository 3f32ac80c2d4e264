"""Record what made the files of an export."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path

from tflite_sparse.results.provenance import Provenance

_PACKAGES = ("tensorflow", "keras", "tf-keras", "ai-edge-litert", "numpy", "tflite-micro", "ethos-u-vela")


def of_files(paths: Iterable[Path]) -> Provenance:
    """Return the versions of what is installed, and the hash of each file by its name."""
    versions = {"Python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # an extra that is not installed
            continue
    return Provenance(
        versions=versions, sha256={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    )
