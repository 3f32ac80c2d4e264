"""Measure the cost of int8 for a model that normalises raw measurements itself, and the gain of each remedy.

python benchmarks/quantisation.py [--seeds N] [--results FILE]

Every conversion runs in this process, by the function that ``export`` runs in a child of its own.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

import results
from results import Verdict
from tflite_sparse.base.progress import ignore_steps
from tflite_sparse.conversion.tensorflow_side import convert_saved_model
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.measurement import mean_shift
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.pruning import MagnitudePruning, recipe_file, recipe_planner
from tflite_sparse.rewrites import bias_correction, weight_only
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import Trace
from tflite_sparse.targets import litert as target
from tflite_sparse.verification.weights import check_weights

_HEADING = "Quantisation of a model with its normalisation inside"
_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "ai-edge-litert", "scikit-learn")

_DATA = {"wine": datasets.load_wine, "breast cancer": datasets.load_breast_cancer}
_EPOCHS, _BATCH_SIZE, _UNITS, _SPARSITY = 60, 16, 64, 0.75
_RECIPE = 'version = 1\n[[rule]]\ntypes = ["Normalization"]\nprecision = "float32"\n'


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make a file; ``recipe`` in TOML."""

    words: str
    activations: str = "int8"
    calibration: str = "min-max"
    recipe: str | None = None
    bias_correction: bool = False


