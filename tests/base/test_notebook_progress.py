"""Test the progress that notebooks show by default."""

import sys
import time
import types

import pytest

from tflite_sparse.base.notebook_progress import NotebookProgress, chosen
from tflite_sparse.base.progress import Silent


@pytest.fixture
def shown():
    return []


def test_short_work_shows_nothing(shown):
    progress = NotebookProgress(shown.append, patience_s=60)
    with progress.stage("load") as on_step:
        on_step(1, 2)
    assert shown == []


def test_steps_and_seconds_of_longer_work(shown):
    progress = NotebookProgress(shown.append, patience_s=0)
    with progress.stage("load") as on_step:
        on_step(1, 4)
        on_step(1, 4)  # nothing new
        on_step(2, 4)
    assert [text for text in shown if "%" in text] == ["load: 25%", "load: 50%"]
    assert shown[-1] == "load (0.0 s)"
    with progress.stage("convert"):
        progress.note("a note")
    assert shown[-1] == "load (0.0 s)\nconvert (0.0 s)\na note"


def test_a_stage_without_steps_is_shown_while_it_runs(shown):
    with NotebookProgress(shown.append, patience_s=0.05).stage("convert"):
        limit = time.monotonic() + 10
        while not shown and time.monotonic() < limit:
            time.sleep(0.01)
        assert shown == ["convert ..."]


def test_a_stage_that_fails_is_told(shown):
    with pytest.raises(ValueError, match="it"), NotebookProgress(shown.append, patience_s=0).stage("convert"):
        raise ValueError("it")
    assert shown[-1] == "convert (stopped after 0.0 s)"


def ipython(**attributes):
    return types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(**attributes))


def test_only_notebooks_show_it_by_default(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert isinstance(chosen(None), Silent)
    monkeypatch.setitem(sys.modules, "IPython", ipython())  # IPython in a terminal
    assert isinstance(chosen(None), Silent)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))  # imported, not used
    assert isinstance(chosen(None), Silent)
    monkeypatch.setitem(sys.modules, "IPython", ipython(kernel=object()))
    assert isinstance(chosen(None), NotebookProgress)
    given = Silent()
    assert chosen(given) is given
