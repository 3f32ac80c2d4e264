"""Whether images are fed in the range that the model takes."""

from __future__ import annotations

from tflite_sparse.base.progress import Timed
from tflite_sparse.report.text import contract as contract_words
from tflite_sparse.results.contract import PixelCheck
from tflite_sparse.scoring import pixel_check
from tflite_sparse.settings.kinds import Pixels
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel


def checked(source: SourceModel, samples: Dataset, told: Pixels | None, progress: Timed) -> PixelCheck | None:
    """Compare the model on some images in each range of pixels, and tell what is fed.

    Args:
        source: the float model, before its kernels change.
        samples: fitted to it.
        told: the range that the user told; None: that of the data is fed.
        progress: receives a note, and a warning where what was told fits worse than another range.

    Returns:
        The scores; None where the data are no images with labels.

    Raises:
        DataError: nothing was told, and another range fits the model better by more than chance.
    """
    found = pixel_check.compare(source, samples, told=told is not None)
    if found is None:
        if samples.pixels is not None:
            progress.note(f"pixels: {samples.pixels}")
        return None
    if found.fits is not None and told is None:
        raise pixel_check.refuse(found.check, found.fits, samples.name)
    sentence = contract_words.pixels(found.check)
    if found.fits is None:
        progress.note(sentence)
    else:
        progress.warn(f"{sentence} {found.fits} fits the model better than `pixels={told!r}`.")
    return found.check
