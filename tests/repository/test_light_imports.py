"""Test that commands on .tflite files do not import TensorFlow, which takes seconds and may be missing."""

import json
import os
import subprocess
import sys

import pytest

from helpers import example_reports, tiny_models
from tflite_sparse_cli.main import cli

HEAVY = ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "matplotlib", "ray")
ARGUMENTS = {
    "encode": ["{file}", "-o", "{folder}/encoded.tflite"],
    "decode": ["{file}", "-o", "{folder}/decoded.tflite"],
    "inspect": ["{file}"],
    "verify": ["{file}", "--against", "{file}", "--samples", "1"],
    "bench": ["{file}"],
    "report": ["{folder}"],
}
# Run the program in a fresh interpreter and print its imports on the last line.
PROGRAM = """
import json, sys
from tflite_sparse_cli.main import cli
try:
    cli(sys.argv[1:], standalone_mode=False)
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


def imported_by(*arguments):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def heavy(modules):
    return {name for name in modules if name.split(".")[0] in HEAVY}


@pytest.mark.parametrize("command", ARGUMENTS)
def test_commands_on_files_run_without_tensorflow(tmp_path, command):
    file = tmp_path / "model.tflite"
    file.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    (tmp_path / "report.json").write_text(example_reports.make().model_dump_json())
    arguments = [argument.format(file=file, folder=tmp_path) for argument in ARGUMENTS[command]]
    modules = imported_by(command, *arguments)
    assert "numpy" in modules  # it did run
    assert not heavy(modules)


def test_encode_imports_nothing_of_an_export(tmp_path):
    """Templates, the bar of a terminal, and settings and results of other commands take a tenth of its time."""
    file = tmp_path / "model.tflite"
    file.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    modules = imported_by("encode", str(file), "-o", str(tmp_path / "encoded.tflite"))
    assert {"tflite_sparse.settings.files", "tflite_sparse.results.files"} <= modules
    others = {"tflite_sparse.settings.export", "tflite_sparse.results.export", "tflite_sparse.sources.dataset"}
    assert not {"jinja2", "rich.progress", "concurrent.futures", *others} & modules


@pytest.mark.parametrize("command", [[], *([name] for name in cli.list_commands(None))], ids=str)
def test_help_imports_neither_tensorflow_nor_the_runtime(command):
    modules = imported_by(*command, "--help")
    assert not heavy(modules)
    assert "ai_edge_litert" not in modules


def test_the_library_itself_is_light():
    command = "import json, sys, tflite_sparse; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert not heavy(json.loads(done.stdout))


def test_the_probe_would_see_tensorflow(tmp_path):
    """Otherwise the tests above could not fail."""
    (tmp_path / "keras.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", "import keras" + PROGRAM, "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert heavy(json.loads(done.stdout.splitlines()[-1])) == {"keras"}


def test_commands_on_files_start_without_a_thread_a_core(tmp_path):
    """NumPy's OpenBLAS starts threads at its import, unless the user says how many; HTTP and TLS are for downloads."""
    command = PROGRAM + "import os; print(json.dumps([len(os.listdir('/proc/self/task')), sorted(sys.modules)]))"
    for given, expected in (({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, min(2, os.cpu_count()))):
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | given
        arguments = [sys.executable, "-c", command, "encode", "--help"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
        threads, modules = json.loads(done.stdout.splitlines()[-1])
        assert "numpy" in modules
        assert threads == expected
        assert not {"urllib.request", "http.client", "ssl"} & set(modules)
