"""What an Android app bundles: the files of an export, the names of the classes, and outputs to compare with."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tflite_sparse.errors import DataError, ModelError
from tflite_sparse.runtime import litert
from tflite_sparse.sources.arrays import alone
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.stages.deliver import DENSE_FLOAT32, DENSE_INT8, SPARSE

LABELS = "labels.txt"
GOLDEN = "golden.json"
FILES = (DENSE_FLOAT32, DENSE_INT8, SPARSE, LABELS, GOLDEN)

_MOST_SAMPLES = 10
_MOST_VALUES = 100_000  # of all samples together: about a megabyte of text


def check(named: Signature, data: object) -> None:
    """Find out before the work whether an app's classifier can run a model and whether there are samples for it.

    Args:
        named: the inputs and outputs of the model.
        data: as given to the export.

    Raises:
        ModelError: it has several inputs or outputs, or its input takes no real numbers.
        DataError: there are no data.
    """
    inputs, outputs = named.inputs, named.outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"`android_assets` is for classifiers, with one input and one output; the model has {len(inputs)} and "
            f"{len(outputs)}."
        )
    if inputs[0].dtype != np.float32:
        raise ModelError(f"`android_assets` is for inputs of float32; the model takes {inputs[0].dtype}.")
    if data is None:
        raise DataError("`android_assets` needs `data`: golden.json holds samples and what becomes of them.")


def contents(paths: Mapping[str, Path], samples: Dataset) -> dict[str, bytes | Path]:
    """The files of :data:`FILES`: contents, or where they lie.

    Args:
        paths: where the ``.tflite`` files lie, by their names.
        samples: their test part is what ``golden.json`` shows, up to ten samples, if possible of different classes.

    Raises:
        ExecutionError: the runtime refused a file.
    """
    models = {name: paths[name] for name in (DENSE_FLOAT32, DENSE_INT8, SPARSE)}
    rows = _rows(samples)
    x = alone(samples.x_test)[rows]
    outputs = {name: litert.run(path, x, "compiled_model").arrays[0] for name, path in models.items()}
    classes = next(iter(outputs.values())).shape[-1]
    names = samples.labels if len(samples.labels) == classes else tuple(map(str, range(classes)))
    golden = {
        "runtime": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}",
        "samples": [
            {"input": _numbers(sample), "label": label}
            for sample, label in zip(x, _classes(samples, rows), strict=True)
        ],
        "outputs": {name: [_numbers(output) for output in array] for name, array in outputs.items()},
    }
    return {
        **models,
        LABELS: "".join(f"{name}\n" for name in names).encode(),
        GOLDEN: json.dumps(golden, separators=(",", ":")).encode(),
    }


def _rows(samples: Dataset) -> np.ndarray:
    """The test samples to show: the first of each class, then the first ones."""
    count = min(_MOST_SAMPLES, samples.test_samples, max(1, _MOST_VALUES // alone(samples.x_test)[0].size))
    labels = _classes(samples, np.arange(samples.test_samples))
    firsts = [] if labels[0] is None else np.sort(np.unique(np.array(labels), return_index=True)[1]).tolist()
    order = dict.fromkeys([*firsts, *range(samples.test_samples)])
    return np.array(list(order)[:count])


def _classes(samples: Dataset, rows: np.ndarray) -> Sequence[int | None]:
    """The class numbers of test samples; None where labels are absent or none."""
    labels = samples.y_test
    if labels is None:
        return [None] * len(rows)
    chosen = alone(labels)[rows]
    if chosen.ndim == 2 and chosen.shape[1] > 1:  # one-hot
        return [int(each) for each in chosen.argmax(axis=1)]
    flat = chosen.reshape(len(rows), -1)
    if flat.shape[1] != 1 or not np.array_equal(flat, np.round(flat)):
        return [None] * len(rows)
    return [int(each) for each in flat[:, 0]]


def _numbers(array: np.ndarray) -> list[int | float]:
    """An array as plain numbers, in row-major order, each float32 in the fewest digits that tell it from others."""
    if array.dtype.kind in "iu":
        return [int(value) for value in array.reshape(-1)]
    return [int(value) if value == int(value) else float(str(value)) for value in array.reshape(-1)]
