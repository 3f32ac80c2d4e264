"""Compare the cost of an export with that of a minimal plain script: CPU seconds and wall time of whole processes.

python benchmarks/export_cost.py [--only small,mobilenet,demo,file] [--rounds N] [--results FILE]

The plain script (``python benchmarks/export_cost.py plain``) loads the Keras model, converts it with TensorFlow to
float32 and int8 with 200 calibration samples, and runs both files on 200 samples, one at a time. Commands take turns.
CPU seconds are those of the process and of all its children, as counted by the system.
"""

from __future__ import annotations

import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import results

_HEADING = "Cost of an export"
_SAMPLES = 200
_SEED = 1
_SPARSITY = "0.875"
_ANY_DROP = "1"  # a failed gate would also measure alternatives
_PROGRAM = str(Path(sys.executable).with_name("tflite-sparse"))


@dataclass(frozen=True, slots=True)
class Spent:
    """One run of a command."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Target:
    """The maximum of a ratio of medians."""

    of: str
    most: float


@dataclass(frozen=True, slots=True)
class Case:
    """Commands that are measured side by side.

    Attributes:
        title: in the results.
        prepare: fills the folder that the commands run in.
        commands: by name; the first is the reference.
        targets: for each other command, of ``cpu`` and ``wall``.
        most_cpu: maximum CPU seconds of a command, if the target is no ratio.
        words: describe the commands.
    """

    title: str
    prepare: Callable[[Path], None]
    commands: dict[str, list[str]]
    targets: dict[str, tuple[Target, ...]]
    most_cpu: dict[str, float]
    words: str = ""


def _script(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), *arguments]


_EXPORT = [
    _PROGRAM,
    "export",
    "model.keras",
    "--data",
    "data.npz",
    "--int8",
    "--sparsity",
    _SPARSITY,
    "--finetune-epochs",
    "0",
]
_EXPORT += ["--max-accuracy-drop", _ANY_DROP, "--out", "out", "--quiet"]
_ON_A_MODEL = {"plain script": _script("plain"), "tflite-sparse export": _EXPORT}
_WORDS = (
    f"The plain script loads the model, converts it to float32 and int8 with {_SAMPLES} samples and runs both files on "
    "as many. The export also masks, encodes, compares with the source model, verifies in three runtimes, scores and "
    "reports."
)


def _prepare_small(folder: Path) -> None:
    """Make a CNN of 259 kB as dense int8, trained for an epoch on MNIST."""
    from tflite_sparse.sources import dataset, tensorflow_import

    data = dataset.load("mnist-5k")
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(_SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(156, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, verbose=0)
    _save(folder, model, data.x_train, data.y_train, data.x_test[:_SAMPLES], data.y_test[:_SAMPLES])


def _prepare_mobilenet(folder: Path) -> None:
    """Make MobileNet v2 from Keras, 224x224, with random weights and samples."""
    from tflite_sparse.sources import tensorflow_import

    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(_SEED)
    model = keras.applications.MobileNetV2(weights=None)
    generator = np.random.default_rng(_SEED)
    x = generator.uniform(-1, 1, (2, _SAMPLES, 224, 224, 3)).astype(np.float32)
    y = generator.integers(1000, size=(2, _SAMPLES))
    _save(folder, model, x[0], y[0], x[1], y[1])


def _save(folder: Path, model: Any, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> None:
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def _prepare_file(folder: Path) -> None:
    """Make a dense int8 file of 13 kB: a Dense layer of 96 by 96 with 87.5 % zeros after one of the samples."""
    import tensorflow as tf

    from tflite_sparse.sources import tensorflow_import

    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(_SEED)
    layers = keras.layers
    model = keras.Sequential([layers.Input((96,)), layers.Dense(96, activation="relu"), layers.Dense(10)])
    kernel, bias = model.layers[0].get_weights()
    kernel[np.abs(kernel) < np.quantile(np.abs(kernel), float(_SPARSITY))] = 0
    model.layers[0].set_weights([kernel, bias])
    x = np.random.default_rng(_SEED).standard_normal((_SAMPLES, 1, 96)).astype(np.float32)
    model.export(folder / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([each] for each in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (folder / "dense.tflite").write_bytes(converter.convert())


def _prepare_nothing(folder: Path) -> None:
    del folder


_CASES = {
    "small": Case(
        "small CNN",
        _prepare_small,
        {**_ON_A_MODEL, "from Python, a live model": _script("live")},
        {
            "tflite-sparse export": (Target("cpu", 1.3), Target("wall", 1.2)),
            "from Python, a live model": (Target("cpu", 1.9),),
        },
        {},
        _WORDS,
    ),
    "mobilenet": Case(
        "MobileNet v2, 224x224",
        _prepare_mobilenet,
        _ON_A_MODEL,
        {"tflite-sparse export": (Target("cpu", 1.2), Target("wall", 1.2))},
        {},
        _WORDS,
    ),
    "demo": Case(
        "demo",
        _prepare_nothing,
        {
            "plain script": _script("plain-demo"),
            "tflite-sparse export": [_PROGRAM, "export", "--sparsity", _SPARSITY, "--int8", "--out", "out", "--quiet"],
        },
        {"tflite-sparse export": ()},
        {},
        "Both train the network twice, for 30 epochs each; the export prunes it the second time.",
    ),
    "file": Case(
        "a file of 13 kB, and help",
        _prepare_file,
        {
            "tflite-sparse encode": [_PROGRAM, "encode", "dense.tflite", "-o", "sparse.tflite", "--quiet"],
            "tflite-sparse --help": [_PROGRAM, "--help"],
        },
        {},
        {"tflite-sparse encode": 0.5, "tflite-sparse --help": 0.2},
    ),
}


@click.group(invoke_without_command=True)
@click.option("--only", default=",".join(_CASES), show_default=True, help="Cases, with commas between them.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@results.results_option("export-cost")
@click.pass_context
def main(context: click.Context, only: str, rounds: int, path: Path) -> None:
    """Measure the cases and replace their sections of the results; fail only if a command does."""
    if context.invoked_subcommand is not None:
        return
    for name in only.split(","):
        case = _CASES[name]
        with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as folder:
            case.prepare(Path(folder))
            found = _measure(case, Path(folder), rounds)
        section = _section(name, case, found, rounds)
        results.write_section(path, f"{_HEADING}, {case.title}", section)
        click.echo(section)


@main.command()
def plain() -> None:
    """Convert model.keras and run both files."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    model = keras.models.load_model("model.keras", compile=False)
    data = np.load("data.npz")
    _convert_and_run(model, data["x_train"], data["x_test"])