_FLOAT, _INT8, _BY_RECIPE = "float32", "int8, min-max", "int8, recipe: Normalization in float32"
_WAYS = (
    Way(_INT8),
    Way("int8, `--calibration percentile`", calibration="percentile"),
    Way("int8, `--calibration mse`", calibration="mse"),
    Way("int8, `--bias-correction`", bias_correction=True),
    Way("`--activations int16`", activations="int16"),
    Way("`--activations float32`", activations="float32"),
    Way(_BY_RECIPE, recipe=_RECIPE),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The results of one way, by seed: accuracy of the sparse file, and bytes of both."""

    accuracies: list[float] = field(default_factory=list)
    dense_bytes: list[int] = field(default_factory=list)
    sparse_bytes: list[int] = field(default_factory=list)


@dataclass(frozen=True, eq=False, slots=True)
class Trained:
    """A sparse model and its data."""

    source: KerasSource
    x_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@click.command()
@click.option("--seeds", default=5, show_default=True, help="Seeds of split, initial weights and order.")
@results.results_option("quantisation")
def main(seeds: int, path: Path) -> None:
    """Train, quantise in every way, and write the tables."""
    found: dict[str, dict[str, Result]] = {}
    for name in _DATA:
        found[name] = {_FLOAT: Result()} | {way.words: Result() for way in _WAYS}
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                _measure(_train(name, seed), Path(folder), found[name])
            print(name, seed, {words: each.accuracies[-1] for words, each in found[name].items()}, flush=True)
    results.write_section(path, _HEADING, _section(found, seeds))


def _train(name: str, seed: int) -> Trained:
    """Train on half of the samples a model whose first layer is adapted to them, and prune ``second``."""
    keras = tensorflow_import.keras3()
    data = _DATA[name]()
    x = data.data.astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        x, data.target, test_size=0.5, random_state=seed, stratify=data.target
    )
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    normalisation = layers.Normalization(name="normalisation")
    normalisation.adapt(x_train)
    model = keras.Sequential(
        [
            layers.Input(x.shape[1:]),
            normalisation,
            layers.Dense(_UNITS, activation="relu", name="first"),
            layers.Dense(_UNITS, activation="relu", name="second"),
            layers.Dense(int(data.target.max()) + 1, name="classes"),
        ],
        name=name.replace(" ", "_"),
    )
    model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pruning = MagnitudePruning(_SPARSITY, warn=lambda _: None)
    model.fit(x_train, y_train, epochs=_EPOCHS, batch_size=_BATCH_SIZE, verbose=0, callbacks=[pruning])
    return Trained(KerasSource(model, keras, name), x_train, x_test, y_test)


def _measure(trained: Trained, folder: Path, found: Mapping[str, Result]) -> None:
    saved = folder / "model"
    trained.source.save_for_conversion(saved, Trace(named=True))
    reference = folder / "float32.tflite"
    reference.write_bytes(_converted(saved))
    _add(found[_FLOAT], trained, reference, folder)
    for way in _WAYS:
        path = folder / "dense.tflite"
        if way.activations == "float32":
            model = serde.read(reference)
            weight_only.apply(model)
            serde.write(model, path)
        else:
            path.write_bytes(_converted(saved, trained, way, folder))
        if way.bias_correction:
            model = serde.read(path)
            bias_correction.apply(next(graphs(model)), mean_shift.measure(reference, path, (trained.x_train,)))
            serde.write(model, path)
        _add(found[way.words], trained, path, folder)


def _converted(
    saved: Path, trained: Trained | None = None, way: Way | None = None, folder: Path | None = None
) -> bytes:
    kept: dict[str, list[str]] = {}
    if way is not None and way.recipe is not None:
        assert trained is not None
        assert folder is not None
        rules = folder / "recipe.toml"
        rules.write_text(way.recipe, "utf-8")
        kept = recipe_planner.float_layers(recipe_file.read(rules), trained.source.layers())
    return convert_saved_model(
        str(saved),
        samples=None if trained is None else trained.x_train,
        input_io="float32",
        output_io="float32",
        activations="float32" if way is None else way.activations,
        calibration="min-max" if way is None else way.calibration,
        dense_scales="per-channel",
        float_layers=kept,
        on_step=ignore_steps,
    )


def _add(result: Result, trained: Trained, dense: Path, folder: Path) -> None:
    sparse = folder / "sparse.tflite"
    encode_file(dense, sparse, target.answer)
    check_weights(sparse, dense)
    answers = runtime.run(sparse, (trained.x_test,)).real()
    result.accuracies.append(float(np.mean(np.argmax(answers, axis=-1) == trained.y_test)))
    result.dense_bytes.append(dense.stat().st_size)
    result.sparse_bytes.append(sparse.stat().st_size)


def _section(found: Mapping[str, Mapping[str, Result]], seeds: int) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    tables = "\n\n".join(f"{name.capitalize()}:\n\n{_table(each)}" for name, each in found.items())
    verdicts = "\n".join(f"- {_verdict(name, each).in_words()}" for name, each in found.items())
    return f"""## {_HEADING}

{datetime.date.today().isoformat()}; {results.machine()}; {versions}.
Wine (178 samples, 13 measurements) and breast cancer (569 samples, 30 measurements) as scikit-learn brings them, in
their own units. A Keras `Normalization`, adapted to the training half, then three Dense layers ({_UNITS}, {_UNITS},
classes); {_EPOCHS} epochs of Adam while the second is pruned to {100 * _SPARSITY:g} % zeros. Calibrated on the training
half; inputs and outputs are float32. Accuracies are those of the sparse files on the other half, in the default
interpreter. Dense files are as the converter writes them; those with corrected biases or float32 activations were
written again, which takes fewer bytes.
Reproduce: `python benchmarks/quantisation.py --seeds {seeds}`

{tables}

The share of the drop that comes back is that of the means. One scale for all measurements leaves those of small units
no levels. The largest ones need their range, so that no choice of it helps.

{verdicts}
"""


def _table(found: Mapping[str, Result]) -> str:
    best, worst = (100 * statistics.fmean(found[words].accuracies) for words in (_FLOAT, _INT8))
    seeds = len(found[_FLOAT].accuracies)
    headings = [
        "",
        "mean (%)",
        *(f"seed {seed}" for seed in range(seeds)),
        "drop comes back",
        "dense (bytes)",
        "sparse",
    ]
    rows = [headings, ["---", *["---:"] * (len(headings) - 1)]]
    for words, each in found.items():
        mean = 100 * statistics.fmean(each.accuracies)
        rows.append(
            [
                words,
                f"{mean:.2f}",
                *(f"{100 * accuracy:.2f}" for accuracy in each.accuracies),
                "-" if words in (_FLOAT, _INT8) or best == worst else f"{100 * (mean - worst) / (best - worst):.0f} %",
                *(f"{statistics.fmean(sizes):,.0f}" for sizes in (each.dense_bytes, each.sparse_bytes)),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _verdict(name: str, found: Mapping[str, Result]) -> Verdict:
    best, worst, reached = (statistics.fmean(found[words].accuracies) for words in (_FLOAT, _INT8, _BY_RECIPE))
    share = (reached - worst) / (best - worst) if best > worst else float("nan")
    return Verdict(
        f"{name}: a recipe brings back at least half of what int8 loses",
        f"{100 * (best - worst):.2f} points lost, {100 * (reached - worst):.2f} of them back",
        share >= 0.5,
    )


if __name__ == "__main__":
    main()
