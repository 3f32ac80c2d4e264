"""One point of a sweep, from a seeded start to its measured file; each runs in a process of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Step
from tflite_sparse.commands.export import export
from tflite_sparse.errors import DataError, ModelError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import operators
from tflite_sparse.pruning import repeatable, training
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.plan import of_settings
from tflite_sparse.pruning.structure import CHANNEL
from tflite_sparse.results.export import Report
from tflite_sparse.results.sweep import Measured
from tflite_sparse.scoring import user_metric
from tflite_sparse.settings import ANY_DROP, PruneSettings, SweepSettings
from tflite_sparse.sources import arrays, data_spec, dataset, keras_model, scalable, tensorflow_import, user_code
from tflite_sparse.sources import pixels as pixel_ranges
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import InputSpec, check_finite
from tflite_sparse.stages.deliver import SPARSE

_LEAST_CLASSES = 2
# On Fashion-MNIST (0.22 GB) a training takes 1.0 GB, the converter that it then waits for 0.5 GB.
_BYTES_OF_PROGRAMS = 1_000_000_000
_COPIES_OF_DATA = 3
_BYTES_PER_PARAMETER = 32  # weights, gradients, two momenta, and copies while converting


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point lies: the axes of a sweep."""

    width: float
    sparsity: float
    block: str
    seed: int

    @property
    def name(self) -> str:
        """As a file name."""
        return f"width{self.width:g}-sparsity{self.sparsity:g}-{self.block}-seed{self.seed}"


