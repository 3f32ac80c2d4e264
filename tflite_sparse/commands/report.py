"""The report of an export as files, and ``report.html`` of an output folder made again of what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pydantic

from tflite_sparse.base import extras
from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.errors import OutputError
from tflite_sparse.measurement import file_contents
from tflite_sparse.measurement.file_contents import FileContents
from tflite_sparse.report.page import export as export_page
from tflite_sparse.report.page import sweep as sweep_page
from tflite_sparse.report.text import markdown
from tflite_sparse.results.export import Report
from tflite_sparse.results.fit import FitReport
from tflite_sparse.results.sweep import SweepReport
from tflite_sparse.settings import AnyPath
from tflite_sparse.stages.deliver import FIT_JSON, REPORT_HTML, REPORT_JSON, REPORT_MARKDOWN, SWEEP_JSON, SWEEP_POINTS

_Kind = TypeVar("_Kind", bound=pydantic.BaseModel)


def of_export(report: Report, inside: FileContents) -> dict[str, bytes]:
    """Return the contents of ``report.json``, ``report.md`` and ``report.html``, by these names.

    Args:
        report: of the export.
        inside: the sparse file, as the page shows it.
    """
    return {
        REPORT_JSON: (report.model_dump_json(indent=2) + "\n").encode(),
        REPORT_MARKDOWN: markdown.render(report).encode(),
        REPORT_HTML: export_page.render(report, inside).encode(),
    }


def rebuild_report(folder: AnyPath) -> Path:
    """Write ``report.html`` into the output folder of an export, a fit or a sweep; return its path.

    All that it shows is in ``report.json``, ``fit.json`` or ``sweep.json``, but for masks, histograms
    and operators, which are taken from the sparse file if it lies beside it.

    Raises:
        MissingPackageError: a package that pages need is not installed.
        OutputError: there is no report, it is none of this version, or the page cannot be written.
        FlatbufferError: the sparse file is damaged.
    """
    folder = Path(folder)
    extras.require_keras("report", "matplotlib", "PIL")
    of_sweep = folder / SWEEP_JSON
    if (folder / SWEEP_POINTS).is_dir() and not of_sweep.is_file() and not (folder / REPORT_JSON).is_file():
        raise OutputError(f"{folder} is of a sweep that did not come to its end: go on with `resume=True` of sweep.")
    if of_sweep.is_file() and not (folder / REPORT_JSON).is_file():
        text = sweep_page.render(_read(of_sweep, SweepReport))
    else:
        report = _read(folder / REPORT_JSON, Report)
        text = export_page.render(report, _inside(report, folder), _fitted(report, folder / FIT_JSON))
    page = folder / REPORT_HTML
    write_bytes(page, text.encode())
    return page


def _read(source: Path, kind: type[_Kind]) -> _Kind:
    try:
        return kind.model_validate_json(source.read_bytes())
    except OSError as error:
        raise OutputError(
            f"{source} cannot be read: {error.strerror}. Give the folder that export, fit or sweep wrote."
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise OutputError(f"{source} is no report of version 1: {place}: {first['msg'].lower()}.") from error


def _fitted(report: Report, source: Path) -> FitReport | None:
    """What ``fit`` says of the files in its folder; None where an export wrote them."""
    sparse = report.models.sparse
    if not source.is_file() or sparse is None:
        return None
    found = _read(source, FitReport)
    return found if (found.file_bytes, found.accuracy) == (sparse.file_bytes, sparse.accuracy) else None


def _inside(report: Report, folder: Path) -> FileContents:
    sparse = report.models.sparse
    if sparse is None or Path(sparse.path).name != sparse.path or not (folder / sparse.path).is_file():
        return FileContents()
    return file_contents.of_file(folder / sparse.path)
