"""Test that nothing in a model file runs, and that its faults are reported in one line."""

import json
import shutil
import zipfile

import h5py
import pytest

from helpers.tools import run_cli, run_program


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def trace(tmp_path):
    """Return a file that the hostile models try to write."""
    return tmp_path / "it-ran"


def check_refused(path, out, *words):
    run = run_cli("export", path, "--out", out, "--quiet")
    assert run.code == 2, (run.code, run.stderr)
    assert len(run.stderr.splitlines()) <= 2
    for word in words:
        assert word in run.stderr
    assert not out.exists()


def rewritten_archive(source, target, **members):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.split(".")[0], old.read(name)))
    return target


def test_function_named_by_a_keras2_file(keras2, tmp_path, trace, out):
    """``TFOpLambda`` calls the TensorFlow function that the configuration names, while the model is loaded."""
    inputs = keras2.Input((4,))
    model = keras2.Model(inputs, keras2.layers.Dense(2)(inputs))
    path = tmp_path / "op.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].append(
            {
                "class_name": "TFOpLambda",
                "name": "op",
                "config": {"name": "op", "trainable": True, "dtype": "float32", "function": "io.write_file"},
                "inbound_nodes": [["_CONSTANT_VALUE", -1, str(trace), {"contents": "x"}]],
            }
        )
        file.attrs["model_config"] = json.dumps(config)
    check_refused(path, out, "io.write_file", "only plain mathematics")
    assert not trace.exists()


def test_plain_mathematics_in_a_keras2_file_is_allowed(keras2, tmp_path, out):
    import tensorflow as tf

    inputs = keras2.Input((64,))
    outputs = keras2.layers.Dense(64)(tf.nn.relu(tf.math.abs(inputs) + 1.0))
    keras2.Model(inputs, outputs).save(tmp_path / "maths.h5")
    run = run_cli("export", tmp_path / "maths.h5", "--sparsity", 0.8, "--out", out, "--quiet")
    assert run.code == 0, run.stderr


@pytest.mark.parametrize("spelling", [b'"class_name":  "Lambda"', b'"class_name": "L\\u0061mbda"'])
def test_lambda_hidden_in_the_metadata_of_a_savedmodel(spelling, keras2, tmp_path, trace, out):
    function = eval(f"lambda x: (x, __import__('pathlib').Path({str(trace)!r}).touch())[0]")
    model = keras2.Sequential([keras2.layers.Input((4,)), keras2.layers.Lambda(function)])
    model.save(tmp_path / "saved", save_format="tf")
    trace.unlink(missing_ok=True)
    from tf_keras.protobuf import saved_metadata_pb2

    metadata = tmp_path / "saved" / "keras_metadata.pb"
    message = saved_metadata_pb2.SavedMetadata.FromString(metadata.read_bytes())
    for node in message.nodes:
        node.metadata = node.metadata.replace('"class_name": "Lambda"', spelling.decode())
    metadata.write_bytes(message.SerializeToString())
    check_refused(tmp_path / "saved", out, "is a Lambda layer")
    assert not trace.exists()


def test_damaged_metadata_of_a_savedmodel(model_files, tmp_path, out):
    shutil.copytree(model_files["keras2-savedmodel"], tmp_path / "saved")
    (tmp_path / "saved" / "keras_metadata.pb").write_bytes(b"\xff\xff\xff")
    check_refused(tmp_path / "saved", out, "keras_metadata.pb is damaged")