@dataclass(frozen=True, eq=False)
class Job:
    """All that a point is made of: its place, the settings of the sweep, where model and data come from.

    ``builder`` is ``path/to/module.py:function``, or None for the built-in network; ``data`` is a specification or
    arrays; ``threads`` is how many one operator may take.
    """

    place: Place
    settings: SweepSettings
    builder: str | None
    data: object
    threads: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for all points: name and checksum of the data, and of the file with the builder.

    ``bytes_per_point`` is about the memory that the largest one takes.
    """

    data: str
    data_crc32: str
    builder_crc32: str | None
    bytes_per_point: int


def check(
    places: Sequence[Place], settings: SweepSettings, builder: str | None, data: object, *, on_step: Step
) -> Facts:
    """Find out before the work whether data, builder and metric can be used: build and compile every width.

    Raises:
        InputError: they cannot.
    """
    del on_step
    user_metric.named(settings.metric)
    found: Dataset | None = None
    parameters = 0
    for width in sorted({place.width for place in places}):
        built, found = _sources(width, settings.seed, settings, builder, data)
        training.compile_for(built, found, "sgd")  # labels that do not fit its output are told
        parameters = max(parameters, built.model.count_params())
    assert found is not None  # there is a width
    parts = [
        array
        for part in (found.x_train, found.y_train, found.x_test, found.y_test)
        if part is not None
        for array in arrays.columns(part)
    ]
    source = (
        None if builder is None else arrays.checksum([np.frombuffer(_split_builder(builder)[0].read_bytes(), np.uint8)])
    )
    data_bytes = sum(part.nbytes for part in parts)
    needed = _BYTES_OF_PROGRAMS + _COPIES_OF_DATA * data_bytes + _BYTES_PER_PARAMETER * parameters
    return Facts(found.name, arrays.checksum(parts), source, needed)


def run(job: Job, *, on_step: Step) -> tuple[Measured, bytes]:
    """Train, prune, quantise, encode, verify and measure; the measurements and the file.

    Raises:
        TfliteSparseError: a stage failed, or the file is not what it must be.
    """
    settings, place = job.settings, job.place
    source, samples = _sources(place.width, place.seed, settings, job.builder, job.data)
    _train(source, samples, place, settings, on_step)
    with scratch.folder() as folder:
        report = export(
            source.model,
            samples,
            int8=True,
            target=settings.target,
            calibration_samples=settings.calibration_samples,
            metric=settings.metric,
            pixels=samples.pixels,  # a badly trained point may score better in another range by chance
            recurrent=settings.recurrent,
            dense_scales=settings.dense_scales,
            keep_channels=place.block != CHANNEL,  # points of other blocks are compared by their zeros
            max_accuracy_drop=ANY_DROP,  # a sweep shows what was lost; nothing fails for it
            seed=settings.seed,
            out=folder,
        )
        if report.gates.failures:
            raise VerificationError("; ".join(report.gates.failures))
        content = (folder / SPARSE).read_bytes()
    return _measured(report, content), content


def _train(source: KerasSource, samples: Dataset, place: Place, settings: SweepSettings, on_step: Step) -> None:
    training_settings = PruneSettings(
        sparsity=place.sparsity,
        block=place.block,
        scope=settings.scope,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=place.seed,
    )
    pruning = MagnitudePruning(planner=of_settings(training_settings)) if place.sparsity > 0 else None

    def stop_at_nan(epoch: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise ModelError(f"the loss became NaN in epoch {epoch}; try a lower `learning_rate`.")

    training.train_repeatably(source, samples, training_settings, pruning, on_step=on_step, after_epoch=stop_at_nan)


def _measured(report: Report, content: bytes) -> Measured:
    models, accuracy = report.models, report.accuracy
    assert models.sparse is not None  # no gate failed
    assert models.sparse.accuracy is not None
    assert models.dense_float32.accuracy is not None
    assert models.dense_int8 is not None
    assert accuracy is not None
    sizes = [math.prod(tensor.shape) for tensor in report.tensors]
    nonzeros = sum(round(size * (1 - tensor.sparsity)) for size, tensor in zip(sizes, report.tensors, strict=True))
    return Measured(
        file_bytes=models.sparse.file_bytes,
        gzip_bytes=models.sparse.gzip_bytes,
        dense_bytes=models.dense_int8.file_bytes,
        nonzeros=nonzeros,
        weights=sum(sizes),
        accuracy=models.sparse.accuracy,
        float32_accuracy=models.dense_float32.accuracy,
        metric=accuracy.metric,
        samples=accuracy.samples,
        sha256=hashlib.sha256(content).hexdigest(),
        interval=models.sparse.interval,
        multiply_adds=sum(each.multiply_adds or 0 for each in operators.of_model(serde.parse(content))),
    )


def _sources(
    width: float, seed: int, settings: SweepSettings, builder: str | None, data: object
) -> tuple[KerasSource, Dataset]:
    """A freshly built model and the data fitted to it."""
    keras = tensorflow_import.keras3()
    keras.backend.clear_session()
    if builder is None:
        images = InputSpec("x", (None, None, None, None), np.dtype(np.float32))
        samples = dataset.of_any(data, seed=settings.seed, signature=Signature((images,)))
        keras.utils.set_random_seed(seed)
        model: object = scalable.build(keras, width, *_shape_and_classes(samples))
    else:
        samples = None
        keras.utils.set_random_seed(seed)
        path, function = _split_builder(builder)
        model = user_code.call(path, function, ModelError, width)
        if not hasattr(model, "count_params") or not getattr(model, "inputs", None):
            raise ModelError(f"{builder} returned no Keras model with known inputs: build it with an Input.")
    source = keras_model.from_memory(model)
    name = f"the model of width {width:g}" if builder is None else f"{builder}({width:g})"
    if not isinstance(source, KerasSource) or len(source.inputs()) != 1 or len(source.outputs()) != 1:
        raise ModelError(f"{name}: sweep trains Sequential and Functional models with one input and one output.")
    with repeatable.seedable_layers(source.keras):
        source = source.copied()
    check_finite(source)
    shape = source.inputs()[0].shape
    if samples is None:
        signature = Signature(source.inputs(), source.outputs())
        samples = dataset.of_any(data, seed=settings.seed, image_shape=shape, signature=signature)
    if not samples.has_labels:
        raise DataError(f"{samples.name} has no labels: sweep needs some (y). `data` takes {data_spec.FORMS}.")
    return source, pixel_ranges.as_told(samples.fitted_to(shape, source.inputs()[0].dtype), settings.pixels)


def _shape_and_classes(samples: Dataset) -> tuple[tuple[int, int, int], int]:
    x, y = samples.x_train, samples.y_train
    is_classes = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iu" and y.min() >= 0
    if not isinstance(x, np.ndarray) or x.ndim != 4 or not is_classes:
        raise DataError(
            f"{samples.name}: the built-in network takes images (samples, height, width, channels) and class numbers; "
            "give a MODEL-BUILDER, module.py:function, for other data."
        )
    height, width, channels = x.shape[1:]
    highest = max(int(arrays.alone(part).max()) for part in (y, samples.y_test) if part is not None)
    return (height, width, channels), max(_LEAST_CLASSES, highest + 1)


def _split_builder(builder: str) -> tuple[Path, str]:
    named = user_code.address(builder)
    if named is None:
        raise ModelError(f"{builder!r} is no MODEL-BUILDER: it takes module.py:function, a function of the width.")
    return named
