"""Where a result comes from."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class Provenance(Part):
    """What is needed to make a result again, and to recognise its files.

    Attributes:
        versions: of Python, the machine's system and the packages that made it, by name.
        sha256: of each written ``.tflite`` file, by its name; hexadecimal.
    """

    versions: dict[str, str]
    sha256: dict[str, str]
