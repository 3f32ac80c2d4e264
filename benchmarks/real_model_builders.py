"""Rebuild the architectures of models that packages ship as weights only, after the packages' own code.

Each function returns a Keras 2 model (the files are of Keras 2) with the layers of the weights file in its order.
Character numbers are int32 inputs: as float32, which the packages use, quantisation to int8 would round the numbers
themselves.
"""

from __future__ import annotations

from typing import Any

from tflite_sparse.sources import tensorflow_import


def textgenrnn() -> Any:
    """Build textgenrnn 2.0.0: two LSTM over 40 characters, averaged with weights that attention computes.

    Its attention is a class of its own; here it is written with layers of Keras.
    """
    keras = tensorflow_import.keras2()
    layers = keras.layers
    characters = keras.Input((40,), dtype="int32", name="input")
    embedded = layers.Embedding(465, 100, name="embedding")(characters)
    first = layers.LSTM(128, return_sequences=True, name="rnn_1")(embedded)
    second = layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    joined = layers.Concatenate(name="rnn_concat")([embedded, first, second])
    scores = layers.Dense(1, use_bias=False, name="attention")(joined)
    mean = layers.Dot(axes=1, name="mean")([layers.Softmax(axis=1)(scores), joined])
    output = layers.Dense(465, activation="softmax", name="output")(layers.Flatten()(mean))
    return keras.Model(characters, output)


def reactionrnn() -> Any:
    """Build reactionrnn 0.1: a GRU of Keras 2.0 (hard sigmoid, one bias) over 140 characters.

    The last division, of each output by their sum, is left out: it changes no ranking.
    """
    keras = tensorflow_import.keras2()
    layers = keras.layers
    characters = keras.Input((140,), dtype="int32", name="input")
    embedded = layers.Embedding(401, 100, name="embedding")(characters)
    state = layers.GRU(256, recurrent_activation="hard_sigmoid", reset_after=False, name="rnn")(embedded)
    return keras.Model(characters, layers.Dense(5, activation="relu", name="output")(state))


def deepcut() -> Any:
    """Build deepcut 0.7: twelve Conv1D of growing windows over 21 characters, and their types as a second input."""
    keras = tensorflow_import.keras2()
    layers = keras.layers
    characters = keras.Input((21,), dtype="int32", name="characters")
    types = keras.Input((21,), dtype="int32", name="types")
    embedded = layers.Embedding(178, 32)(characters)
    embedded = layers.BatchNormalization()(layers.SpatialDropout1D(0.15)(embedded))
    units = []
    for window in range(1, 13):
        filters = 200 if window < 9 else 150 if window < 12 else 100
        unit = layers.Conv1D(filters, window, activation="relu")(embedded)
        unit = layers.TimeDistributed(layers.Dense(5))(unit)
        units.append(layers.ZeroPadding1D((0, window - 1))(unit))
    of_types = layers.SpatialDropout1D(0.15)(layers.Embedding(12, 12)(types))
    joined = layers.Concatenate()([embedded, layers.Maximum()(units), of_types])
    hidden = layers.Dense(100, activation="relu")(layers.Flatten()(layers.BatchNormalization()(joined)))
    return keras.Model([characters, types], layers.Dense(1, activation="sigmoid")(hidden))
