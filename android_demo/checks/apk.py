"""Check 4: link resources against API 36 and make a dexed, aligned, signed APK with the models stored in it.

Neither PyPI nor Debian has LiteRT for Android, so the APK has no runtime. It shows that the build works, cannot
classify anything, and is named accordingly.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from checks import downloads, java, places
from checks.errors import CheckError
from checks.gradle import AndroidBuild
from checks.kotlin import Classes, android_api
from checks.processes import Command, run

NAME = "demo-WITHOUT-LITERT-not-runnable.apk"
_ALIGNMENT = 4
_KEY = ("-keystore", "key.p12", "-storepass", "checks", "-alias", "checks")


def tools() -> Path:
    """Return the folder of apktool, bundletool and apksigner."""
    return downloads.fetch(downloads.ANDROID_TOOLS) / "mobsf" / "StaticAnalyzer" / "tools"


def link_resources(build: AndroidBuild) -> tuple[Path, Path]:
    """Compile and link manifest, resources and assets.

    Args:
        build: the values of the Gradle files.

    Returns:
        The APK without code, and the folder of ``R.java``.

    Raises:
        CheckError: aapt2 refuses something.
    """
    folder = places.BUILD / "apk"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # apktool contains aapt2 and the resources of the newest Android that it knows.
    downloads.unzip(
        downloads.one(tools(), "apktool_*.jar"), folder, ("prebuilt/linux/aapt2", "prebuilt/android-framework.jar")
    )
    aapt2, framework = folder / "prebuilt/linux/aapt2", folder / "prebuilt/android-framework.jar"
    run("aapt2-compile", [aapt2, "compile", "--dir", places.APP / "res", "-o", folder / "resources.zip"])
    manifest = folder / "AndroidManifest.xml"
    # Gradle's plugin adds the namespace here.
    text = (places.APP / "AndroidManifest.xml").read_text(encoding="utf-8")
    manifest.write_text(text.replace("<manifest ", f'<manifest package="{build.namespace}" ', 1), encoding="utf-8")
    unaligned, sources = folder / "linked.apk", folder / "java"
    versions = ["--min-sdk-version", str(build.min_sdk), "--target-sdk-version", str(build.target_sdk)]
    names = ["--version-code", str(build.version_code), "--version-name", build.version_name]
    stored = [part for extension in build.no_compress for part in ("-0", f".{extension}")]
    inputs: Command = ["-I", framework, "--manifest", manifest, "-A", places.ASSETS, folder / "resources.zip"]
    outputs: Command = ["-o", unaligned, "--java", sources]
    run("aapt2-link", [aapt2, "link", *versions, *names, *stored, "--auto-add-overlay", *inputs, *outputs])
    return unaligned, sources


def package(linked: Path, classes: Classes, build: AndroidBuild) -> str:
    """Add the code to an APK, align and sign it, and check the result.

    Raises:
        CheckError: a tool refuses something, or the APK is wrong.
    """
    folder = linked.parent
    code = folder / "app.jar"
    with zipfile.ZipFile(code, "w") as archive:
        for path in sorted(classes.app.rglob("*.class")):
            archive.write(path, path.relative_to(classes.app))
    _dex("app", code, folder, build, ["--classpath", java.kotlin_library()])
    (folder / "classes.dex").rename(folder / "classes2.dex")
    shutil.copy(_kotlin_dex(build), folder / "classes.dex")
    with zipfile.ZipFile(linked, "a", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("classes*.dex")):
            archive.write(path, path.name)
    apk = places.BUILD / NAME
    run("zipalign", [downloads.which("zipalign", "zipalign"), "-f", str(_ALIGNMENT), linked, apk])
    run(
        "keytool",
        [java.home() / "bin" / "keytool", "-genkeypair", *_KEY, "-keyalg", "RSA", "-dname", "CN=checks"],
        folder=folder,
    )
    signer: Command = [java.java(), *java.OPTIONS, "-jar", tools() / "apksigner.jar"]
    key: Command = ["--ks", folder / "key.p12", "--ks-pass", "pass:checks"]
    run("apksigner-sign", [*signer, "sign", *key, apk])
    _look_at(apk, signer, build)
    return f"{apk.name}, {apk.stat().st_size:,} bytes"


def _kotlin_dex(build: AndroidBuild) -> Path:
    """Return Kotlin's library as Android code; made once."""
    place = places.BUILD / f"kotlin-dex-{build.min_sdk}"
    if not place.is_dir():
        temporary = place.with_suffix(".part")
        temporary.mkdir(exist_ok=True)
        _dex("kotlin", java.kotlin_library(), temporary, build, [])
        temporary.rename(place)
    return place / "classes.dex"


def _dex(name: str, code: Path, folder: Path, build: AndroidBuild, more: Command) -> None:
    bundletool = downloads.one(tools(), "bundletool-all-*.jar")
    d8: Command = [java.java(), *java.OPTIONS, "-cp", bundletool, "com.android.tools.r8.D8"]
    libraries = ["--min-api", str(build.min_sdk), "--lib", android_api(), *more]
    run(f"d8-{name}", [*d8, *libraries, "--output", folder, code])


def _look_at(apk: Path, signer: Command, build: AndroidBuild) -> None:
    """Check signature, alignment, code, and the models: stored, aligned, and equal to those of the export."""
    printed = run("apksigner-verify", [*signer, "verify", "--verbose", "--min-sdk-version", str(build.min_sdk), apk])
    if "Verified using v2 scheme (APK Signature Scheme v2): true" not in printed:
        raise CheckError(f"{apk.name} has no signature of scheme 2")
    run("zipalign-check", [downloads.which("zipalign", "zipalign"), "-c", str(_ALIGNMENT), apk])
    with zipfile.ZipFile(apk) as archive:
        if "classes.dex" not in archive.namelist():
            raise CheckError(f"{apk.name} has no code")
        for path in sorted(places.ASSETS.glob("*.tflite")):
            entry = archive.getinfo(f"assets/{path.name}")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckError(f"{apk.name}: {entry.filename} is compressed, Android could not map it")
            if archive.read(entry) != path.read_bytes():
                raise CheckError(f"{apk.name}: {entry.filename} is not the file that was exported")
