"""The search for the smallest arena: right from any guess, and short from a good one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.runtime import smallest_arena

STEP, LIMIT = 16, 2**20


def searched(needed, guess):
    """(found, numbers that were tried)."""
    tried = []

    def succeeds(nbytes):
        tried.append(nbytes)
        return nbytes >= needed

    return smallest_arena.search(succeeds, guess, STEP, LIMIT), tried


@given(st.integers(1, LIMIT), st.integers(0, 2 * LIMIT))
def test_the_answer_does_not_depend_on_the_guess(needed, guess):
    found, tried = searched(needed, guess)
    assert found == -(-needed // STEP) * STEP
    assert all(0 <= each <= LIMIT and each % STEP == 0 for each in tried)
    assert len(tried) <= 2 * (LIMIT // STEP).bit_length()


@pytest.mark.parametrize("needed", [16, 23_888, LIMIT])
def test_a_right_guess_takes_two_trials_at_most(needed):
    assert len(searched(needed, needed)[1]) <= 2


def test_what_the_runtime_prints_is_read_and_removed(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"an error\n")
    lines = {"total": b"[Recorder] Arena allocation total 23888 bytes\n", "none": b"nothing\n"}

    def printing(line):
        def append():
            with log.open("ab") as stream:
                stream.write(line)

        return append

    assert smallest_arena.announced(log, printing(lines["total"])) == 23_888
    assert smallest_arena.announced(log, printing(lines["none"])) == 0
    assert log.read_bytes() == b"an error\n"
