"""The files of an export in its folder: all of them or none, and nothing of an older run beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tflite_sparse import target_registry
from tflite_sparse.backends.registry import backend
from tflite_sparse.base import atomic_files as files
from tflite_sparse.base import scratch
from tflite_sparse.errors import OutputError
from tflite_sparse.results.export import Models

DENSE_FLOAT32 = "dense-float32.tflite"
DENSE_INT8 = "dense-int8.tflite"
SPARSE = "model.tflite"
REPORT_JSON = "report.json"
REPORT_MARKDOWN = "report.md"
REPORT_HTML = "report.html"
SWEEP_JSON, FIT_JSON = "sweep.json", "fit.json"
SWEEP_POINTS = "points"
"""The folder of a sweep's points, beside its report."""
_COMMANDS = {FIT_JSON: "fit", SWEEP_JSON: "sweep", REPORT_JSON: "export"}
"""What writes each report; a folder of ``fit`` has that of ``export`` too."""
_STEM = Path(SPARSE).stem
ALL_FILES = (
    DENSE_FLOAT32,
    DENSE_INT8,
    SPARSE,
    REPORT_JSON,
    REPORT_MARKDOWN,
    REPORT_HTML,
    *target_registry.possible_extra_files(_STEM),
)


def check_folder(folder: Path, setting: str = "out", names: Iterable[str] = ALL_FILES) -> None:
    """Find out before the work whether files of these names can be written; leave nothing behind.

    Args:
        folder: where to.
        setting: the one that names it.
        names: of the files that may be written.

    Raises:
        OutputError: it cannot.
    """
    if folder.is_symlink() and not folder.exists():
        raise OutputError(f"{folder} is a link that leads nowhere; `{setting}` takes a folder.")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; `{setting}` takes a folder.")
    for name in names:
        if (folder / name).is_dir():
            raise OutputError(
                f"{folder / name} is a folder where a file is to be written; move it or choose another `{setting}`."
            )
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    try:
        files.check_place(nearest / "probe")
    except OutputError as error:
        raise OutputError(f"cannot write to `{setting}` {folder}: {error.__cause__}.") from error


def check_no_result_of(reports: Iterable[str], folder: Path) -> None:
    """Refuse a folder that holds the result of another command: its files would seem to belong to the new one.

    They are not deleted, because a fitted model or a sweep takes long to make.

    Args:
        reports: names of the reports that other commands write.
        folder: where to.

    Raises:
        OutputError: it holds one of them.
    """
    for name in reports:
        if (folder / name).is_file():
            raise OutputError(
                f"{folder} holds the result of {_COMMANDS[name]} ({name}), which does not belong to this one: choose "
                "another `out`, or empty the folder."
            )


def delivered(models: Models) -> list[str]:
    """Return the names of the ``.tflite`` files in a report."""
    return [entry.path for _, entry in models if entry is not None]


def deliver(
    contents: Mapping[str, bytes | Path], out: Path, elsewhere: Mapping[Path, bytes | Path] | None = None
) -> None:
    """Write every file beside its final name first, so that a full disk changes nothing; then rename them all.

    Args:
        contents: of the files in the folder by their names, or where they lie.
        out: the folder; it is made where it is missing.
        elsewhere: files of other folders, by their paths; these folders are made too.

    Raises:
        OutputError: a file cannot be written; the folders are as they were.
    """
    sources = {out / name: content for name, content in contents.items()} | dict(elsewhere or {})
    left = {out / name for name in _left_by_an_earlier_run(out)}
    made: list[Path] = []
    temporary: dict[Path, Path] = {}
    try:
        for folder in dict.fromkeys(path.parent for path in sources):
            made += files.make_folder(folder)
        for path, content in sources.items():
            temporary[path] = files.temporary_name_beside(path)
            try:
                if isinstance(content, Path):
                    shutil.copyfile(content, temporary[path])
                else:
                    temporary[path].write_bytes(content)
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error
        for path, written in temporary.items():
            files.publish(written, path)
        for path in left - set(sources):
            path.unlink(missing_ok=True)
    finally:
        for written in temporary.values():
            scratch.remove(written)
        for folder in sorted(made, key=lambda each: len(each.parts), reverse=True):  # innermost first
            if not any(folder.iterdir()):
                folder.rmdir()


def _left_by_an_earlier_run(out: Path) -> set[str]:
    """Files that would mislead beside a new report. Without a report of ours they are somebody else's."""
    try:
        content = (out / REPORT_JSON).read_bytes()
    except OSError:
        return set()
    names = {DENSE_FLOAT32, DENSE_INT8, SPARSE}
    try:
        settings = dict(json.loads(content)["settings"])
    except (ValueError, KeyError, TypeError):
        return names
    target = str(settings.get("target"))
    extras = target_registry.extra_files(target, _STEM, settings)
    return names | {name for name in extras if _is_ours(target, out, name)}


def _is_ours(target: str, out: Path, name: str) -> bool:
    """Return whether an extra file is as a target writes it; one that the user wrote over it stays."""
    try:
        backend(target).check_folder(out, (name,))
    except OutputError:
        return False
    return True
