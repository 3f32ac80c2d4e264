"""Test archives, HDF5 files and folders that lead out of themselves or hold more than they announce."""

import io
import shutil
import stat
import struct
import zipfile
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from tflite_sparse.errors import DataError, ModelError
from tflite_sparse.sources import containers, dataset, keras_model, model_files, npz, tensorflow_import


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a model in every form, by its suffix."""
    keras = tensorflow_import.keras3()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])
    folder = tmp_path_factory.mktemp("models")
    for suffix in (".keras", ".h5"):
        model.save(folder / f"model{suffix}")
    model.export(folder / "model", verbose=False)
    return folder


def with_members(source, target, *added, weights=None):
    """Write a copy of a ``.keras`` archive with more members: (name or ZipInfo, content)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            replaced = weights is not None and name == "model.weights.h5"
            new.writestr(name, weights if replaced else old.read(name))
        for entry, content in added:
            new.writestr(entry, content)
    return target


@pytest.mark.parametrize(
    "name", ["../evil", "assets/../../evil", "/tmp/evil", "..\\evil", "C:evil", "assets/x/../../../evil"]
)
def test_member_that_leads_out(name, saved, tmp_path):
    path = with_members(saved / "model.keras", tmp_path / "bad.keras", (name, b"x"))
    with pytest.raises(ModelError, match="would be unpacked outside of its folder"):
        keras_model.open_model(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"bad.keras"}


