"""Run every command and Python example of the documents."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import tflite_sparse
from helpers.made_once import MadeOnce
from helpers.tools import run_cli

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "real-models.md"}  # help texts; a record of another program's runs
DOCUMENTS = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in GENERATED)]
COMMANDS = {
    document: [
        line.partition("#")[0].strip()
        for line in re.findall(r"(?m)^(?: {4})?(tflite-sparse [^\n]+)$", document.read_text(encoding="utf-8"))
    ]
    for document in DOCUMENTS
}
# A mask of 95 % without training costs this small model its accuracy; the program says so and ends with 1.
FAIL_THE_ACCURACY_GATE = {
    "tflite-sparse export model.keras --data data.npz --sparsity 0.95 --finetune-epochs 0 --int8 "
    "--dense-scales per-tensor"
}
# Commands of the README that train, and that another document has too: run there. Nothing after them reads their files.
RUN_ELSEWHERE = {
    "tflite-sparse prune model.keras --data data.npz --sparsity 0.875 -o pruned.keras": "pruning.md",
    "tflite-sparse fit model.keras --data data.npz --budget 100kB": "fit.md",
}
EXAMPLES = {document: re.findall(r"```python\n(.*?)```", document.read_text("utf-8"), re.S) for document in DOCUMENTS}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def files(model3, digits, pytestconfig):
    """Return a folder with the files of the documents: a pruned model, its data, a recipe, a dense int8 file."""

    def make(folder):
        data = {name: getattr(digits, name) for name in ("x_train", "y_train", "x_test", "y_test")}
        few = {name: array[:500] if name.endswith("train") else array for name, array in data.items()}
        np.savez(folder / "data.npz", **few)  # the quality of models trained on them does not matter
        model3.save(folder / "plain.keras")
        tflite_sparse.prune(folder / "plain.keras", data, folder / "model.keras", sparsity=0.875, epochs=12)
        # Its accuracy is no subject of the documents: without the report nothing judges it against plain.keras.
        (folder / "model.prune.json").unlink()
        tflite_sparse.export(folder / "model.keras", data, int8=True, out=folder / "out", max_accuracy_drop=1)
        for name in ("model-int8.tflite", "dense-int8.tflite"):
            shutil.copy(folder / "out" / "dense-int8.tflite", folder / name)
        (folder / "recipe.toml").write_text('version = 1\n[[rule]]\nlayers = ".*"\nsparsity = 0.8\n')

    sources = [Path(__file__), Path(__file__).with_name("conftest.py"), *(ROOT / "tflite_sparse").rglob("*.py")]
    return MadeOnce(pytestconfig.cache.mkdir("made-once"), sources).folder("documented", make)


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if COMMANDS[each]], ids=lambda path: path.name)
def test_commands(document, files, tmp_path, monkeypatch):
    """Run them in order, as a reader would: later ones use files of earlier ones."""
    folder = shutil.copytree(files, tmp_path / "work")
    monkeypatch.chdir(folder)
    for command in COMMANDS[document]:
        if document == ROOT / "README.md" and command in RUN_ELSEWHERE:
            continue
        run = run_cli(*shlex.split(command)[1:])
        reasons = [line.partition(":")[2].strip() for line in run.stderr.splitlines() if line.startswith("failed: ")]
        expected = (1, ["accuracy"]) if command in FAIL_THE_ACCURACY_GATE else (0, [])
        assert (run.code, [reason.partition(":")[0] for reason in reasons]) == expected, (command, run.stderr)


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if EXAMPLES[each]], ids=lambda path: path.name)
def test_python_examples(document, files, tmp_path, monkeypatch, keras3, digits):
    monkeypatch.chdir(shutil.copytree(files, tmp_path / "work"))
    model = keras3.models.load_model("model.keras")
    model.compile("adam", "sparse_categorical_crossentropy")
    known = {"tflite_sparse": tflite_sparse, "model": model, "x": digits.x_train[:200], "y": digits.y_train[:200]}
    for example in EXAMPLES[document]:
        exec(compile(example, document.name, "exec"), known)  # noqa: S102 - the document is ours


def test_the_documents_hold_commands_and_examples():
    assert sum(map(len, COMMANDS.values())) >= 15
    assert {command for commands in COMMANDS.values() for command in commands} >= FAIL_THE_ACCURACY_GATE
    assert sum(map(len, EXAMPLES.values())) >= 6
    for command, document in RUN_ELSEWHERE.items():
        assert command in COMMANDS[ROOT / "README.md"]
        assert command in COMMANDS[ROOT / "docs" / document]