def test_savedmodel_that_writes_a_file_when_loaded(tmp_path, trace, out):
    import tensorflow as tf

    class Initialised(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

        def _initialize(self):
            tf.io.write_file(str(trace), "x")

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.resource = Initialised()
            self.resource._initialize()
            self.kernel = tf.Variable(tf.ones((64, 64)), name="kernel")

        @tf.function(input_signature=[tf.TensorSpec((None, 64))])
        def serve(self, x):
            return x @ self.kernel

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    trace.unlink()
    check_refused(tmp_path / "saved", out, "operator WriteFile")
    assert not trace.exists()


def test_plain_savedmodel_of_tensorflow(tmp_path, out):
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.random.normal((64, 64), seed=1), name="kernel")

        @tf.function(input_signature=[tf.TensorSpec((None, 64))])
        def serve(self, x):
            return {"y": tf.nn.relu(x @ self.kernel)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    run = run_cli("export", tmp_path / "saved", "--sparsity", 0.8, "--out", out, "--json", "--quiet")
    assert run.code == 0, run.stderr
    assert run.report["pruning"]["after"] == pytest.approx(0.8, abs=0.001)
    assert run.report["tensors"][0]["sparsity"] == pytest.approx(0.8, abs=0.001)


@pytest.mark.parametrize("config", ["[]", "3", '{"a": ', "[" * 5000])
def test_malformed_configuration(config, model_files, tmp_path, out):
    path = rewritten_archive(model_files["keras3.keras"], tmp_path / "bad.keras", config=config.encode())
    check_refused(path, out, "bad.keras is no .keras model")


def test_malformed_members(model_files, tmp_path, out):
    path = rewritten_archive(model_files["keras3.keras"], tmp_path / "bad.keras", metadata=b"[]")
    check_refused(path, out, "is no .keras model")
    content = bytearray(model_files["keras3.keras"].read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    for offset in (8, 10):  # claims to be encrypted; claims an unknown compression
        broken = content.copy()
        start = content.index(b"PK\x01\x02")
        while start != -1:
            broken[start + offset] = 97 if offset == 10 else 1
            start = content.find(b"PK\x01\x02", start + 4)
        assert directory
        path.write_bytes(broken)
        check_refused(path, out, "is no .keras model")


@pytest.mark.parametrize("value", [3, h5py.Empty("S1"), "{", "[1]"])
def test_malformed_hdf5_configuration(value, tmp_path, out):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.attrs["model_config"] = value
    run = run_cli("export", tmp_path / "bad.h5", "--out", out, "--quiet")
    assert run.code == 2
    assert "bad.h5" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_weights_that_unpack_to_far_too_much(model_files, tmp_path, out):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(model_files["keras3.keras"]) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, b"\0" * (200 * 2**20) if name == "model.weights.h5" else old.read(name))
    check_refused(path, out, "which no trained model does")


@pytest.fixture(scope="module")
def among_traps(model_files, tmp_path_factory):
    """Return folder and end of an export, run on data of user code in a folder with modules of well-known names."""
    folder = tmp_path_factory.mktemp("traps")
    for name in ("ml_dtypes.py", "random.py", "numpy.py"):
        (folder / name).write_text(f"raise SystemExit('{name} of the current folder ran')")
    source = folder / "source" / "it's a source ü.py"
    source.parent.mkdir()
    source.write_text("import numpy as np\nprint('at import')\ndef make():\n    print('in make')\n"
                      "    return np.zeros((10, 8, 8, 1), 'float32')\n")  # fmt: skip
    run = run_program(
        *("export", model_files["keras3.keras"], "--data", f"{source}:make", "--sparsity", "0.5"),
        *("--finetune-epochs", "0", "--max-accuracy-drop", "1", "--json"),
        cwd=folder,
        TMPDIR=str(folder),
    )
    return folder, run


@pytest.mark.slow
def test_what_lies_in_the_current_folder_is_not_imported(among_traps):
    """Neither the program nor its children import modules from the current folder."""
    _, run = among_traps
    assert run.code == 0, run.stderr


@pytest.mark.slow
def test_prints_of_user_code_stay_off_standard_output(among_traps):
    folder, run = among_traps
    assert run.code == 0, run.stderr
    assert json.loads(run.stdout)["accuracy"]["metric"] == "top1_agreement_with_dense_float32"
    assert [path.name for path in folder.glob("tflite-sparse-*")] == ["tflite-sparse-out"]
