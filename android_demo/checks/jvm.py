"""Checks 2, 3 and 6: run JUnit with the real ``libLiteRt.so``, on this machine and on an emulated ARM64 processor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from checks import downloads, java, places
from checks.errors import CheckError
from checks.kotlin import Classes
from checks.processes import Command, run

_CROSS_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
_EMULATED_PROCESSOR = "cortex-a76"
# LiteRT's libraries read the processor's features from this file, and crash if it describes another processor.
_CPUINFO = """\
processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0b
CPU revision\t: 1
"""


def run_here(classes: Classes) -> str:
    """Run all tests on this machine.

    Raises:
        CheckError: a test failed.
    """
    return _junit("junit-x86_64", [java.java()], "x86_64", classes, _tests(places.UNIT_TESTS, places.JVM_TESTS))


def run_on_arm64(classes: Classes) -> str:
    """Run the tests of the classifier in an ARM64 Java, with the ARM64 library, under emulation.

    Raises:
        CheckError: a test failed, or emulator or libraries are not installed.
    """
    emulator = downloads.which("qemu-aarch64-static", "qemu-user-static")
    if not _CROSS_LIBRARIES.is_dir():
        raise CheckError(
            f"{_CROSS_LIBRARIES} is not there: apt-get install libc6-arm64-cross libstdc++6-arm64-cross "
            "libgcc-s1-arm64-cross"
        )
    root = places.BUILD / "arm64"
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(_CPUINFO)
    if not (root / "lib").exists():
        (root / "lib").symlink_to(_CROSS_LIBRARIES)
    command: Command = [emulator, "-cpu", _EMULATED_PROCESSOR, "-L", root, java.home("aarch64") / "bin" / "java"]
    return _junit("junit-aarch64", command, "aarch64", classes, _tests(places.JVM_TESTS))


def _tests(*folders: Path) -> list[str]:
    """Return the names of the test classes."""
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*Test.kt")):
        package = re.search(r"^package (\S+)", path.read_text(encoding="utf-8"), re.M)
        assert package is not None
        found.append(f"{package[1]}.{path.stem}")
    return found


def _junit(name: str, command: Command, machine: str, classes: Classes, tests: Sequence[str]) -> str:
    properties = {
        "litert.library": downloads.fetch(downloads.LITERT[machine]) / "ai_edge_litert" / "libLiteRt.so",
        "assets": places.ASSETS,
    }
    options = [*java.OPTIONS, *(f"-D{key}={value}" for key, value in properties.items())]
    printed = run(
        name, [*command, *options, "-cp", java.classpath(classes.classpath), "org.junit.runner.JUnitCore", *tests]
    )
    passed = re.search(r"^OK \((\d+) tests?\)$", printed, re.M)
    if passed is None:
        raise CheckError(f"{name}: JUnit said nothing of success")
    return f"{passed[1]} tests"
