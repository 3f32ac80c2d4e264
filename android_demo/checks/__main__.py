"""Run every check of the Android demo that needs no Android SDK: ``python -m checks`` in ``android_demo``.

It needs a Python with this repository's package and its extra ``demo``, a network for downloads that are not in the
cache (:mod:`checks.downloads`), and some Debian 12 packages. A check that misses one fails and names it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from checks import apk, assets, downloads, gradle, jvm, kotlin
from checks.errors import CheckError

T = TypeVar("T")


def main() -> int:
    """Run all checks in order; return 1 at the first that fails, else 0."""
    try:
        _step("fetch what is pinned", lambda: f"{len([downloads.fetch(each) for each in downloads.ALL])} packages")
        _step("assets: tflite-sparse export --int8 --android-assets", assets.make)
        build = _step("5. the Gradle files", gradle.read)
        linked, resources = _step("4. link the resources against API 36", lambda: apk.link_resources(build))
        classes = _step("1. compile against LiteRT's API and Android's", lambda: kotlin.compile_all(resources))
        _step("4. dex, align, sign", lambda: apk.package(linked, classes, build))
        _step("2. and 6. JUnit over libLiteRt.so, x86-64", lambda: jvm.run_here(classes))
        _step("3. the same on ARM64, emulated", lambda: jvm.run_on_arm64(classes))
    except CheckError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


def _step(words: str, work: Callable[[], T]) -> T:
    print(f"{words} ...", flush=True)
    start = time.monotonic()
    result = work()
    found = f": {result}" if isinstance(result, str) else ""
    print(f"    {time.monotonic() - start:.1f} s{found}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
