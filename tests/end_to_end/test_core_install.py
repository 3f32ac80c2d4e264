"""The wheel without any extra, in an environment of its own: commands on files run, the others name their extra."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from helpers import tiny_models

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"tensorflow", "keras", "tf-keras", "h5py", "scipy", "matplotlib", "pandas", "ray"}
LARGEST = 250_000_000
"""What the README promises of the core, in bytes."""


@dataclass(frozen=True)
class Core:
    """An environment with the wheel and what it requires."""

    wheel: Path
    folder: Path

    def run(self, program, *arguments):
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.folder / "bin" / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=own, cwd=self.folder)

    def found(self, *arguments):
        """What a command says as JSON."""
        done = self.run("tflite-sparse", *arguments, "--json", "--quiet")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    [wheel] = map(Path, WheelBuilder(str(ROOT)).build(directory=str(folder / "dist"), versions=["standard"]))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", wheel]
    subprocess.run(pip, check=True)
    return Core(wheel, folder / "env")


@pytest.fixture(scope="module")
def files(core):
    """A dense file with zeros, and the sparse one that the core makes of it."""
    dense, sparse = core.folder / "dense.tflite", core.folder / "sparse.tflite"
    dense.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    core.found("encode", dense, "-o", sparse)
    return dense, sparse


def test_the_core_is_light(core):
    size = sum(path.stat().st_size for path in core.folder.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < LARGEST
    names = core.run("python", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
    installed = set(names.stdout.lower().replace("_", "-").split())
    assert {"tflite-sparse", "numpy", "ai-edge-litert"} <= installed
    assert not installed & EXTRAS


def test_the_library_is_that_of_the_wheel(core):
    place = core.run("python", "-c", "import tflite_sparse; print(tflite_sparse.__file__)").stdout
    assert Path(place).is_relative_to(core.folder)


def test_a_file_is_encoded_checked_and_decoded(core, files):
    dense, sparse = files
    back = core.folder / "back.tflite"
    assert sparse.stat().st_size < dense.stat().st_size / 2
    assert core.found("verify", sparse, "--against", dense)["passed"]
    core.found("decode", sparse, "-o", back)
    assert core.found("verify", back, "--against", dense)["passed"]


def test_files_are_inspected_and_measured(core, files):
    dense, sparse = files
    found = core.found("inspect", sparse)
    assert [runtime["loads"] for runtime in found["runtimes"][:3]] == [True] * 3
    code = core.run("tflite-sparse", "inspect", sparse, "--snippet", "c++")
    assert (code.returncode, "Invoke" in code.stdout or "Run" in code.stdout) == (0, True), code.stderr
    core.found("encode", dense, "-o", core.folder / "micro.tflite", "--target", "micro")  # the runtime is an extra
    measured = core.found("bench", dense, sparse, "--rounds", 1)
    assert [Path(row["path"]).name for row in measured["files"]] == ["dense.tflite", "sparse.tflite"]


@pytest.mark.parametrize(
    ("command", "package"),
    [
        ("export", "TensorFlow"),
        ("prune model.keras --data data.npz -o pruned.keras", "TensorFlow"),
        ("prune model.keras --data data.npz --scan", "TensorFlow"),
        ("fit model.keras --data data.npz --budget 10kB", "TensorFlow"),
        ("sweep --data digits", "TensorFlow"),
        ("report .", "matplotlib"),
    ],
)
def test_a_command_names_its_extra(core, command, package):
    done = core.run("tflite-sparse", *command.split())
    assert done.returncode == 2
    assert not done.stdout
    said, cure = done.stderr.removesuffix("\n").rsplit(": ", 1)
    assert said == f"error: {command.split()[0]} needs {package}"
    assert shlex.split(cure) == ["pip", "install", f"{core.wheel}[keras]"]
