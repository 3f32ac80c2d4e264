"""Call TensorFlow's converter; this module runs in the child process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.conversion.calibration import RANGES, Histogram, Range
from tflite_sparse.conversion.float_operators import FloatLayers, names_in
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import scales_of
from tflite_sparse.flatbuffer.types import SubGraph, Tensor
from tflite_sparse.sources.arrays import Arrays, count, take

if TYPE_CHECKING:
    from tensorflow.lite.python.lite import TFLiteConverterV2

_Sample = dict[str, np.ndarray] | list[np.ndarray]


def convert_saved_model(
    folder: str,
    samples: Arrays | None,
    input_io: str,
    output_io: str,
    activations: str,
    calibration: str,
    dense_scales: str,
    float_layers: FloatLayers,
    on_step: Step,
    float32: str | None = None,
) -> bytes:
    """Convert the SavedModel in ``folder`` to float32, or, given ``samples``, calibrate and quantise it.

    The arguments are those of :func:`tflite_sparse.conversion.convert.to_int8`.

    Raises:
        SettingsError: the ``float_layers`` of a rule have no operators.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.tools import flatbuffer_utils

    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if samples is None:
        return bytes(converter.convert())
    if float32 is not None:
        _keep_float32(converter, Path(float32))
    passes = 1 if calibration == "min-max" else 2
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _batches_of_one(samples, on_step, 0, passes)
    sets = tf.lite.OpsSet
    integer = {
        "int8": sets.TFLITE_BUILTINS_INT8,
        "int16": sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }
    converter.target_spec.supported_ops = [integer[activations]]
    converter.inference_input_type, converter.inference_output_type = tf.as_dtype(input_io), tf.as_dtype(output_io)
    one_scale = dense_scales == "per-tensor"
    converter._experimental_disable_per_channel_quantization_for_dense_layers = one_scale
    if calibration == "min-max" and not float_layers:
        return bytes(converter.convert())
    # Two steps, which int16 activations do not allow: calibrate a float file with min-max, then set other ranges.
    converter._experimental_calibrate_only = True
    calibrated = bytes(converter.convert())
    model = flatbuffer_utils.convert_bytearray_to_object(calibrated)
    float_operators = names_in(model, folder, float_layers)
    if calibration != "min-max":
        found = _ranges(calibrated, model.subgraphs[0], _batches_of_one(samples, on_step, 1, passes), calibration)
        for index, (low, high) in found.items():
            quantization = model.subgraphs[0].tensors[index].quantization
            quantization.min, quantization.max = np.array([low], np.float32), np.array([high], np.float32)
    return bytes(
        mlir_quantize(
            bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
            input_data_type=converter.inference_input_type,
            output_data_type=converter.inference_output_type,
            denylisted_nodes=float_operators,
            disable_per_channel_for_dense_layers=one_scale,
        )
    )


def _keep_float32(converter: TFLiteConverterV2, path: Path) -> None:
    """Let a converter write the float32 file that it quantises, as it is before calibration, to ``path``.

    Of a model that was trained quantisation-aware it has no such file: ranges of the training are scales in it already.
    """
    quantise = converter._quantize  # TensorFlow 2.21: lite.py, called with that file by the method convert()

    def keeping(content: bytes, *arguments: object, **options: object) -> bytes:
        tensors = [tensor for graph in serde.parse(content).subgraphs for tensor in graph.tensors]
        if not any(scales_of(tensor).size for tensor in tensors):
            path.write_bytes(content)
        return quantise(content, *arguments, **options)  # type: ignore[no-any-return]

    converter._quantize = keeping


def _ranges(content: bytes, graph: SubGraph, samples: Iterator[_Sample], calibration: str) -> Mapping[int, Range]:
    """Return the range of every calibrated tensor of the float file ``content``, by its index in ``graph``."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,  # others keep no tensors
        experimental_preserve_all_tensors=True,
    )
    runner = interpreter.get_signature_runner()
    (*_, only) = runner.get_input_details()
    computed = {*graph.inputs, *(index for operator in graph.operators for index in operator.outputs)}
    histograms = {int(index): Histogram() for index in sorted(computed) if _is_calibrated(graph.tensors[index])}
    for sample in samples:
        interpreter.reset_all_variables()
        runner(**(sample if isinstance(sample, dict) else {only: sample[0]}))
        for index, histogram in histograms.items():
            histogram.add(interpreter.get_tensor(index))
    choose = RANGES[calibration]
    return {index: choose(histogram) for index, histogram in histograms.items() if not histogram.is_empty}


def _is_calibrated(tensor: Tensor) -> bool:
    return tensor.quantization is not None and tensor.quantization.min is not None and len(tensor.quantization.min) == 1


def _batches_of_one(samples: Arrays, on_step: Step, number: int, passes: int) -> Iterator[_Sample]:
    """Yield single samples: of one input in a list, of several by their names in the signature.

    ``on_step`` receives the progress over all ``passes``, of which this is pass ``number``, counted from 0.
    """
    total = count(samples)
    for done in range(total):
        sample = take(samples, slice(done, done + 1))
        yield dict(sample) if isinstance(sample, Mapping) else [sample]
        on_step(number * total + done + 1, passes * total)
