"""Test what a report says of its origin."""

import hashlib
import importlib.metadata
import platform

from tflite_sparse.stages import provenance


def test_versions_and_hashes(tmp_path, monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "tf-keras":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    path = tmp_path / "model.tflite"
    path.write_bytes(b"content")
    found = provenance.of_files([path])
    assert found.sha256 == {"model.tflite": hashlib.sha256(b"content").hexdigest()}
    assert found.versions["Python"] == platform.python_version()
    assert found.versions["numpy"] == real("numpy")
    assert "tf-keras" not in found.versions