def test_member_that_is_a_link(saved, tmp_path):
    entry = zipfile.ZipInfo("assets/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = with_members(saved / "model.keras", tmp_path / "bad.keras", (entry, b"/etc/passwd"))
    with pytest.raises(ModelError, match="'assets/link' is a symbolic link"):
        keras_model.open_model(path)


def test_member_of_a_name_that_another_has(saved, tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = with_members(saved / "model.keras", tmp_path / "bad.keras", ("config.json", b"{}"))
    with pytest.raises(ModelError, match=r"several members of the name 'config\.json'"):
        keras_model.open_model(path)


def test_assets_within_the_archive_are_allowed(saved, tmp_path):
    path = with_members(saved / "model.keras", tmp_path / "good.keras", ("assets/layers/x/vocabulary.txt", b"a\nb\n"))
    assert keras_model.open_model(path).kernels()[0].shape == (4, 3)


def test_bombs_in_any_member(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "LEAST_LIMIT_BYTES", 2**20)
    path = with_members(saved / "model.keras", tmp_path / "one.keras", ("assets/zeros", b"\0" * 20 * 2**20))
    with pytest.raises(ModelError, match=r"its members unpack to 0\.0 GB, which no trained model does"):
        keras_model.open_model(path)
    path = with_members(
        saved / "model.keras", tmp_path / "many.keras", *((f"assets/{i}", b"\0" * 2**20) for i in range(20))
    )
    with pytest.raises(ModelError, match="its members unpack"):
        keras_model.open_model(path)
    monkeypatch.setattr(containers, "_MOST_MEMBERS", 20)
    with pytest.raises(ModelError, match="it has 23 members"):
        keras_model.open_model(path)


def a_model(path):
    """Return an archive with the parts that are checked; its weights are stored uncompressed."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["kernel"] = np.zeros(4, np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", weights.getvalue())
    return path, len(weights.getvalue())


@pytest.mark.parametrize("name", [".", "./", "", "/", "..", "a/..", "a\\..\\b", "\\a", "C:", "c:/a", "C:a"])
def test_members_that_have_no_name_of_their_own_or_lead_out(name):
    archive = SimpleNamespace(infolist=lambda: [zipfile.ZipInfo("a"), zipfile.ZipInfo(name)])
    with pytest.raises(ValueError, match="would be unpacked outside of its folder"):
        containers.check_keras_archive(archive)


@pytest.mark.parametrize("name", ["a/b", "..a", "a..", ".a", "./a", "a/...", "1:a"])
def test_members_that_stay_inside(name, tmp_path):
    path, _ = a_model(tmp_path / "model.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
        containers.check_keras_archive(archive)


@pytest.mark.parametrize("packed", [0, 2 * 2**20])
def test_archives_at_the_limits_of_their_size(packed, tmp_path):
    """The limits are 100 MiB, or 100 times the packed size."""
    path, weights = a_model(tmp_path / "model.zip")
    most = max(100 * 2**20, 100 * (packed + weights)) - weights
    with zipfile.ZipFile(announced(tmp_path / "good.zip", (packed, most), source=path)) as archive:
        containers.check_keras_archive(archive)
    with (
        zipfile.ZipFile(announced(tmp_path / "bad.zip", (packed, most + 1), source=path)) as archive,
        pytest.raises(ValueError, match=r"its members unpack to 0\.[12] GB, which no trained model does"),
    ):
        containers.check_keras_archive(archive)


@pytest.mark.parametrize(
    ("count", "words"), [(10_000, "several members of the name"), (10_001, "it has 10,001 members")]
)
def test_archives_at_the_limit_of_their_members(count, words):
    archive = SimpleNamespace(infolist=lambda: [zipfile.ZipInfo("a")] * count)
    with pytest.raises(ValueError, match=words):
        containers.check_keras_archive(archive)


@pytest.mark.parametrize(("size", "most"), [(1, 100 * 2**20), (2 * 2**20, 200 * 2**20)])
def test_weights_at_the_limits_of_their_size(size, most, tmp_path):
    for added, path in enumerate((tmp_path / "good.h5", tmp_path / "bad.h5")):
        with h5py.File(path, "w") as file:
            file["group/kernel"] = np.zeros(4, np.float32)
            file.create_dataset("announced", (most - 16 + added,), "u1", chunks=(2**20,))  # nothing is written
    containers.check_hdf5(tmp_path / "good.h5", size)
    with pytest.raises(ValueError, match=r"its weights unpack to 0\.[12] GB, which no trained model does"):
        containers.check_hdf5(tmp_path / "bad.h5", size)


def test_configurations_at_the_limit_of_their_size(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", b"0123456789")
        monkeypatch.setattr(model_files, "_MAX_CONFIG_BYTES", 10)
        assert model_files._member(archive, "config.json") == b"0123456789"
        monkeypatch.setattr(model_files, "_MAX_CONFIG_BYTES", 9)
        with pytest.raises(ValueError, match=r"config\.json unpacks to more than"):
            model_files._member(archive, "config.json")


def test_metadata_of_a_savedmodel_at_the_limit_of_their_size(tmp_path, monkeypatch):
    messages = tensorflow_import.keras2().protobuf.saved_metadata_pb2
    path = tmp_path / "keras_metadata.pb"
    path.write_bytes(messages.SavedMetadata(nodes=[messages.SavedObject(metadata='{"name": "a"}')]).SerializeToString())
    size = path.stat().st_size
    monkeypatch.setattr(model_files, "_MAX_CONFIG_BYTES", size)
    assert model_files.read_keras_metadata(path) == [{"name": "a"}]
    monkeypatch.setattr(model_files, "_MAX_CONFIG_BYTES", size - 1)
    with pytest.raises(ModelError, match=r"keras_metadata\.pb is larger than"):
        model_files.read_keras_metadata(path)


def linked_to_a_file(file, elsewhere):
    file["layers/extra"] = h5py.ExternalLink(str(elsewhere), "/secret")


def linked_inside(file, elsewhere):
    del elsewhere
    file["layers/extra"] = h5py.SoftLink("/layers")


def stored_in_a_file(file, elsewhere):
    file.create_dataset("layers/extra", (4,), "u1", external=[(str(elsewhere), 0, 4)])


def virtual(file, elsewhere):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(elsewhere), "secret", (4,))
    file.create_virtual_dataset("layers/extra", layout)


def far_too_large(file, elsewhere):
    del elsewhere
    file.create_dataset("layers/extra", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


HOSTILE = [
    (linked_to_a_file, "'layers/extra' in it is a link"),
    (linked_inside, "'layers/extra' in it is a link"),
    (stored_in_a_file, "the data of 'layers/extra' in it lie in another file"),
    (virtual, "the data of 'layers/extra' in it lie in another file"),
    (far_too_large, r"its weights unpack to 4000\.0 GB"),
]


@pytest.mark.parametrize(("edit", "words"), HOSTILE)
def test_hdf5_file(edit, words, saved, tmp_path):
    path = tmp_path / "bad.h5"
    path.write_bytes((saved / "model.h5").read_bytes())
    (tmp_path / "secret.h5").write_bytes(b"not to be read")
    with h5py.File(path, "r+") as file:
        edit(file, tmp_path / "secret.h5")
    with pytest.raises(ModelError, match=words):
        keras_model.open_model(path)


@pytest.mark.parametrize(("edit", "words"), HOSTILE)
def test_weights_in_an_archive(edit, words, saved, tmp_path):
    with zipfile.ZipFile(saved / "model.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        edit(file, tmp_path / "secret.h5")
    path = with_members(saved / "model.keras", tmp_path / "bad.keras", weights=content.getvalue())
    with pytest.raises(ModelError, match=words):
        keras_model.open_model(path)


def test_hdf5_groups_in_a_circle_come_to_an_end(saved, tmp_path):
    path = tmp_path / "circle.h5"
    path.write_bytes((saved / "model.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["model_weights/circle"] = file["model_weights"]
    containers.check_hdf5(path, path.stat().st_size)


def test_savedmodel_with_a_link_out_of_it(saved, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved / "model", folder)
    data = next((folder / "variables").glob("*.data*"))
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=r"variables/variables\.data.* is a link to a file outside .*cp -rL"):
        keras_model.open_model(folder)
    (tmp_path / "elsewhere").rename(folder / "inside")
    data.unlink()
    data.symlink_to("../inside")
    assert keras_model.open_model(folder).kernels()[0].shape == (4, 3)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd"])
def test_savedmodel_with_an_asset_elsewhere(name, saved, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    folder = tmp_path / "model"
    shutil.copytree(saved / "model", folder)
    file = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    message.meta_graphs[0].asset_file_def.add().filename = name
    file.write_bytes(message.SerializeToString())
    with pytest.raises(ModelError, match=r"names the asset .* outside of the folder"):
        keras_model.open_model(folder)


# .npz


def test_npz_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_UNSUSPICIOUS_BYTES", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((100, 2**17), np.uint8))
    with pytest.raises(DataError, match=r"unpacks to 0\.0 GB, \d+ times its size, as a zip bomb does"):
        dataset.load(str(tmp_path / "bomb.npz"))


def announced(path, *sizes, source=None):
    """Write an archive whose directory lists one more member for each of these sizes, (packed, unpacked)."""
    if source is not None:
        path.write_bytes(source.read_bytes())
    with zipfile.ZipFile(path, "w" if source is None else "a") as archive:
        for number in range(len(sizes)):
            archive.writestr(f"x{number}.npy", b"")
    content = bytearray(path.read_bytes())
    entry = len(content)
    for pair in reversed(sizes):
        entry = content.rindex(b"PK\x01\x02", 0, entry)
        content[entry + 20 : entry + 28] = struct.pack("<II", *pair)
    path.write_bytes(content)
    return path


GB = 10**9


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([(4 * GB, 4 * GB), (4 * GB, 4 * GB)], None),
        ([(4 * GB, 4 * GB), (4 * GB, 4 * GB), (1, 1)], r"unpacks to 8\.0 GB; the limit is 8 GB"),
        ([(0, 500_000_000)], None),  # no check up to this size
        ([(0, 400_000_000), (0, 100_000_001)], "unpacks to 0.5 GB, 500000001 times its size, as a zip bomb does"),
        ([(3_000_000, 600_000_000)], None),
        ([(3_000_000, 600_000_001)], "unpacks to 0.6 GB, 200 times its size, as a zip bomb does"),
    ],
    ids=["8 GB", "8 GB and 1 byte", "0.5 GB", "0.5 GB and 1 byte", "200 times its size", "that and 1 byte"],
)
def test_npz_at_the_limits_of_its_size(sizes, words, tmp_path):
    path = announced(tmp_path / "large.npz", *sizes)
    # Opening it fails because the announced members are missing.
    with pytest.raises(DataError, match=words or r"large\.npz (cannot be read as an \.npz of plain arrays|holds x0;)"):
        dataset.load(str(path))


def test_npz_whose_header_announces_what_is_not_there(tmp_path):
    header = str({"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)}).encode()
    header += b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64)
    with pytest.raises(DataError, match=r"lie\.npz cannot be read as an \.npz of plain arrays"):
        dataset.load(str(tmp_path / "lie.npz"))


def test_npz_bomb_that_claims_to_hold_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_UNSUSPICIOUS_BYTES", 2**20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((100, 2**17), np.uint8))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 24] = bytes(4)  # the packed size
    path.write_bytes(content)
    with pytest.raises(DataError, match="as a zip bomb does"):
        dataset.load(str(path))
