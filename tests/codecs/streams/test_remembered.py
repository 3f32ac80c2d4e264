"""What is remembered: answers for the last arrays of the same content, not for large ones."""

import numpy as np
import pytest

from tflite_sparse.codecs.streams import remembered


@pytest.fixture
def counted():
    """A function that tells its calls apart, and the calls."""
    calls = []

    @remembered.remembered
    def total(array, factor):
        calls.append(array.shape)
        return factor * int(array.sum())

    return total, calls


def test_the_same_content_is_worked_out_once(counted):
    total, calls = counted
    array = np.arange(6, dtype=np.int8)
    assert [total(array, 2), total(array.copy(), 2)] == [30, 30]
    assert len(calls) == 1
    array[0] = 1
    assert [total(array, 2), total(array, 3), total(array.astype(np.int16), 3)] == [32, 48, 48]
    assert [total(array.reshape(2, 3), 3)] == [48]
    assert len(calls) == 5


def test_the_oldest_answer_is_forgotten(counted):
    total, calls = counted
    for number in (0, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1, 0):
        assert total(np.full(2, number), 1) == 2 * number
    assert len(calls) == 8


def test_large_arrays_are_not_kept(counted, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST_BYTES", 8)
    total, calls = counted
    for size in (8, 8, 9, 9):
        assert total(np.ones(size, np.int8), 1) == size
    assert len(calls) == 3
