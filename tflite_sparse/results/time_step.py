"""What reports say of a file that computes one time step of a recurrent model."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class TimeStepState(Part):
    """One state: the name of its input, which is that of its output too.

    ``rescaled``: its output has another scale or zero point than its input, so that the app must convert it.
    """

    name: str
    units: int
    rescaled: bool


class TimeStepReport(Part):
    """How the app runs the file over a sequence.

    Attributes:
        steps: of the sequences that accuracy was measured on; None: there were none.
        input: the name of the input that takes one step of the sequence.
        output: the name of the output.
        every_step: whether the output counts at every step, and not at the last alone.
        states: of the recurrent layers.
        words: why it was written so.
    """

    steps: int | None
    input: str
    output: str
    every_step: bool
    states: list[TimeStepState]
    words: str