@main.command()
def live() -> None:
    """Export the model of model.keras from memory in Python."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    import tflite_sparse

    model = keras.models.load_model("model.keras", compile=False)
    tflite_sparse.export(
        model,
        "data.npz",
        int8=True,
        sparsity=float(_SPARSITY),
        finetune_epochs=0,
        max_accuracy_drop=float(_ANY_DROP),
        out=Path("out"),
    )


@main.command("plain-demo")
def plain_demo() -> None:
    """Train the demo network twice, convert it and run both files."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    from tflite_sparse.pruning import training
    from tflite_sparse.sources import dataset, demo

    data = dataset.load("mnist-5k")
    for _ in range(2):
        model = demo.build(keras, _SEED)
        model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
        epochs, size = training.SCRATCH_EPOCHS, training.BATCH_SIZE
        model.fit(data.x_train, data.y_train, batch_size=size, epochs=epochs, verbose=0)
    _convert_and_run(model, data.x_train, data.x_test)


def _convert_and_run(model: Any, x: np.ndarray, x_test: np.ndarray) -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    model.export("saved", verbose=False)
    for is_int8 in (False, True):
        converter = tf.lite.TFLiteConverter.from_saved_model("saved")
        if is_int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([each[None]] for each in x[:_SAMPLES])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        interpreter = Interpreter(model_content=converter.convert(), num_threads=2)
        interpreter.allocate_tensors()
        (given,), (yielded,) = interpreter.get_input_details(), interpreter.get_output_details()
        scale, zero_point = given["quantization"]
        for sample in x_test[:_SAMPLES]:
            fed = np.clip(np.round(sample / scale) + zero_point, -128, 127).astype(np.int8) if is_int8 else sample
            interpreter.set_tensor(given["index"], fed[None])
            interpreter.invoke()
            interpreter.get_tensor(yielded["index"])


