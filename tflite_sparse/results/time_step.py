"""The description of a file that computes one time step of a recurrent model."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class TimeStepState(Part):
    """One state: the name of its input and of its output.

    ``rescaled``: its output has another scale or zero point than its input, so that the app must convert it.
    """

    name: str
    units: int
    rescaled: bool


class TimeStepReport(Part):
    """How the app runs the file over a sequence.

    Attributes:
        steps: of the sequences that accuracy was measured on; None: there were none.
        input: the name of the input for one step of the sequence.
        output: the name of the output.
        every_step: whether the output is valid at every step, not only at the last.
        states: of the recurrent layers.
        words: why it was written so.
    """

    steps: int | None
    input: str
    output: str
    every_step: bool
    states: list[TimeStepState]
    words: str
