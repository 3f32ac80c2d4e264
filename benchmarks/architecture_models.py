"""Define well-known architectures with random weights, whose prunable kernels are pruned by magnitude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from models import EVERY_KERNEL, POINTWISE, ModelRecipe, every, is_pointwise
from tflite_sparse.sources import tensorflow_import

_IMAGE = (224, 224, 3)
_BARE: dict[str, Any] = {"include_preprocessing": False}  # the samples are of mean 0 already
_VOCABULARY = 10_000
_LSTM_WIDTH, _LSTM_STEPS = 650, 35
_TRANSFORMER_LAYERS, _TRANSFORMER_WIDTH, _HEADS, _TRANSFORMER_STEPS = 4, 256, 4, 128
_KEYWORD_CHANNELS, _KEYWORD_BLOCKS, _KEYWORDS = 64, 4, 12


def _application(name: str, **options: Any) -> Callable[[ModuleType], Any]:
    """Return a builder of a network with logits: int8 probabilities of 1,000 classes are mostly 0."""
    return lambda keras: getattr(keras.applications, name)(weights=None, classifier_activation=None, **options)


def _convnext(keras: ModuleType) -> Any:
    """Fix the batch: with an open one its LayerNormalization and Dense layers compute shapes at run time."""
    image = keras.Input(_IMAGE, batch_size=1)
    return _application("ConvNeXtTiny", input_tensor=image, **_BARE)(keras)


def _keyword_spotter(keras: ModuleType) -> Any:
    """DS-CNN of MLPerf Tiny (Zhang and others 2017, "Hello Edge", small): 49 frames of 10 MFCCs."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((49, 10, 1))], name="ds_cnn")

    def normalised(layer: Any) -> None:
        for each in (layer, layers.BatchNormalization(), layers.Activation("relu")):
            model.add(each)

    normalised(layers.Conv2D(_KEYWORD_CHANNELS, (10, 4), strides=2, padding="same"))
    for _ in range(_KEYWORD_BLOCKS):
        normalised(layers.DepthwiseConv2D(3, padding="same"))
        normalised(layers.Conv2D(_KEYWORD_CHANNELS, 1))
    model.add(layers.AveragePooling2D((25, 5)))
    model.add(layers.Flatten())
    model.add(layers.Dense(_KEYWORDS))
    return model


def _transformer(keras: ModuleType) -> Any:
    """Build encoder layers of Vaswani and others 2017, normalised before each part, on 128 tokens."""
    layers, width = keras.layers, _TRANSFORMER_WIDTH
    tokens = keras.Input((_TRANSFORMER_STEPS,), batch_size=1, dtype="int32", name="tokens")
    x = layers.Embedding(_VOCABULARY, width)(tokens)
    for _ in range(_TRANSFORMER_LAYERS):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(_HEADS, width // _HEADS)(y, y)])
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(y))])
    return keras.Model(tokens, layers.Dense(_VOCABULARY)(layers.LayerNormalization()(x)), name="transformer")


def _language_model(unroll: bool) -> Callable[[ModuleType], Any]:
    """Return a builder of the medium model of Zaremba and others 2014, pruned in Zhu and Gupta 2017."""

    def build(keras: ModuleType) -> Any:
        layers = keras.layers
        tokens = keras.Input((_LSTM_STEPS,), batch_size=1, dtype="int32", name="tokens")
        x = layers.Embedding(_VOCABULARY, _LSTM_WIDTH)(tokens)
        for _ in range(2):
            x = layers.LSTM(_LSTM_WIDTH, return_sequences=True, unroll=unroll)(x)
        return keras.Model(tokens, layers.Dense(_VOCABULARY)(x), name="ptb_medium")

    return build


def _recipe(
    key: str,
    title: str,
    build: Callable[[ModuleType], Any],
    **options: Any,
) -> ModelRecipe:
    return ModelRecipe(key, title, EVERY_KERNEL, build, every, **options)


ARCHITECTURES = {
    recipe.key: recipe
    for recipe in (
        _recipe("ds-cnn", "DS-CNN", _keyword_spotter),
        _recipe("mobilenet-v1", "MobileNet v1", _application("MobileNet")),
        _recipe("mobilenet-v2", "MobileNet v2", _application("MobileNetV2")),
        _recipe("mobilenet-v3", "MobileNet v3 Large", _application("MobileNetV3Large", input_shape=_IMAGE, **_BARE)),
        _recipe("efficientnet-b0", "EfficientNetB0", _application("EfficientNetB0")),
        _recipe("transformer", "transformer, 4 layers", _transformer, vocabulary=_VOCABULARY),
        _recipe("lstm", "LSTM, unrolled", _language_model(True), vocabulary=_VOCABULARY),
        _recipe(
            "lstm-fused",
            "LSTM, fused",
            _language_model(False),
            vocabulary=_VOCABULARY,
            recurrent="loop",
            keras=tensorflow_import.keras2,
        ),
        _recipe("xception", "Xception", _application("Xception")),
        _recipe("inception-v3", "InceptionV3", _application("InceptionV3")),
        _recipe("resnet50", "ResNet50", _application("ResNet50")),
        _recipe("convnext-tiny", "ConvNeXtTiny", _convnext),
    )
}

_IN_POINTWISE: dict[str, Any] = {"pruned": POINTWISE, "is_pruned": is_pointwise}
SMALL = (
    ModelRecipe(
        "mobilenet-v1-0.25",
        "MobileNet v1 0.25/96",
        build=_application("MobileNet", alpha=0.25, input_shape=(96, 96, 3), classes=2),
        **_IN_POINTWISE,
    ),
    replace(ARCHITECTURES["ds-cnn"], **_IN_POINTWISE),
)
"""Those of MLPerf Tiny for microcontrollers, pruned where most of their weights are."""