def _measure(case: Case, folder: Path, rounds: int) -> dict[str, list[Spent]]:
    found: dict[str, list[Spent]] = {name: [] for name in case.commands}
    for number in range(rounds + 1):  # the first one only warms the system's caches
        for name, command in case.commands.items():
            spent = _run(name, command, folder)
            if number:
                found[name].append(spent)
                click.echo(f"{case.title}, {name}: {spent.cpu:.2f} CPU s, {spent.wall:.2f} s", err=True)
    return found


def _run(name: str, command: Sequence[str], folder: Path) -> Spent:
    for left in ("out", "saved"):
        shutil.rmtree(folder / left, ignore_errors=True) if name != "tflite-sparse encode" else None
    # As for an installed package: modules are compiled once, not in each run.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{name} ended with {process.returncode}: {' '.join(command)}")
    return Spent(usage.ru_utime + usage.ru_stime, time.perf_counter() - started)


def _ratio(one: Sequence[Spent], other: Sequence[Spent], of: str) -> float:
    """Return the median of the ratios of successive runs."""
    return statistics.median(getattr(a, of) / getattr(b, of) for a, b in zip(one, other, strict=True))


def _rows(case: Case, found: dict[str, list[Spent]]) -> Iterator[tuple[str, ...]]:
    base, *_ = found.values()
    for name, runs in found.items():
        medians = [statistics.median(getattr(run, of) for run in runs) for of in ("cpu", "wall")]
        ratios = [
            f"{_ratio(runs, base, of):.2f}x" if case.targets and runs is not base else "-" for of in ("cpu", "wall")
        ]
        yield (name, f"{medians[0]:.2f}", ratios[0], f"{medians[1]:.2f}", ratios[1])


def _verdicts(case: Case, found: dict[str, list[Spent]]) -> Iterator[str]:
    base, *_ = found.values()
    for name, targets in case.targets.items():
        for target in targets:
            ratio = _ratio(found[name], base, target.of)
            what = {"cpu": "CPU seconds", "wall": "wall time"}[target.of]
            passed = "pass" if ratio <= target.most else "FAIL"
            yield f"{passed}: {case.title}, {name}: at most {target.most}x of the plain script's {what}: {ratio:.2f}x"
    for name, most in case.most_cpu.items():
        median = statistics.median(run.cpu for run in found[name])
        yield f"{'pass' if median <= most else 'FAIL'}: {name}: at most {most} CPU seconds: {median:.2f}"


def _section(name: str, case: Case, found: dict[str, list[Spent]], rounds: int) -> str:
    packages = results.versions(("tflite-sparse", "tensorflow", "keras", "ai-edge-litert"))
    lines = [
        f"## {_HEADING}, {case.title}",
        "",
        f"{datetime.datetime.now(tz=datetime.timezone.utc).date()}; {results.machine()}; {packages}.",
        f"Reproduce: `python benchmarks/export_cost.py --only {name} --rounds {rounds}`",
        "",
        f"Whole processes, medians of {rounds} runs that take turns; ratios are medians over the turns."
        + (f" {case.words}" if case.words else ""),
        "",
        "| command | CPU s | beside plain | wall s | beside plain |",
        "| --- | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in _rows(case, found)),
        "",
        *(f"- {verdict}" for verdict in _verdicts(case, found)),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
