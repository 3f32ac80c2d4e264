"""Which files of an earlier run in the same folder are removed."""

import json

import pytest

from tflite_sparse.report.snippets.micro import MARK
from tflite_sparse.stages import deliver
from tflite_sparse.stages.deliver import REPORT_JSON, SPARSE


def write_report(folder, **settings):
    (folder / REPORT_JSON).write_text(json.dumps({"settings": settings}))


@pytest.mark.parametrize(("start", "is_removed"), [(MARK, True), ("// By hand", False)])
def test_an_app_that_the_user_wrote_stays(tmp_path, start, is_removed):
    write_report(tmp_path, target="micro", c_array=True)
    (tmp_path / "app.cc").write_text(f"{start}\n")
    found = deliver._left_by_an_earlier_run(tmp_path)
    assert {SPARSE, "model.h", "model.cc"} <= found
    assert ("app.cc" in found) is is_removed


def test_files_that_the_run_was_not_asked_for_stay(tmp_path):
    write_report(tmp_path, target="micro", c_array=False)
    assert not {"app.cc", "model.h"} & deliver._left_by_an_earlier_run(tmp_path)


def test_without_a_report_all_files_are_somebody_elses(tmp_path):
    assert deliver._left_by_an_earlier_run(tmp_path) == set()
