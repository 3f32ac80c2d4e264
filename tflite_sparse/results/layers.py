"""The errors of the tensors inside the int8 file against the float32 file."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class LayerError(Part):
    """One tensor; the fields are those of :class:`tflite_sparse.measurement.layer_errors.LayerError`.

    ``snr_db`` is None if there is no difference. ``layer`` is the name of the layer in the Keras model; empty if it is
    not known.
    """

    name: str
    layer: str = ""
    operator: str
    snr_db: float | None
    lost_db: float
    cosine: float
    largest_difference: float
    share_of_range: float
