"""A model and its data, ready to be pruned while it trains."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Step, Timed, ignore_steps
from tflite_sparse.errors import DataError, ModelError
from tflite_sparse.pruning import recipe_file, recipe_planner, repeatable
from tflite_sparse.pruning.plan import Planner, of_settings
from tflite_sparse.pruning.strip import strip
from tflite_sparse.settings import PruneSettings
from tflite_sparse.settings.kinds import Pixels
from tflite_sparse.sources import data_spec, dataset, keras_model
from tflite_sparse.sources.arrays import checksum, columns
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.saved_model import SavedModelSource
from tflite_sparse.sources.source_model import SourceModel, check_finite
from tflite_sparse.stages import pixels as pixel_stage
from tflite_sparse.stages.load import check_paths


def path_of(model: object) -> Path:
    """The path of a model that is given by one.

    Raises:
        ModelError: it is something else, as a live model.
    """
    if not isinstance(model, str | os.PathLike):
        raise ModelError(
            f"the model is a {type(model).__name__}, and prune takes the path of one: save it as .keras. Or prune in "
            "your own training: callbacks=[tflite_sparse.pruning.MagnitudePruning(0.875)]."
        )
    return Path(model)


def load(path: Path, data: object, settings: PruneSettings, progress: Timed) -> tuple[KerasSource, Dataset, int]:
    """A model that can be trained, without wrappers, the data fitted to it, and how many masks were applied.

    Args:
        path: as for :func:`prune`.
        data: as for :func:`prune`.
        settings: ``seed``, ``pixels``, ``custom_objects`` and ``builder`` matter.
        progress: receives stages and notes.

    Raises:
        InputError: model or data cannot be used for training.
    """
    check_paths(path, data)
    with progress.stage("load") as on_step:
        source, applied = trainable(keras_model.open_model(path, settings.custom_objects, settings.builder))
        samples = samples_for(source, data, settings.seed, settings.pixels, on_step)
        pixel_stage.checked(source, samples, settings.pixels, progress)
        if samples.is_cut:
            progress.note(f"data: {samples.name}; it does not tell how many there are")
        return source, samples, applied


def trainable(opened: SourceModel) -> tuple[KerasSource, int]:
    """A copy of a model that can be trained, without wrappers, and how many masks were applied.

    Raises:
        ModelError: it holds NaN or infinity, or its layers are not known.
    """
    check_finite(opened)
    source, applied = strip(opened)
    if isinstance(source, SavedModelSource):
        raise ModelError(
            f"{opened.name} {source.what}: prune trains Sequential and functional models of a .keras or .h5 file. "
            "In a training of your own the callback tflite_sparse.pruning.MagnitudePruning prunes others as well."
        )
    assert isinstance(source, KerasSource)  # there is no other kind
    with repeatable.seedable_layers(source.keras):
        return source.copied(), applied


def samples_for(
    source: KerasSource, data: object, seed: int, pixels: Pixels | None, on_step: Step = ignore_steps
) -> Dataset:
    """Labelled data, fitted to a model that is to be trained on them.

    Raises:
        DataError: they do not fit or have no labels.
    """
    named = Signature(source.inputs(), source.outputs())
    samples = dataset.of_model(data, named, seed=seed, pixels=pixels, on_step=on_step)
    if not samples.has_labels:
        raise DataError(f"{samples.name} has no labels: prune needs some (y). `data` takes {data_spec.FORMS}.")
    return samples


def planner_of(settings: PruneSettings) -> Planner:
    """What becomes of which kernel, by the recipe if there is one."""
    if settings.recipe is None:
        return of_settings(settings)
    return recipe_planner.planner(recipe_file.find(settings.recipe), settings)


def fingerprints(source: KerasSource, samples: Dataset) -> dict[str, str]:
    """Model and training data in short: a run that goes on with others ends as neither would."""
    weights = [array for array in map(np.asarray, source.model.get_weights()) if array.dtype.kind == "f"]
    assert samples.y_train is not None  # samples_for() asks for labels
    data = [*columns(samples.x_train), *columns(samples.y_train)]
    return {"model": f"crc32 {checksum(weights)}", "training data": f"crc32 {checksum(data)}"}
