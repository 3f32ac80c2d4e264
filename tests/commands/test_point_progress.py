"""Test progress and temporary files of points in other processes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tflite_sparse.commands.sweep import point_progress

WORKER = """
import subprocess, sys
from pathlib import Path
inner = '''
import os, sys, time
from pathlib import Path
from tflite_sparse.commands.sweep import point_progress
with point_progress.of_point(Path(sys.argv[1]), "point"):
    print(os.getpid(), flush=True)
    time.sleep(120)
'''
with subprocess.Popen([sys.executable, "-c", inner, sys.argv[1]]):
    pass
"""


def test_shares_are_told_while_a_point_is_at_work(tmp_path):
    heard = []
    with point_progress.watched(tmp_path, heard.append):
        with point_progress.of_point(tmp_path, "one") as on_step, point_progress.of_point(tmp_path, "other") as too:
            on_step(1, 2)
            too(1, 1)
            total = point_progress.told_in(tmp_path)
            end = time.monotonic() + 20
            while total not in heard:
                assert time.monotonic() < end
                time.sleep(0.05)
        assert point_progress.told_in(tmp_path) == 0
    assert 1.0 < total < 2.0  # training is only a part of a point


def test_steps_in_quick_succession_are_not_all_written(tmp_path):
    with point_progress.of_point(tmp_path, "one") as on_step:
        on_step(1, 4)
        first = point_progress.told_in(tmp_path)
        on_step(2, 4)
        assert point_progress.told_in(tmp_path) == first


def test_temporary_files_of_a_point_lie_in_the_folder(tmp_path):
    before = os.environ.get("TMPDIR"), tempfile.gettempdir()
    with point_progress.of_point(tmp_path, "one"):
        assert Path(tempfile.mkdtemp()).is_relative_to(tmp_path)
        assert Path(os.environ["TMPDIR"]).is_relative_to(tmp_path)
    assert (os.environ.get("TMPDIR"), tempfile.gettempdir()) == before


def test_on_another_machine_nothing_is_told():
    before = tempfile.gettempdir()
    with point_progress.of_point(None, "one") as on_step:
        on_step(1, 2)
        assert tempfile.gettempdir() == before


def test_the_folder_goes_with_what_was_left_in_it():
    with point_progress.scratch() as folder:
        (folder / "point").mkdir()
        (folder / "point" / "job.pickle").write_bytes(b"left")
    assert not folder.exists()


def test_a_worker_ends_when_who_started_it_was_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as starter:
        worker = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.1)
