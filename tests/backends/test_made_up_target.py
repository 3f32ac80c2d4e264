"""A target is added by its module and one entry of the registry: settings, commands and reports know it then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import made_up_target
import pytest

from helpers import tiny_models
from tflite_sparse.target_registry import TARGETS


@pytest.fixture
def run(tmp_path):
    """Run code where the target is known, in a folder with a file; return what it prints, read as JSON."""
    (tmp_path / "in.tflite").write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    here = Path(made_up_target.__file__)
    paths = [str(here.parent), *(path for path in sys.path if path)]

    def run(code):
        done = subprocess.run(
            [sys.executable, str(here), code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_encode_writes_for_it(run, tmp_path):
    report = run(
        """
import json, tflite_sparse
from tflite_sparse.report.text import files
report = tflite_sparse.encode("in.tflite", "out.tflite", target="made-up", c_array=True)
print(json.dumps({**report.model_dump(mode="json"), "words": files.encoding(report)}))
"""
    )
    assert report["target_part"]["numbers"] == {"flash_bytes": 7}
    assert "It takes 7 bytes of flash." in report["words"]
    assert report["verification"]["not_compared"] == "it is made up"
    assert [tensor["reason"] for tensor in report["tensors"]] == ["it stays as it is"]
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert written.pop("out_made/up.bin") == b"made up"
    assert set(written) == {"in.tflite", "out.tflite"}


def test_an_export_writes_for_it_and_delivers_its_files(run):
    found = run(
        """
import json
from pathlib import Path
from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.results.target_part import as_field
from tflite_sparse.results.contract import Contract
from tflite_sparse.settings import ExportSettings
from tflite_sparse.stages import deliver, encode
settings = ExportSettings(target="made-up", int8=True, c_array=True)
nothing = Contract(signature=None, inputs=[], outputs=[])
made = encode.Encoding(settings, Timed(Silent())).run(Path("in.tflite"), Path("sparse.tflite"), None, None, nothing)
print(json.dumps({
    "fields": list(as_field(made.part)), "files": list(made.files), "all": deliver.ALL_FILES,
    "written": Path("sparse.tflite").exists(), "ahead": settings.plans_memory_ahead,
}))
"""
    )
    assert found["fields"] == ["target_part"]
    assert found["files"] == ["model_made/up.bin"]
    assert found["files"][0] in found["all"]
    assert found["written"]
    assert found["ahead"]


def test_settings_and_options_know_it(run):
    found = run(
        """
import json
from typing import get_args
import tflite_sparse
from tflite_sparse.errors import SettingsError
from tflite_sparse.settings import EncodeSettings, ExportSettings, FitSettings
from tflite_sparse_cli.main import cli
told = []
for make, values in (
    (EncodeSettings, {"target": "made-up", "micro_codec": "lut"}),
    (EncodeSettings, {"c_array": True}),
    (ExportSettings, {"target": "made-up", "int8": True, "activations": "int16"}),
    (ExportSettings, {"target": "made-up", "measure": True}),
    (FitSettings, {"gate": True, "target": "made-up"}),
):
    try:
        make(**values)
    except SettingsError as error:
        told.append(str(error))
choices = {
    name: next(option for option in cli.get_command(None, name).params if option.name == "target").type.choices
    for name in ("encode", "export", "fit", "sweep", "verify", "inspect")
}
inspected = tflite_sparse.inspect("in.tflite")
print(json.dumps({
    "told": told, "choices": choices, "inspected": sorted({each.target for each in inspected.runtimes}),
    "help": ExportSettings.model_fields["target"].description, "is_for": inspected.is_for("made-up"),
}))
"""
    )
    assert "micro_codec" in found["told"][0]
    assert "the target micro, not" in found["told"][0]
    assert "the target micro or made-up, not" in found["told"][1]
    assert "the target litert, not" in found["told"][2]
    assert "does not load those of the target made-up" in found["told"][3]
    assert "made-up" in found["told"][4]
    every, some, here = [*TARGETS, "made-up"], ["litert", "micro"], ["litert", "micro", "c"]
    assert found["choices"] == {
        "encode": every, "export": every, "fit": some, "sweep": some, "verify": here, "inspect": here,
    }  # fmt: skip
    assert found["inspected"] == sorted(here)
    assert found["help"].endswith("made-up: a file that is made up.")
    assert not found["is_for"]  # nothing here loads files for it
