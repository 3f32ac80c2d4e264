"""Provide the Japanese Vowels data (Kudo et al. 1999, UCI): 12 cepstrum coefficients over 7 to 29 steps, 9 speakers.

They come from the package aeon, which is not run. `sweep.py` trains the recurrent network on them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from packages import Package, fetch, unpack

STEPS, CHANNELS, CLASSES = 29, 12, 9
_FOLDER = "aeon/datasets/data/JapaneseVowels"
_AEON = Package(
    "PyPI",
    "aeon",
    "1.6.0",
    "aeon-1.6.0-py3-none-any.whl",
    "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
    "BSD-3-Clause",
)


def write(path: Path, cache: Path) -> None:
    """Write an ``.npz`` with ``x_train`` (270, 29, 12), ``x_test`` (370, 29, 12) and speakers from 0.

    Shorter utterances are padded with zeros at the beginning, so that speech ends with the last step.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        members = {part: f"{_FOLDER}/JapaneseVowels_{part.upper()}.ts" for part in ("train", "test")}
        unpack(fetch(_AEON, cache), tuple(members.values()), folder)
        arrays = {}
        for part, member in members.items():
            arrays[f"x_{part}"], arrays[f"y_{part}"] = _read(folder / member)
    mean, spread = (of(arrays["x_train"], axis=(0, 1)) for of in (np.mean, np.std))
    for part in members:
        arrays[f"x_{part}"] = (arrays[f"x_{part}"] - mean) / spread
    np.savez(path, **arrays)


def network(width: float) -> Any:
    """Build the LSTM of a width, for the speakers."""
    return lstm.build(width, STEPS, CHANNELS, CLASSES)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a file in the .ts format: a line for each utterance, channels and class separated by colons."""
    lines = path.read_text("utf-8").partition("@data")[2].split()
    x, y = np.zeros((len(lines), STEPS, CHANNELS), np.float32), np.zeros(len(lines), np.int64)
    for row, line in enumerate(lines):
        *channels, label = line.split(":")
        values = np.array([channel.split(",") for channel in channels], np.float32).T
        x[row, STEPS - len(values) :] = values
        y[row] = int(label) - 1
    return x, y
