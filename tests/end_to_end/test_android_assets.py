"""Test the files that `export --android-assets` writes for an app, and when it writes none."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import DataError, ModelError, OutputError, SettingsError
from tflite_sparse.flatbuffer import metadata, serde
from tflite_sparse.runtime import litert
from tflite_sparse.stages import android_assets
from tflite_sparse.stages.deliver import SPARSE

MODELS = ("dense-float32.tflite", "dense-int8.tflite", "model.tflite")
OPTIONS = {"sparsity": 0.75, "int8": True, "finetune_epochs": 0, "max_accuracy_drop": 1.0}


@pytest.fixture(scope="module")
def exported(model3, tmp_path_factory):
    folder = tmp_path_factory.mktemp("android")
    tflite_sparse.export(model3, "digits", out=folder / "out", android_assets=folder / "app" / "assets", **OPTIONS)
    return folder


@pytest.fixture(scope="module")
def golden(exported):
    return json.loads((exported / "app" / "assets" / "golden.json").read_text())


def test_the_folder_holds_the_files_of_the_export_and_no_others(exported):
    assets = exported / "app" / "assets"
    assert sorted(path.name for path in assets.iterdir()) == sorted(android_assets.FILES)
    for name in MODELS:
        assert (assets / name).read_bytes() == (exported / "out" / name).read_bytes()
    assert (assets / "labels.txt").read_text() == "".join(f"{digit}\n" for digit in range(10))


@pytest.mark.parametrize("name", MODELS)
def test_golden_outputs_are_what_the_interpreter_computes(name, exported, golden):
    x = np.array([sample["input"] for sample in golden["samples"]], np.float32).reshape(-1, 8, 8, 1)
    found = litert.run(exported / "app" / "assets" / name, x).arrays[0]
    expected = np.array(golden["outputs"][name], found.dtype)
    if name == "dense-float32.tflite":
        np.testing.assert_allclose(found, expected, atol=1e-6)
    else:
        assert found.dtype == np.int8
        assert np.array_equal(found, expected)


def test_golden_samples_are_test_samples_of_every_class(golden, digits):
    assert sorted(sample["label"] for sample in golden["samples"]) == list(range(10))
    rows = digits.x_test.reshape(len(digits.x_test), -1)
    for sample in golden["samples"]:
        same = np.flatnonzero((rows == np.array(sample["input"], np.float32)).all(axis=1))
        assert sample["label"] in digits.y_test[same]


def test_the_sparse_file_says_its_labels_and_its_range_for_few_bytes(exported):
    path = exported / "out" / SPARSE
    model = serde.read(path)
    assert metadata.get(model, metadata.LABELS) == b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9"
    assert np.frombuffer(metadata.get(model, metadata.INPUT_RANGE), "<f4").tolist() == [0, 1]
    model.metadata = [each for each in model.metadata if each.name not in (b"labels", b"input_range")]
    buffers = model.buffers[:-2]
    model.buffers = buffers
    grown = path.stat().st_size - len(serde.serialize(model))
    assert 0 < grown <= 160


def test_labels_survive_decoding_and_encoding(exported, tmp_path):
    source = exported / "out" / SPARSE
    tflite_sparse.decode(source, tmp_path / "dense.tflite")
    tflite_sparse.encode(tmp_path / "dense.tflite", tmp_path / "sparse.tflite")
    for name in ("dense.tflite", "sparse.tflite"):
        assert metadata.get(serde.read(tmp_path / name), metadata.LABELS) == b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9"
    assert (tmp_path / "sparse.tflite").stat().st_size <= source.stat().st_size
    assert tflite_sparse.verify(tmp_path / "sparse.tflite", exported / "out" / "dense-int8.tflite").passed


def test_a_file_that_would_become_larger_than_dense_stays_as_it_is(exported, tmp_path):
    path = tmp_path / "model.tflite"
    shutil.copy(exported / "out" / "dense-int8.tflite", path)
    before = path.read_bytes()
    smaller = len(serde.serialize(serde.read(path)))
    assert not metadata.describe(path, ["a"], (0, 1), most_bytes=smaller)
    assert path.read_bytes() == before
    assert metadata.describe(path, ["a"], (0, 1), most_bytes=smaller + 200)
    assert metadata.get(serde.read(path), metadata.LABELS) == b"a"


def test_an_entry_is_replaced_and_an_absent_one_is_none(exported):
    model = serde.read(exported / "out" / SPARSE)
    metadata.put(model, metadata.LABELS, "ä\nß".encode())
    again = serde.parse(bytes(serde.serialize(model)))
    assert metadata.get(again, metadata.LABELS).decode() == "ä\nß"
    assert metadata.get(again, "absent") is None
    assert sum(each.name == b"labels" for each in again.metadata) == 1


def test_a_full_disk_leaves_both_folders_as_they_were(model3, tmp_path, monkeypatch):
    copy = shutil.copyfile

    def copy_until_the_last(source, target, **more):
        if "assets" in str(target) and "model.tflite" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return copy(source, target, **more)

    monkeypatch.setattr(shutil, "copyfile", copy_until_the_last)
    with pytest.raises(OutputError, match=r"assets/model\.tflite: No space left"):
        tflite_sparse.export(model3, "digits", out=tmp_path / "out", android_assets=tmp_path / "assets", **OPTIONS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_numbers_name_the_classes_where_the_data_do_not(model3, digits, tmp_path):
    data = (digits.x_test, digits.y_test)
    tflite_sparse.export(model3, data, out=tmp_path / "out", android_assets=tmp_path / "assets", **OPTIONS)
    assert (tmp_path / "assets" / "labels.txt").read_text().split() == [str(digit) for digit in range(10)]
    assert metadata.get(serde.read(tmp_path / "out" / SPARSE), metadata.LABELS) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "`android_assets` applies to int8 files for the target litert: add `int8=True`"),
        ({"int8": True, "target": "micro"}, "`android_assets` applies to int8 files for the target litert"),
        ({"int8": True, "activations": "int16"}, 'no int16: add `io="float32"`'),
    ],
)
def test_settings_that_no_app_can_use(settings, words, tmp_path):
    with pytest.raises(SettingsError, match=words):
        tflite_sparse.export(android_assets=tmp_path / "assets", **settings)


def test_refused_before_the_work(model3, keras3, digits, tmp_path):
    layers = keras3.layers
    one = keras3.Input((4,))
    two_outputs = keras3.Model(one, [layers.Dense(2)(one), layers.Dense(3)(one)])
    x = np.zeros((8, 4), np.float32)
    target = {"out": tmp_path / "out", "android_assets": tmp_path / "assets", "int8": True}
    with pytest.raises(ModelError, match="the model has 1 and 2"):
        tflite_sparse.export(two_outputs, x, **target)
    with pytest.raises(DataError, match="`android_assets` needs `data`"):
        tflite_sparse.export(model3, activations="float32", **target)
    tokens = keras3.Sequential([keras3.Input((4,), dtype="int32"), layers.Embedding(8, 4), layers.Flatten()])
    with pytest.raises(ModelError, match="inputs of float32; the model takes int32"):
        tflite_sparse.export(tokens, x.astype(np.int32), **target)
    (tmp_path / "assets").write_text("a file")
    with pytest.raises(OutputError, match="is a file; `android_assets` takes a folder"):
        tflite_sparse.export(model3, digits, **target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assets"]
