"""Check sizes on reproducible models against TensorFlow's own sparse files, and that none exceeds the dense file."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tflite_sparse.conversion import convert
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.pruning import masks
from tflite_sparse.runtime import litert
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.targets.litert import answer
from tflite_sparse.verification import engine, probes
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.samples import MadeUp

pytestmark = pytest.mark.slow


def samples_for(source, count):
    shape = source.inputs()[0].shape[1:]
    return np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float32)


def int8_file(source, path, count=8):
    path.write_bytes(convert.to_int8(source, samples_for(source, count), "int8"))
    return path


def tensorflow_sparse_file(source, path, folder):
    """Convert the same model by TensorFlow's converter with its own sparsity."""
    tf = tensorflow_import.tensorflow()
    source.save_for_conversion(folder)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.optimizations = [tf.lite.Optimize.DEFAULT, tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    converter.representative_dataset = lambda: ([sample[None]] for sample in samples_for(source, 8))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return path


def check_exact(sparse, dense, kernels=litert.ALL_KERNELS, count=4):
    runtimes = LiteRTRuntimes(kernels, at_once=litert.BATCH, across=False)
    report = engine.verify(sparse, dense, runtimes, MadeUp(count - probes.BOUNDARIES))
    assert report.passed, report.failures
    assert [check.outputs_bit_exact for check in report.runtimes] == [True] * len(kernels)


def test_mobilenet(keras3, tmp_path):
    keras3.utils.set_random_seed(0)
    source = keras_model.from_memory(keras3.applications.MobileNet(weights=None))
    pointwise = [kernel for kernel in masks.prunable(source) if kernel.shape[:2] == (1, 1)]
    masks.mask_to(pointwise, 0.875)
    dense, sparse = int8_file(source, tmp_path / "dense.tflite"), tmp_path / "sparse.tflite"
    choices = encode_file(dense, sparse, answer)
    assert sparse.stat().st_size <= 1_300_000
    assert 4_500_000 < dense.stat().st_size < 4_600_000
    assert any(choice.form is not None and "channel groups" in choice.form.words for choice in choices)
    check_exact(sparse, dense)
    theirs = tensorflow_sparse_file(source, tmp_path / "theirs.tflite", tmp_path / "saved")
    assert sparse.stat().st_size < 0.67 * theirs.stat().st_size


def test_dense_stack(keras3, tmp_path):
    keras3.utils.set_random_seed(0)
    layers = keras3.layers
    hidden = [layers.Dense(2048, activation="relu") for _ in range(2)]
    source = keras_model.from_memory(keras3.Sequential([keras3.Input((2048,)), *hidden]))
    masks.mask_to(masks.prunable(source), 0.875)
    dense, sparse = int8_file(source, tmp_path / "dense.tflite"), tmp_path / "sparse.tflite"
    encode_file(dense, sparse, answer)
    assert sparse.stat().st_size / (2 * 2048 * 2048) <= 0.275
    check_exact(sparse, dense)
    # The purpose of this package: TensorFlow's own file is larger, and the default interpreter refuses it.
    theirs = tensorflow_sparse_file(source, tmp_path / "theirs.tflite", tmp_path / "saved")
    assert theirs.stat().st_size / (2 * 2048 * 2048) > 0.38
    with pytest.raises(RuntimeError, match="FULLY_CONNECTED"):
        Interpreter(str(theirs)).allocate_tensors()


def test_outputs_of_a_deep_network_differ_between_inputs_and_not_between_files(keras3, tmp_path):
    """Strided, padded and factored convolutions get meaningful activations, as after training."""
    keras3.utils.set_random_seed(0)
    resnet = keras3.src.applications.resnet

    def few_blocks(x):  # those of ResNet50, but fewer of each kind
        for width, blocks, stride in ((64, 1, 1), (128, 1, 2), (256, 2, 2), (512, 2, 2)):
            x = resnet.stack_residual_blocks_v1(x, width, blocks, stride1=stride, name=f"of{width}")
        return x

    model = resnet.ResNet(few_blocks, False, True, weights=None, input_shape=(64, 64, 3), classes=20)
    for layer in model.layers:
        if isinstance(layer, keras3.layers.BatchNormalization):
            layer.momentum = 0.0
    source = keras_model.from_memory(model)
    masks.mask_to(masks.prunable(source), 0.9)
    model(samples_for(source, 16), training=True)
    dense, sparse = int8_file(source, tmp_path / "dense.tflite"), tmp_path / "sparse.tflite"
    choices = encode_file(dense, sparse, answer)
    assert sum(choice.form is not None and "channel groups" in choice.form.words for choice in choices) > 5
    inner = _with_output(dense, tmp_path / "inner-dense.tflite"), _with_output(sparse, tmp_path / "inner-sparse.tflite")
    samples = np.concatenate([sample for (sample,) in probes.samples_for(litert.inputs(dense), 3, 0, file="dense")])
    outputs = [litert.run(path, samples, "default").arrays[0] for path in inner]
    assert len(np.unique(outputs[0].reshape(len(outputs[0]), -1), axis=0)) >= 4
    assert np.array_equal(*outputs)
    check_exact(sparse, dense)


def _with_output(path, target):
    """Return the file with the last four-dimensional activation as its output: logits alone hide differences."""
    from tflite_sparse.flatbuffer import serde

    model = serde.read(path)
    graph = model.subgraphs[0]
    name = max(
        (index for operator in graph.operators for index in operator.outputs if len(graph.tensors[index].shape) == 4
         and graph.tensors[index].name is not None and b"of512_block2_out" in graph.tensors[index].name),
    )  # fmt: skip
    graph.outputs = np.array([name], np.int32)
    model.signatureDefs = []
    serde.write(model, target)
    return target


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.6])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_never_larger_than_dense(sparsity, precision, model3, tmp_path):
    keras3 = tensorflow_import.keras3()
    copy = keras3.models.clone_model(model3)
    copy.set_weights(model3.get_weights())
    source = keras_model.from_memory(copy)
    masks.mask_to(masks.prunable(source), sparsity)
    dense, sparse = tmp_path / "dense.tflite", tmp_path / "sparse.tflite"
    dense.write_bytes(
        convert.to_float32(source)
        if precision == "float32"
        else convert.to_int8(source, samples_for(source, 4), "int8")
    )
    encode_file(dense, sparse, answer)
    assert sparse.stat().st_size <= dense.stat().st_size
    check_exact(sparse, dense, kernels=("default",))
