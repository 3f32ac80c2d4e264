"""Test the progress of points that several threads wait for."""

import pytest

from tflite_sparse.commands.sweep import point_progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds as the module sees them, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(point_progress.time, "monotonic", lambda: now[0])
    return now


def test_the_sum_of_the_points_at_work_is_told(clock):
    heard = []
    shares = point_progress.Shares(heard.append)
    with shares.of("one") as on_step:
        on_step(1, 2)
        with shares.of("other") as too:
            clock[0] += 1
            too(1, 1)
        clock[0] += 1
        on_step(1, 2)  # the other one has ended
    assert heard == [pytest.approx(0.45), pytest.approx(1.35), pytest.approx(0.45)]  # training is a part of a point


def test_steps_in_quick_succession_are_not_all_told(clock):
    heard = []
    with point_progress.Shares(heard.append).of("one") as on_step:
        on_step(1, 4)
        clock[0] += 0.5
        on_step(2, 4)
        clock[0] += 0.5
        on_step(3, 4)
    assert heard == [pytest.approx(0.225), pytest.approx(0.675)]
