"""Make inputs for the models of ``real_models.py``: real ones if a package has some, else random ones of their range.

Each function takes the folder of the model's unpacked packages and returns ``x``, float32 or, for character numbers,
int32; or such arrays by input name. There are no labels: the measurement is agreement with the dense float32 model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png")
_SEED = 0


def faces(folder: Path) -> np.ndarray:
    """``(200, 64, 64, 1)`` from -1 to 1: the patches of ``lfw_subset`` in scikit-image, half of them faces."""
    patches = np.load(folder / "skimage/data/lfw_subset.npy", allow_pickle=False)
    resized = [
        Image.fromarray(patch.astype(np.float32)).resize((64, 64), Image.Resampling.BILINEAR) for patch in patches
    ]
    return np.stack([np.asarray(image) for image in resized])[..., None] * 2 - 1


def photographs(folder: Path) -> np.ndarray:
    """``(60, 224, 224, 3)`` from 0 to 1: crops of the photographs of scikit-image."""
    return _crops(folder, 224, 20) / 255


def patches(folder: Path) -> np.ndarray:
    """``(90, 32, 32, 3)`` from 0 to 255: crops of the same photographs."""
    return _crops(folder, 32, 30)


def _crops(folder: Path, size: int, each: int) -> np.ndarray:
    rng = np.random.default_rng(_SEED)
    found = []
    for name in PHOTOS:
        image = np.asarray(Image.open(folder / "skimage/data" / name).convert("RGB"), np.float32)
        for _ in range(each):
            top, left = (int(rng.integers(0, extent - size + 1)) for extent in image.shape[:2])
            found.append(image[top : top + size, left : left + size])
    return np.stack(found)


def mel_patches_21(folder: Path) -> np.ndarray:  # noqa: ARG001 - all have one form
    """``(250, 68, 21)``, random: the package gives its models patches of mean 0 and deviation 1."""
    return np.random.default_rng(_SEED).standard_normal((250, 68, 21)).astype(np.float32)


def mel_patches_24(folder: Path) -> np.ndarray:  # noqa: ARG001
    """``(250, 68, 24)``, random, as :func:`mel_patches_21`."""
    return np.random.default_rng(_SEED).standard_normal((250, 68, 24)).astype(np.float32)


def flows(folder: Path) -> np.ndarray:  # noqa: ARG001
    """``(250, 76, 1)``, random: the package scales each feature of a network flow to mean 0 and deviation 1."""
    return np.random.default_rng(_SEED).standard_normal((250, 76, 1)).astype(np.float32)


def tree_statistics(folder: Path) -> np.ndarray:  # noqa: ARG001
    """``(250, 99)``, random: the package scales each statistic of a tree to mean 0 and deviation 1."""
    return np.random.default_rng(_SEED).standard_normal((250, 99)).astype(np.float32)


def tree_codes(folder: Path) -> np.ndarray:  # noqa: ARG001
    """``(250, 402)`` from 0 to 1, random: distances within a tree of mean branch length 1, two to a node."""
    return np.random.default_rng(_SEED).random((250, 402)).astype(np.float32)


def bases(folder: Path) -> np.ndarray:  # noqa: ARG001
    """``(40, 10100, 4)``: random bases, one-hot; the model looks at 5,000 on either side of each that it scores."""
    return np.eye(4, dtype=np.float32)[np.random.default_rng(_SEED).integers(0, 4, (40, 10_100))]


def tones(folder: Path) -> np.ndarray:  # noqa: ARG001
    """``(60, 43844, 1)`` from -1 to 1: chords of three notes with overtones, two seconds at 22,050 Hz."""
    rng = np.random.default_rng(_SEED)
    seconds = np.arange(43_844) / 22_050
    chords = np.zeros((60, len(seconds)))
    for chord in chords:
        for note in rng.integers(40, 85, 3):
            start, frequency = rng.uniform(0, 1.5), 440 * 2 ** ((note - 69) / 12)
            decay = np.where(seconds > start, np.exp(-2 * np.maximum(seconds - start, 0)), 0)
            chord += sum(decay * np.sin(2 * np.pi * frequency * k * seconds) / k for k in (1, 2, 3)) / 6
    return chords[..., None].astype(np.float32)


def characters_40(folder: Path) -> np.ndarray:
    """``(250, 40)``: windows of the README of textgenrnn as the numbers of its vocabulary."""
    return _windows(folder / "textgenrnn-2.0.0", 40)


def characters_140(folder: Path) -> np.ndarray:
    """``(80, 140)``: the same text in the vocabulary of reactionrnn."""
    text = (folder / "textgenrnn-2.0.0/README.md").read_text("utf-8")
    return _numbered(text, folder / "reactionrnn-0.1/reactionrnn/reactionrnn_vocab.json", 140, 80)


def _windows(package: Path, length: int) -> np.ndarray:
    text = (package / "README.md").read_text("utf-8")
    return _numbered(text, package / "textgenrnn/textgenrnn_vocab.json", length, 250)


def _numbered(text: str, vocabulary: Path, length: int, count: int) -> np.ndarray:
    numbers = json.loads(vocabulary.read_text("utf-8"))
    known = np.array([numbers[letter] for letter in re.sub(r"\s+", " ", text) if letter in numbers], np.int32)
    starts = np.linspace(0, len(known) - length, count).astype(int)
    return np.stack([known[start : start + length] for start in starts])


def thai_letters(folder: Path) -> dict[str, np.ndarray]:  # noqa: ARG001
    """``(250, 21)`` numbers of characters and of their types, random."""
    rng = np.random.default_rng(_SEED)
    return {
        "characters": rng.integers(0, 178, (250, 21), np.int32),
        "types": rng.integers(0, 12, (250, 21), np.int32),
    }
