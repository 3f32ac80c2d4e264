"""What an export starts from: a model and data that fit each other, checked before the work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import DataError, SettingsError
from tflite_sparse.results.contract import PixelCheck
from tflite_sparse.results.export import ModelFrom
from tflite_sparse.results.prune import Curve, report_beside
from tflite_sparse.scoring.metrics import Name, choose_metric
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import DEMO_DATA, ExportSettings
from tflite_sparse.sources import data_spec, dataset, keras_model, model_files
from tflite_sparse.sources.arrays import alone
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_types import is_model
from tflite_sparse.sources.labels import any_outputs, check_labels
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import InputSpec, SourceModel
from tflite_sparse.stages import android_assets as android
from tflite_sparse.stages import baseline
from tflite_sparse.stages import pixels as pixel_stage

_DEMO_INPUT = InputSpec("x", (None, 28, 28, 1), np.dtype(np.float32))
_SHOWN_CLASSES = 20


def check_paths(model: object, data: object) -> None:
    """Find out before TensorFlow is imported whether paths can be those of a model and of data.

    Raises:
        ModelError: there is no such model.
        DataError: there are no such data.
    """
    data_spec.check(data)
    check_path(model)


def check_path(model: object) -> None:
    """Find out before TensorFlow is imported whether a path can be that of a model.

    Raises:
        ModelError: it cannot.
    """
    if isinstance(model, str | os.PathLike):
        keras_model.check_path(Path(model))


def load(
    model: object, data: object, settings: ExportSettings, metric: Name | UserMetric, progress: Timed
) -> tuple[SourceModel | None, Dataset | None, PixelCheck | None]:
    """The model, None for the demo network, and the data, None without any, fitted to each other.

    The last one is how the model scores images in each range of pixels, None where the data are none or have no labels.

    Args:
        model: as for :func:`tflite_sparse.export`.
        data: as for :func:`tflite_sparse.export`.
        settings: of the export.
        metric: labels must fit it.
        progress: receives stages and notes.

    Raises:
        InputError: model, data or settings cannot be used.
    """
    with progress.stage("load") as on_step:
        if model is None:
            samples = dataset.of_any(
                DEMO_DATA if data is None else data,
                seed=settings.seed,
                image_shape=_DEMO_INPUT.shape,
                signature=Signature((_DEMO_INPUT,)),
                on_step=on_step,
            )
            return None, _check_demo_data(samples), None
        path = Path(model) if isinstance(model, str | os.PathLike) else None
        if path is None and (settings.builder is not None or settings.signature is not None):
            raise SettingsError("`builder` and `signature` apply to a file or folder, not to a model in memory.")
        source = keras_model.from_memory(model) if path is None else _opened(path, settings)
        named = Signature(source.inputs(), source.outputs())
        if settings.android_assets is not None:
            android.check(named, data)
        if data is None:
            return source, None, None
        samples = dataset.of_model(data, named, seed=settings.seed, pixels=settings.pixels, on_step=on_step)
        if samples.is_cut:
            progress.note(f"data: {samples.name}; it does not tell how many there are")
        _check_labels(named, samples, metric)
        found = pixel_stage.checked(source, samples, settings.pixels, progress)
        if samples.is_split and samples.has_labels:
            progress.warn(split_words(samples))
        return source, samples, found


def _opened(path: Path, settings: ExportSettings) -> SourceModel:
    """Open the model; a builder may be for the model before pruning alone."""
    builder = settings.builder
    if builder is not None and not model_files.holds_weights_only(path) and baseline.holds_weights_only(path, settings):
        builder = None
    return keras_model.open_model(path, settings.custom_objects, builder, settings.signature)


def split_words(samples: Dataset) -> str:
    """Say of a test part that was split off here that the model may know it, and what to do."""
    return (
        f"{samples.name} has no test part: {samples.test_samples:,} samples were split off. The model may have been "
        "trained on them; its accuracy is then no held-out one. Give x_train, y_train, x_test, y_test."
    )


def origin_of(model: object) -> ModelFrom:
    """Return where the model of a run comes from."""
    if model is None:
        return "training"
    return "file" if isinstance(model, str | os.PathLike) else "memory"


def check_needs(settings: ExportSettings, samples: Dataset | None) -> None:
    """Find out before the work whether there are data where settings need some.

    Raises:
        DataError: there are none.
    """
    if samples is not None:
        return
    if settings.int8 and settings.activations != "float32":
        raise DataError(f"`int8` needs data to calibrate with: `data` takes {data_spec.FORMS}.")
    if settings.layer_errors:
        raise DataError(f"`layer_errors` needs data to compare on: `data` takes {data_spec.FORMS}.")


@contextmanager
def restored(model: object) -> Iterator[None]:
    """A caller's live model gets its weights back, whatever happened to them here."""
    if not is_model(model):
        yield
        return
    before = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(before)


def curve_of(model: object) -> Curve | None:
    """How the model was pruned, where ``prune`` wrote it and its report lies beside it."""
    found = report_beside(Path(model)) if isinstance(model, str | os.PathLike) else None
    return None if found is None else found.curve


def _check_demo_data(samples: Dataset) -> Dataset:
    fitted = samples.fitted_to(_DEMO_INPUT.shape, _DEMO_INPUT.dtype)
    labels = None if fitted.y_train is None else alone(fitted.y_train)
    if labels is None or not fitted.has_labels or labels.ndim != 1 or labels.min() < 0 or labels.max() > 9:
        raise DataError(f"{samples.name}: the demo network needs class numbers from 0 to 9 as labels; or give a MODEL.")
    return fitted


def _check_labels(named: Signature, samples: Dataset, metric: Name | UserMetric) -> None:
    """Find out before the work whether the labels, all of them, fit the model and the metric."""
    if samples.y_train is None or samples.y_test is None:
        if isinstance(metric, UserMetric) or metric == "auc":
            choose_metric(np.zeros((samples.test_samples, 1)), None, metric)  # says that it needs labels
        return
    for output in named.outputs:
        train, test = (y.get(output.name) if isinstance(y, Mapping) else y for y in (samples.y_train, samples.y_test))
        if train is None and test is None:
            continue
        if train is None or test is None:
            raise DataError(f"{samples.name}: only one part has labels of the output {output.name!r}; give both.")
        if train.shape[1:] != test.shape[1:]:
            raise DataError(f"{samples.name}: y_train and y_test have labels of different shapes.")
        try:
            check_labels(output.shape, np.concatenate([train, test]))
            outputs = any_outputs(output.shape, len(test))
            if outputs is not None:
                choose_metric(outputs, test, metric)
        except DataError as error:
            where = f"{samples.name}, output {output.name!r}: " if len(named.outputs) > 1 else ""
            raise DataError(f"{where}{error}{_classes(samples)}") from error


def _classes(samples: Dataset) -> str:
    """Name the classes of labels that do not fit: the user does not number those of folders, and may have one more."""
    if not samples.labels:
        return ""
    more = len(samples.labels) - _SHOWN_CLASSES
    shown = ", ".join(repr(name) for name in samples.labels[:_SHOWN_CLASSES])
    return f" The {len(samples.labels)} classes of {samples.name}: {shown}{f' and {more} more' if more > 0 else ''}."
