"""What the page of an export shows of the file itself, of wrong samples, and of where the result comes from."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tflite_sparse.measurement.file_contents import FileContents
from tflite_sparse.measurement.histograms import Histogram
from tflite_sparse.measurement.mask_pictures import MaskPicture
from tflite_sparse.report.page import html
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.provenance import Provenance
from tflite_sparse.results.wrong import WrongSample


@dataclass(frozen=True, slots=True)
class Operators:
    """The operators of a file: rows with bars, and a sentence on all of them."""

    rows: tuple[dict[str, object], ...]
    words: str


def mask(picture: MaskPicture, layers: Mapping[str, str]) -> dict[str, object]:
    """Return what the template shows of a mask.

    Args:
        picture: of the mask.
        layers: names of layers by those of tensors.
    """
    shown = "" if picture.is_whole else f", of which {picture.rows} by {picture.columns} are shown, a pixel for each"
    return {
        "name": layers.get(picture.name, picture.name),
        "shape": "x".join(map(str, picture.shape)),
        "uri": html.data_uri(picture.png),
        "rows": picture.rows,
        "columns": picture.columns,
        "words": f"kept weights in colour, the first axis vertically{shown}.",
    }


def histogram(found: Histogram, layers: Mapping[str, str]) -> dict[str, object]:
    """Return what the template draws of a histogram: bars in a box of 100 by 100, and words.

    Args:
        found: the histogram.
        layers: names of layers by those of tensors.
    """
    count = len(found.counts)
    width, highest = 100 / count, max(found.counts) or 1
    bars = [
        {"x": round(number * width, 2), "y": round(100 - height, 2), "width": round(0.9 * width, 2), "height": height}
        for number, height in enumerate(round(100 * value / highest, 2) for value in found.counts)
    ]
    kept = sum(found.counts)
    return {
        "name": layers.get(found.name, found.name),
        "low": f"{found.low:.3g}",
        "high": f"{found.high:.3g}",
        "bars": bars,
        "words": f"{kept:,} values that are not zero, as they are stored; {found.zeros:,} zeros are not drawn.",
    }


def operators(inside: FileContents, layers: Mapping[str, str]) -> Operators | None:
    """Return the table of operators; None without a file.

    Args:
        inside: the file.
        layers: names of layers by those of tensors.
    """
    if not inside.operators:
        return None
    largest = max(each.stored_bytes for each in inside.operators) or 1
    most = max(each.multiply_adds or 0 for each in inside.operators) or 1
    rows = tuple(
        {
            "kind": each.name,
            "output": layers.get(each.weight) or shortened(each.output),
            "shape": "x".join(map(str, each.shape)) or "scalar",
            "bytes": f"{each.stored_bytes:,}",
            "bytes_share": each.stored_bytes / largest,
            "all": "" if each.multiply_adds is None else f"{each.multiply_adds:,}",
            "kept": "" if each.multiply_adds_kept is None else f"{each.multiply_adds_kept:,}",
            "all_share": (each.multiply_adds or 0) / most,
            "kept_share": (each.multiply_adds_kept or 0) / most,
        }
        for each in inside.operators
    )
    everything = sum(each.multiply_adds or 0 for each in inside.operators)
    kept = sum(each.multiply_adds_kept or 0 for each in inside.operators)
    left_out = inside.operators_in_all - len(rows)
    words = f"{everything:,} multiply-adds in one run, {kept:,} of them with weights that are not zero."
    return Operators(rows, words + (f" {left_out:,} further operators are not shown." if left_out else ""))


def wrong(samples: Sequence[WrongSample], compared: str) -> list[dict[str, object]]:
    """Return what the template shows of samples that the sparse file gets wrong.

    Args:
        samples: these samples.
        compared: name of the float32 file.
    """
    several = len({each.output for each in samples}) > 1
    return [
        {
            "uri": None if each.png is None else html.data_uri(base64.b64decode(each.png)),
            "words": f"Sample {each.sample}: {each.right}, taken for {each.chosen}",
            "more": f"{f'{each.output}; ' if several else ''}{compared}: {each.dense}",
        }
        for each in samples
    ]


def hashes(found: Provenance) -> Table:
    """Return a row for each file."""
    return Table(("file", "SHA-256"), tuple(found.sha256.items()), frozenset({"file", "SHA-256"}))
