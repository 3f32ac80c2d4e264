"""Rebuild models that compute in 16 bits in float32, which the converter requires."""

from __future__ import annotations

from collections.abc import Mapping

from tflite_sparse.sources.keras_types import KerasModel

_HALF = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"}


def in_float32(model: KerasModel, custom: Mapping[str, object]) -> KerasModel:
    """Return a Sequential or Functional model under the policy ``float32``, with the same weights.

    Raises:
        Exception: any that Keras raises if a layer cannot be made from its configuration.
    """
    copy = type(model).from_config(_with_policy(model.get_config()), custom_objects=dict(custom))
    copy.set_weights(model.get_weights())
    return copy


def _with_policy(config: object, *, in_dtype: bool = False) -> object:
    """Return the configuration with float32 for every 16-bit ``dtype``, be it a name or a serialised policy."""
    if isinstance(config, dict):
        return {key: _with_policy(value, in_dtype=in_dtype or key == "dtype") for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_policy(value, in_dtype=in_dtype) for value in config)
    return "float32" if in_dtype and isinstance(config, str) and config in _HALF else config
