"""Check 1: compile the app against the shim, which has LiteRT's API, and against Android's own API.

The app is compiled without the JDK, against API 23, one less than its minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from checks import downloads, java, places

_JVM_OF_THE_SHIM = "25"  # java.lang.foreign


@dataclass(frozen=True)
class Classes:
    """Folders of compiled classes."""

    shim: Path
    app: Path
    tests: Path

    @property
    def classpath(self) -> list[Path]:
        """Return everything that a run of the tests needs."""
        return [java.kotlin_library(), self.shim, self.app, self.tests, *java.junit(), java.json()]


def android_api() -> Path:
    """Return the stubs of Android's API 23."""
    return downloads.fetch(downloads.ANDROID_API) / "usr/share/java/com.android.android-23.jar"


def compile_all(resources: Path) -> Classes:
    """Compile shim, app and tests.

    Args:
        resources: the folder of ``R.java``, from which the compiler takes the numbers.

    Raises:
        CheckError: the compiler refuses something or warns.
    """
    jdk = ["-jdk-home", str(java.home()), "-jvm-target", _JVM_OF_THE_SHIM]
    shim = java.compile_kotlin("shim", [places.SHIM], [android_api()], jdk)
    app = java.compile_kotlin(
        "app", [places.APP / "kotlin", resources], [shim, android_api()], ["-no-jdk", "-jvm-target", java.APP_TARGET]
    )
    libraries = [shim, app, *java.junit(), java.json()]
    tests = java.compile_kotlin("tests", [places.UNIT_TESTS, places.JVM_TESTS], libraries, jdk)
    return Classes(shim, app, tests)
