"""How far the tensors inside the int8 file are from those of the float32 file, as measured."""

from __future__ import annotations

import pydantic


class LayerError(pydantic.BaseModel):
    """One tensor; the fields are those of :class:`tflite_sparse.measurement.layer_errors.LayerError`.

    ``snr_db`` is None where there is no difference.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    operator: str
    snr_db: float | None
    lost_db: float
    cosine: float
    largest_difference: float
    share_of_range: float
