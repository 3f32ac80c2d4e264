"""Make the tables and sentences of ``verify``."""

from __future__ import annotations

from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.verification import OutputDifference, RuntimeCheck, VerificationReport
from tflite_sparse.verification import sentences


def runtimes(report: VerificationReport) -> Table:
    """Return a row for each runtime and signature: verdict, output that differs most, and where that begins."""
    headings: tuple[str, ...] = (
        "runtime",
        "signature",
        "outputs",
        "worst output",
        "samples",
        "by up to",
        "first differs at",
    )
    rows = tuple(_row(check) for check in report.runtimes)
    if all(check.signature is None for check in report.runtimes):
        headings, rows = headings[:1] + headings[2:], tuple(row[:1] + row[2:] for row in rows)
    text = frozenset(headings) - {"samples", "by up to"}
    return Table(headings, rows, text, text)


def verdicts(report: VerificationReport, *, brief: bool = False) -> list[str]:
    """Return sentences: weights, what was not compared and why, failures, and the verdict; ``brief``: no remarks."""
    weights = report.weights
    lines = [
        f"Weights: {weights.equal} of {weights.compared} tensors ({weights.values:,} weights) equal bit for bit, read "
        "back from both files."
    ]
    for check in report.runtimes:
        if check.unavailable is not None:
            lines.append(_sentence(f"Not compared in {check.where}: {check.unavailable}"))
        if check.within_tolerance is False and not check.gate and check.refused is None:
            lines.append(
                f"Differences in {check.where} are no failure: no app runs them, and they round FULLY_CONNECTED in "
                "another way than the CONV_2D that it may have been rewritten as."
            )
        note = None if check.first_difference is None else check.first_difference.note
        if note is not None and not brief:
            lines.append(_sentence(f"Intermediate tensors in {check.where} tell nothing: {note}"))
    if report.constants is not None:
        constants = report.constants
        lines.append(
            f"Channels: {report.against} has dead channels that {report.file} has not; {constants.compared:,} of their "
            f"constants were compared in {len(constants.runtimes)} runtimes."
        )
    if report.constants is not None and report.allowed_share_of_range:
        lines.append(
            f"Differences of up to {report.allowed_share_of_range:g} of the range of an output pass: float32 kernels "
            "sum in another order for another number of channels."
        )
    if report.input_shapes:
        shapes = "; ".join(
            f"{shortened(name)} ({', '.join(map(str, shape))})" for name, shape in report.input_shapes.items()
        )
        lines.append(f"Inputs with open sizes were run as {shapes}.")
    constant = [check.where for check in report.runtimes if check.outputs_vary is False]
    if constant and not brief:
        lines.append(
            "The outputs are the same for every sample, so that their equality says little; intermediate tensors were "
            f"compared as well, on one of them. This is so in: {'; '.join(constant)}."
        )
    lines += [
        _sentence(sentences.of_across(each, report.against))
        for each in report.across
        if each.gate != (each.explained is False)
    ]
    lines += [_sentence(f"FAILED {failure}") for failure in report.failures]
    if report.passed:
        how = "bit for bit"
        if any(check.gate and check.outputs_bit_exact is False for check in report.runtimes):
            how = f"but for rounding (by up to {_largest(report):g})"
        good = [check.where for check in report.runtimes if check.within_tolerance]
        if not good:
            why = "" if report.not_compared is None else f": {report.not_compared}"
            return [*lines, _sentence(f"Outputs were not compared{why}")]
        lines.append(
            f"Verified: {report.file} computes what {report.against} does, {how}, on {report.samples} samples in: "
            + "; ".join(good)
            + "."
        )
    return lines


def _row(check: RuntimeCheck) -> tuple[str, ...]:
    start = (check.name, check.signature or "", _verdict(check))
    first = check.first_difference
    place = "" if first is None or first.tensor is None else f"{shortened(first.tensor)} ({first.operator})"
    if not check.differences:
        return (*start, "", "", "", place)
    worst = max(check.differences, key=_badness)
    by = "not finite" if worst.largest_difference is None else f"{worst.largest_difference:g}"
    return (*start, f"{shortened(worst.output)} ({worst.index})", str(worst.samples), by, place)


def _verdict(check: RuntimeCheck) -> str:
    if check.unavailable is not None:
        return "not compared"
    if check.refused is not None:
        return "REFUSED"
    if check.outputs_bit_exact and check.within_tolerance:
        return "bit exact"
    if check.within_tolerance:
        return "within tolerance"
    return "DIFFER" if check.gate else "differ"


def _largest(report: VerificationReport) -> float:
    return max(_badness(each) for check in report.runtimes if check.gate for each in check.differences)


def _badness(difference: OutputDifference) -> float:
    return float("inf") if difference.largest_difference is None else difference.largest_difference


def _sentence(words: str) -> str:
    return words.rstrip(". ") + "."
