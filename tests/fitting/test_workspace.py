"""Test the stored results of an interrupted run, and which runs may resume from it."""

import pytest

from tflite_sparse.errors import InputError, OutputError
from tflite_sparse.fitting.workspace import Workspace

IDENTITY = {"budget": 9500, "metric": None, "blocks": ("1x1", "1x16")}


def test_the_same_run_resumes(tmp_path):
    work = Workspace.open(tmp_path / "new" / "out", resume=False)
    work.check(IDENTITY)
    work.path("scan.json").write_text("found")
    again = Workspace.open(tmp_path / "new" / "out", resume=True)
    again.check(IDENTITY)
    assert again.path("scan.json").read_text() == "found"


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (IDENTITY | {"budget": 9600}, "budget = 9500, not 9600"),
        (IDENTITY | {"seed": 1}, "seed = None, not 1"),  # from a version without that setting
        ({"budget": 9500, "blocks": ("1x1", "1x16"), "metric": "top5"}, "metric = None, not top5"),
        ({"budget": 9500}, "blocks = .*, not None"),  # from a version with more settings
        (IDENTITY | {"blocks": ("1x1",)}, "blocks = .*, not "),
    ],
)
def test_a_run_with_another_identity_is_refused_by_the_first_difference(identity, words, tmp_path):
    Workspace.open(tmp_path, resume=False).check(IDENTITY)
    with pytest.raises(InputError, match=f"unfinished belongs to a run with {words}"):
        Workspace.open(tmp_path, resume=True).check(identity)


def test_results_are_not_deleted_without_resume(tmp_path):
    Workspace.open(tmp_path, resume=False)
    with pytest.raises(OutputError, match="go on with `resume=True`, or delete it"):
        Workspace.open(tmp_path, resume=False)


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"cannot make folder .*unfinished: Not a directory"):
        Workspace.open(tmp_path / "out", resume=False)


def test_remove_keeps_the_results(tmp_path):
    work = Workspace.open(tmp_path / "out", resume=False)
    work.path("dense.keras").write_text("")
    (tmp_path / "out" / "model.tflite").write_text("")
    work.remove()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.tflite"]


def test_undo_restores_the_disk(tmp_path):
    """Folders that existed before, and those with other contents, stay."""
    (tmp_path / "old").mkdir()
    work = Workspace.open(tmp_path / "old" / "new" / "out", resume=False)
    work.path("dense.keras").write_text("")
    work.undo()
    assert list(tmp_path.rglob("*")) == [tmp_path / "old"]
    work = Workspace.open(tmp_path / "old" / "new" / "out", resume=False)
    (tmp_path / "old" / "new" / "notes.txt").write_text("")
    work.undo()
    assert sorted(tmp_path.rglob("*")) == [
        tmp_path / "old",
        tmp_path / "old" / "new",
        tmp_path / "old" / "new" / "notes.txt",
    ]


def test_undo_of_a_resumed_run_keeps_its_folder(tmp_path):
    Workspace.open(tmp_path / "out", resume=False)
    Workspace.open(tmp_path / "out", resume=True).undo()
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_a_training_that_was_interrupted_is_known_by_its_checkpoint(tmp_path):
    work = Workspace.open(tmp_path, resume=False)
    path = work.path("round-1.keras")
    assert not work.has_checkpoint(path)
    (path.parent / "round-1.keras.checkpoint").write_text("")
    assert work.has_checkpoint(path)
