"""The alternatives to an int8 export that lost too much accuracy, as measured."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class Alternative(Part):
    """One alternative.

    ``accuracy``, ``drop`` (against the dense float32 file) and ``file_bytes`` belong to the sparse file. They are None
    if it could not be made; ``words`` then tells why.
    """

    option: str
    accuracy: float | None = None
    drop: float | None = None
    file_bytes: int | None = None
    words: str
