"""Describe how a file of one time step is run."""

from __future__ import annotations

from tflite_sparse.results.time_step import TimeStepReport


def lines(report: TimeStepReport | None) -> list[str]:
    """Describe the file and how its states are fed; nothing for a file that takes whole sequences."""
    if report is None:
        return []
    names = ", ".join(state.name for state in report.states)
    when = "at every step" if report.every_step else "after the last step"
    sentence = (
        f"One time step ({report.words}): feed {report.input} step by step and each of {names} at zero (int8: its zero "
        f"point), then with the output of that name; read {report.output} {when}. Zero them for a new sequence."
    )
    rescaled = [state.name for state in report.states if state.rescaled]
    if not rescaled:
        return [sentence]
    return [sentence, f"Convert from the scale of the output to that of the input: {', '.join(rescaled)}."]
