"""Test imports without garbage collection."""

import contextlib
import gc

import pytest

from tflite_sparse.base import imports


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(imports, "_are_frozen", False)
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("enabled", [False, True])
def test_collection_is_off_inside_and_as_before_outside(enabled):
    (gc.enable if enabled else gc.disable)()
    with contextlib.suppress(ImportError), imports.uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled() is enabled
    assert gc.get_freeze_count() == 0


def test_in_a_program_later_collections_leave_out_what_was_imported():
    imports.freeze()
    before = gc.get_freeze_count()
    assert before > 0
    with imports.uncollected():
        kept = [[] for _ in range(1000)]
    assert gc.get_freeze_count() >= before + len(kept)
