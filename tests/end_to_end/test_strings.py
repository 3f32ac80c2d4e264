"""Refuse models with string inputs or outputs in one line that names the layer or the tensor, and the cure."""

import numpy as np
import pytest

from helpers.tools import run_cli
from tflite_sparse.sources import tensorflow_import

WORDS = ["red", "green", "blue"]


@pytest.fixture(params=["keras2", "keras3"])
def keras(request):
    return request.getfixturevalue(request.param)


def classifier(keras, layer, inputs):
    features = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(32, 8)(layer(inputs)))
    return keras.Model(inputs, keras.layers.Dense(2)(features))


def vectorising(keras):
    layer = keras.layers.TextVectorization(32, output_sequence_length=8, name="words_to_numbers")
    layer.adapt(np.array(WORDS))
    return classifier(keras, layer, keras.Input((1,), dtype="string", name="text"))


def looking_up(keras):
    layer = keras.layers.StringLookup(vocabulary=WORDS, name="number_of")
    return classifier(keras, layer, keras.Input((4,), dtype="string", name="text"))


def naming(keras):
    inputs = keras.Input((4,), dtype="int64", name="numbers")
    return keras.Model(inputs, keras.layers.StringLookup(vocabulary=WORDS, invert=True, name="name_of")(inputs))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (vectorising, ["'words_to_numbers' (TextVectorization)", "behind it", "vectorisation in the app"]),
        (looking_up, ["'number_of' (StringLookup)", "behind it", "look-up in the app, in front of"]),
        (naming, ["'name_of' (StringLookup)", "get_layer('name_of').input", "look-up in the app, behind"]),
    ],
)
def test_layers(make, words, keras, tmp_path):
    make(keras).save(tmp_path / "strings.keras")
    check_refused(tmp_path / "strings.keras", tmp_path / "out", *words)


@pytest.mark.parametrize(("make", "words"), [(looking_up, ["input '"]), (naming, ["output '"])])
def test_signatures_of_savedmodels(make, words, keras, tmp_path, capfd):
    make(keras).export(str(tmp_path / "saved"))
    capfd.readouterr()  # Keras prints the signature
    check_refused(tmp_path / "saved", tmp_path / "out", *words, "holds strings", "in the app")


def test_plain_string_input_beside_others(tmp_path):
    tf = tensorflow_import.tensorflow()
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((1, 4), name="x"), tf.TensorSpec((1,), tf.string, name="caption")])
    def serve(x, caption):
        return {"y": x * tf.cast(tf.strings.length(caption), tf.float32)}

    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=serve)
    check_refused(tmp_path / "saved", tmp_path / "out", "input 'caption' holds strings")


def check_refused(path, out, *words):
    run = run_cli("export", path, "--out", out, "--quiet")
    assert run.code == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for word in (path.name, *words):
        assert word in run.stderr
    assert not out.exists()
