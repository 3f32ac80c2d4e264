"""Ways out of an int8 export that lost too much accuracy, as measured."""

from __future__ import annotations

from collections.abc import Sequence

import pydantic


class Alternative(pydantic.BaseModel):
    """One way out.

    ``accuracy``, ``drop`` (against the dense float32 file) and ``file_bytes`` are those of the sparse file;
    None where it could not be made, and then ``words`` says why.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    option: str
    accuracy: float | None = None
    drop: float | None = None
    file_bytes: int | None = None
    words: str


def advice(found: Sequence[Alternative], drop: float, max_drop: float) -> str:
    """Which to take: the smallest file within the gate, else the best if it is better than ``drop``; one sentence."""
    measured = [(each.drop, each.file_bytes or 0, each) for each in found if each.drop is not None]
    within = [entry for entry in measured if entry[0] <= max_drop]
    if within:
        best, size, chosen = min(within, key=lambda entry: entry[1])
        return f"Take {chosen.option}: the drop is {best:.4f}, in {size:,} bytes."
    if not measured or min(measured, key=lambda entry: entry[0])[0] >= drop:
        return "None of the ways out helps: it is not int8 that costs the accuracy. Try --finetune-epochs."
    best, size, chosen = min(measured, key=lambda entry: (entry[0], entry[1]))
    return f"{chosen.option} comes nearest: the drop is {best:.4f}, in {size:,} bytes."


def lines(found: Sequence[Alternative]) -> list[str]:
    """One sentence for each."""
    return [
        f"Instead, {each.option}: accuracy {each.accuracy:.4f}, drop {each.drop:.4f}, {each.file_bytes:,} bytes; "
        f"{each.words}."
        if each.accuracy is not None
        else f"Instead, {each.option}: {each.words}"
        for each in found
    ]
