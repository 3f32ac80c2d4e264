"""Make the app's assets with the program of this repository, unless the same program has made them before."""

from __future__ import annotations

import hashlib
import sys

from checks import places
from checks.errors import CheckError
from checks.processes import run

_PACKAGES = (places.REPOSITORY / "tflite_sparse", places.REPOSITORY / "cli")
NAMES = ("dense-float32.tflite", "dense-int8.tflite", "model.tflite", "labels.txt", "golden.json")


def make() -> str:
    """Run the README's export and return a description of its files.

    Raises:
        CheckError: it failed, or its files are not those that the app expects.
    """
    stamp, digest = places.BUILD / "assets.sha256", _program()
    if not (stamp.is_file() and stamp.read_text() == digest and places.ASSETS.is_dir()):
        stamp.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tflite_sparse_cli.main", "export", "--int8", "--quiet"]
        run("export", [*command, "--out", places.BUILD / "export", "--android-assets", places.ASSETS])
        stamp.write_text(digest)
    found = sorted(path.name for path in places.ASSETS.iterdir())
    if found != sorted(NAMES):
        raise CheckError(f"the assets are {found}, {sorted(NAMES)} were expected")
    return ", ".join(f"{name} {(places.ASSETS / name).stat().st_size:,} bytes" for name in NAMES[:3])


def _program() -> str:
    """Return a digest of everything that makes the assets."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _PACKAGES for path in folder.rglob("*.py")):
        digest.update(str(path.relative_to(places.REPOSITORY)).encode() + path.read_bytes())
    return digest.hexdigest()
