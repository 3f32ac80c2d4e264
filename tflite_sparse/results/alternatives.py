"""Ways out of an int8 export that lost too much accuracy, as measured."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class Alternative(Part):
    """One way out.

    ``accuracy``, ``drop`` (against the dense float32 file) and ``file_bytes`` are those of the sparse file;
    None where it could not be made, and then ``words`` says why.
    """

    option: str
    accuracy: float | None = None
    drop: float | None = None
    file_bytes: int | None = None
    words: str
