"""Test ``export --recipe``: layers that stay float32 in an int8 file, and masks by rules."""

import numpy as np
import pytest
from sklearn import datasets

import tflite_sparse
from tflite_sparse.conversion import convert
from tflite_sparse.errors import SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, type_name
from tflite_sparse.pruning import recipe_file, recipe_planner
from tflite_sparse.sources import keras_model
from tflite_sparse.verification.weights import weights_of


@pytest.fixture(scope="module")
def wine():
    """Return the raw thirteen measurements of wines: proline in the hundreds beside hue near one."""
    found = datasets.load_wine()
    return found.data.astype(np.float32), found.target


@pytest.fixture(scope="module")
def model(keras3, wine):
    keras3.utils.set_random_seed(0)
    layers = keras3.layers
    norm = layers.Normalization(name="norm")
    norm.adapt(wine[0])
    model = keras3.Sequential(
        [
            layers.Input((13,)),
            norm,
            layers.Dense(64, activation="relu", name="first"),
            layers.Dense(64, name="second"),
            layers.BatchNormalization(name="norm_2"),
            layers.Activation("relu"),
            layers.Dropout(0.1, name="dropped"),
            layers.Dense(3, activation="softmax", name="classes"),
        ],
        name="wines",
    )
    model.compile(keras3.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(*wine, epochs=40, batch_size=16, verbose=0)
    return model


@pytest.fixture
def write(tmp_path):
    def run(text):
        path = tmp_path / "recipe.toml"
        path.write_text(f"version = 1\n{text}", encoding="utf-8")
        return path

    return run


def operators(path):
    """Return name, output names and type of the first output of each operator."""
    (graph,) = graphs(serde.read(path))
    found = []
    for operator in graph.operators:
        outputs = [graph.tensor(int(index)) for index in operator.outputs]
        names = b" ".join(output.name for output in outputs).decode()
        found.append((graph.operator_name(operator), names, type_name(outputs[0])))
    return found


@pytest.mark.slow
def test_what_a_rule_names_stays_float32(model, wine, write, tmp_path):
    rules = write(
        """
        [[rule]]
        types = ["Normalization"]
        precision = "float32"
        [[rule]]
        layers = "second|classes"
        precision = "float32"
        [[rule]]
        layers = "classes"
        precision = "int8"
        [[rule]]
        layers = "second"
        sparsity = 0.9
        """
    )
    out = tmp_path / "out"
    usual = tflite_sparse.export(model, wine, int8=True, io="float32", max_accuracy_drop=1, out=tmp_path / "usual")
    report = tflite_sparse.export(
        model,
        wine,
        int8=True,
        io="float32",
        recipe=rules,
        max_accuracy_drop=1,
        sparsity=0.8,
        finetune_epochs=0,
        layer_errors=True,
        out=out,
    )
    assert len(report.layers) == report.layer_tensors > 5
    assert report.float_layers == ["wines/norm", "wines/second"]
    assert "Float32 by the recipe: wines/norm, wines/second." in (out / "report.md").read_text()
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    found = operators(out / "model.tflite")
    assert [kind for kind, _, _ in found].count("QUANTIZE") == 2
    precision = {
        layer: {kind for _, names, kind in found if f"wines/{layer}/" in names} for layer in ("norm", "first", "second")
    }
    assert precision == {"norm": {"float32"}, "first": {"int8"}, "second": {"float32"}}
    second = next(tensor for tensor in report.tensors if tensor.shape == (64, 64))
    assert second.sparsity == pytest.approx(0.9, abs=0.001)
    assert second.layout != "dense"
    (weights,) = [w for w in weights_of(serde.read(out / "model.tflite")).values() if w.size == 64 * 64]
    assert weights.dtype == np.float32
    # Inputs of very different magnitude under one scale are what int8 loses here.
    assert usual.accuracy.drop > 0.1
    assert report.models.sparse_int8.accuracy - usual.models.sparse_int8.accuracy > usual.accuracy.drop / 2


@pytest.mark.slow
def test_masks_by_rules_outlive_fine_tuning(model, wine, write, tmp_path):
    """``classes`` is too small to be pruned by default; zeros by a rule are zeros in the file."""
    rules = write('[[rule]]\nlayers = "second|classes"\nskip = false\nsparsity = 0.75\nschedule = "constant"')
    report = tflite_sparse.export(
        model, wine, recipe=rules, finetune_epochs=1, max_accuracy_drop=1, keep_channels=True, out=tmp_path / "out"
    )
    sparsity = {tensor.shape: round(tensor.sparsity, 2) for tensor in report.tensors}
    assert (sparsity[64, 13], sparsity[64, 64], sparsity[3, 64]) == (0, 0.75, 0.75)


@pytest.mark.parametrize("form", ["keras2.keras", "keras3-export"])
def test_forms(form, model_files, digits, write, tmp_path):
    """Operators are found by layer in Keras 2 and in a SavedModel, also the last one, whose tensor has another name."""
    source = keras_model.open_model(model_files[form])
    rules = recipe_file.read(write('[[rule]]\nlayers = "(conv2|classes)(_1)?"\nprecision = "float32"'))
    kept = recipe_planner.float_layers(rules, source.layers())
    path = tmp_path / "model.tflite"
    path.write_bytes(convert.to_int8(source, digits.x_train[:20], "float32", float_layers=kept))
    found = [(name, kind) for name, _, kind in operators(path)]
    convolutions = [kind for name, kind in found if name == "CONV_2D"]
    assert convolutions == ["int8", "float32"]
    assert [kind for name, kind in found if name == "FULLY_CONNECTED"] == ["int8", "float32"]
    assert found[-1] == ("SOFTMAX", "float32")


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (
            'layers = "secnd"\nprecision = "float32"',
            {},
            "rule 1: layers = 'secnd' matches no layer; there are wines/second",
        ),
        ('types = ["Conv2D"]\nprecision = "float32"', {}, "match no layer; there are .*BatchNormalization, Dense"),
        (
            'layers = "dropped"\nprecision = "float32"',
            {},
            "rule 1: precision = 'float32' finds no operator of wines/dropped",
        ),
        ('layers = "first"\nprecision = "float32"', {"activations": "int16"}, "applies to int8 files for LiteRT"),
        ('layers = "first"\nprecision = "float32"', {"target": "ethos-u"}, "applies to int8 files for LiteRT"),
        ('layers = "first"\nprecision = "half"', {}, "rule 1: precision = 'half': input should be 'int8' or 'float32'"),
    ],
)
def test_mistakes(rule, settings, message, model, wine, write, tmp_path):
    with pytest.raises(SettingsError, match=message):
        tflite_sparse.export(
            model, wine, int8=True, recipe=write(f"[[rule]]\n{rule}"), out=tmp_path / "out", **settings
        )
    assert not (tmp_path / "out").exists()
