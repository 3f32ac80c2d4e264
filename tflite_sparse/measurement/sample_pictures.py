"""Draw samples that are images."""

from __future__ import annotations

import io

import numpy as np

_LARGEST_SIDE = 48


def png(sample: np.ndarray) -> bytes | None:
    """Return a sample as a PNG of at most 48 by 48 pixels; None if it is not an image.

    Args:
        sample: ``(height, width, 1 or 3)`` numbers; the least one becomes black, the largest white.
    """
    from PIL import Image

    if sample.ndim != 3 or sample.shape[2] not in (1, 3) or min(sample.shape[:2]) < 2:
        return None
    values = sample.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    grey = np.round(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8)
    image = Image.fromarray(grey[..., 0] if grey.shape[2] == 1 else grey)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
