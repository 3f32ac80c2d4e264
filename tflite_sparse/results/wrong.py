"""Samples that a file gets wrong."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class WrongSample(Part):
    """One test sample for which the sparse file chooses the wrong class.

    Attributes:
        output: the name of the output.
        sample: its number among the test samples, from 0.
        right: the right class.
        chosen: what the sparse file chooses.
        dense: what the dense float32 file chooses.
        png: the sample as a picture, at most 48 by 48 pixels, base64; None: it is no image.
    """

    output: str
    sample: int
    right: str
    chosen: str
    dense: str
    png: str | None = None
