"""Test the tools of the Android demo's checks: pinned downloads, and reports of failures."""

import hashlib
import zipfile

import pytest

from checks import downloads, gradle, places
from checks.errors import CheckError
from checks.processes import run


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFLITE_SPARSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive_of(folder):
    path = folder / "some.whl"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(zipfile.ZipInfo("wanted/program"), b"\x7fELF and more")
        opened.writestr(zipfile.ZipInfo("wanted/text"), "text")
        opened.writestr(zipfile.ZipInfo("other/text"), "text")
    return path


def unpack(archive, folder):
    downloads.unzip(archive, folder, ("wanted/",))


def test_a_pinned_package_is_downloaded_once_and_only_its_members_are_kept(tmp_path, cache):
    digest = hashlib.sha256(archive_of(tmp_path).read_bytes()).hexdigest()
    fetched = []

    def download(folder):
        fetched.append(folder)
        return archive_of(folder)

    place = downloads.cached(digest, download, unpack)
    assert downloads.cached(digest, download, unpack) == place
    assert len(fetched) == 1
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == [
        "wanted/program", "wanted/text",
    ]  # fmt: skip
    assert (place / "wanted" / "program").stat().st_mode & 0o111
    assert list(cache.iterdir()) == [place]


def test_two_processes_may_fetch_at_once(tmp_path):
    digest = hashlib.sha256(archive_of(tmp_path).read_bytes()).hexdigest()

    def slowly(folder):
        downloads.cached(digest, archive_of, unpack)  # the other process finishes meanwhile
        return archive_of(folder)

    assert sorted(path.name for path in downloads.cached(digest, slowly, unpack).iterdir()) == ["wanted"]


def test_another_file_is_refused_and_not_kept(cache):
    with pytest.raises(CheckError, match=r"some\.whl has SHA-256 [0-9a-f]{64}, 0000 was expected"):
        downloads.cached("0000", archive_of, unpack)
    assert list(cache.iterdir()) == []


def test_everything_is_pinned_by_version_and_digest():
    for each in downloads.ALL:
        assert len(bytes.fromhex(each.sha256)) == 32
        if isinstance(each, downloads.Wheel):
            assert "==" in each.requirement


def test_the_cache_is_outside_the_repository(monkeypatch):
    for name in ("TFLITE_SPARSE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert places.REPOSITORY not in places.cache().parents


def test_a_failing_program_is_reported_with_its_output(tmp_path, monkeypatch):
    monkeypatch.setattr("checks.processes.LOGS", tmp_path)
    with pytest.raises(CheckError, match=r"(?s)name: exit code 3; all of it in .*name\.log\nsaid"):
        run("name", ["sh", "-c", "echo said; exit 3"])
    assert "said" in (tmp_path / "name.log").read_text()
    with pytest.raises(CheckError, match="no-such-program is not installed"):
        run("name", ["no-such-program"])


def test_a_gradle_file_that_says_something_else_is_refused(monkeypatch):
    said = {"compileSdk": ["35"]}
    monkeypatch.setattr(gradle, "_evaluate", lambda catalog: said)
    with pytest.raises(CheckError, match="the Gradle files say 35 of compileSdk, not 36"):
        gradle.read()
