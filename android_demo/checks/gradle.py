"""Check 5: the Gradle files are valid Kotlin and TOML, with the expected values and the versions tested here.

There is no Gradle here. A small model of its language (``gradle_dsl``) makes the Kotlin compiler read every line of the
build files, and runs them to collect the values that they set. It does not show that the real plugins accept them.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from checks import downloads, java, places
from checks.errors import CheckError
from checks.processes import run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILES = {"settings.gradle.kts": "Settings", "build.gradle.kts": "Project", "app/build.gradle.kts": "Project"}
_DSL = places.DEMO / "checks" / "gradle_dsl"
_NEWEST_GRADLE = (8, 13)  # minimum for the Android plugin 8.13


@dataclass(frozen=True)
class AndroidBuild:
    """Values from the Gradle files for the build of the APK."""

    namespace: str
    min_sdk: int
    target_sdk: int
    version_code: int
    version_name: str
    no_compress: tuple[str, ...]


def read() -> AndroidBuild:
    """Read the Gradle files and compare them with the versions tested here.

    Raises:
        CheckError: they are no Kotlin or TOML, or have other values.
    """
    catalog = tomllib.loads((places.DEMO / "gradle" / "libs.versions.toml").read_text(encoding="utf-8"))
    said = _evaluate(catalog)
    litert = downloads.LITERT["x86_64"].requirement.split("==")[1]
    _expect("compileSdk", said["compileSdk"], ["36"])
    _expect("targetSdk", said["targetSdk"], ["36"])
    _expect("minSdk", said["minSdk"], ["24"])
    _expect("noCompress", said["noCompress"], ["tflite"])
    _expect("include", said["include"], [":app"])
    _expect("repositories", said["dependencies.repository"], ["google", "mavenCentral"])
    _expect("implementation", said["implementation"], [f"com.google.ai.edge.litert:litert:{litert}"])
    _expect(
        "versions of Java",
        said["sourceCompatibility"] + said["targetCompatibility"] + said["jvmTarget"],
        [java.APP_TARGET] * 3,
    )
    _expect("the namespace", said["namespace"], said["applicationId"])
    _expect("Kotlin", [_series(catalog["versions"]["kotlin"])], [java.LANGUAGE])
    wrapper = (places.DEMO / "gradle/wrapper/gradle-wrapper.properties").read_text(encoding="utf-8")
    found = re.search(r"gradle-(\d+)\.(\d+)\S*-bin\.zip", wrapper)
    if found is None or (int(found[1]), int(found[2])) < _NEWEST_GRADLE:
        raise CheckError(f"gradle-wrapper.properties names no Gradle of {_NEWEST_GRADLE} or later")
    return AndroidBuild(
        said["namespace"][0],
        int(said["minSdk"][0]),
        int(said["targetSdk"][0]),
        int(said["versionCode"][0]),
        said["versionName"][0],
        tuple(said["noCompress"]),
    )


def _evaluate(catalog: Mapping[str, Any]) -> dict[str, list[str]]:
    """Compile and run the build files; return the values that they set, by name."""
    folder = places.BUILD / "gradle"
    folder.mkdir(parents=True, exist_ok=True)
    imports, parts = [], [_accessors(catalog)]
    for name, receiver in _FILES.items():
        lines = (places.DEMO / name).read_text(encoding="utf-8").splitlines()
        imports += [line for line in lines if line.startswith("import ")]
        content = "\n".join(line for line in lines if not line.startswith("import "))
        parts.append(f"// {name}\nprivate fun {receiver}.{_function(name)}() {{\n{content}\n}}")
    calls = "\n".join(f"    {receiver}().{_function(name)}()" for name, receiver in _FILES.items())
    parts.append(f"fun main() {{\n{calls}\n}}\n")
    header = "\n".join(["package gradle", "", *imports])
    (folder / "Files.kt").write_text("\n\n".join([header, *parts]), encoding="utf-8")
    classes = java.compile_kotlin("gradle", [_DSL, folder], [], ["-jdk-home", str(java.home()), "-jvm-target", "25"])
    library = java.kotlin_library()
    printed = run("gradle", [java.java(), *java.OPTIONS, "-cp", java.classpath([classes, library]), "gradle.FilesKt"])
    said: dict[str, list[str]] = defaultdict(list)
    for line in printed.splitlines():
        name, _, value = line.partition("=")
        said[name].append(value)
    return said


def _function(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _accessors(catalog: Mapping[str, Any]) -> str:
    """Return the objects that Gradle makes of a catalog: ``libs.litert``, ``libs.plugins.android.application``."""
    versions = catalog["versions"]
    libraries = {
        name: f"{entry['module']}:{versions[entry['version']['ref']]}" for name, entry in catalog["libraries"].items()
    }
    plugins = {name: f"{entry['id']}:{versions[entry['version']['ref']]}" for name, entry in catalog["plugins"].items()}
    lines = ["private object libs {"]
    lines += [f'    val {name} = Entry("{coordinates}")' for name, coordinates in libraries.items()]
    lines.append("    object plugins {")
    for name, coordinates in plugins.items():
        group, _, leaf = name.partition("-")
        lines.append(f'        object {group} {{ val {leaf} = Entry("{coordinates}") }}')
    return "\n".join([*lines, "    }", "}"])


def _series(version: str) -> str:
    """Return ``2.3`` for ``2.3.0``."""
    return ".".join(version.split(".")[:2])


def _expect(what: str, found: list[str], expected: list[str]) -> None:
    if found != expected:
        raise CheckError(f"the Gradle files say {', '.join(found) or 'nothing'} of {what}, not {', '.join(expected)}")
