"""Make the tables and sentences of ``fit``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tflite_sparse.report.text import accuracy as accuracy_words
from tflite_sparse.report.text import baseline as baseline_words
from tflite_sparse.report.text.export import gates as gate_lines
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.export import Interval
from tflite_sparse.results.fit import FitReport, Resource
from tflite_sparse.settings import FitSettings


@dataclass(frozen=True, slots=True)
class ResourceWords:
    """The words for a resource: the setting that limits it, its title, the unit that follows a number, its kind."""

    option: str
    title: str
    unit: str
    is_whole: bool = True


RESOURCES: Mapping[Resource, ResourceWords] = {
    "multiply_adds": ResourceWords("max_macs", "Multiply-adds", "multiply-adds"),
    "arena_bytes": ResourceWords("max_arena", "Arena (bytes)", "bytes of arena"),
    "latency_ms": ResourceWords("max_latency", "Latency (ms)", "ms", is_whole=False),
}


_MOST_WITH_DIGITS = 1000  # larger numbers have four digits in front of the point


def amount(resource: Resource, value: float) -> str:
    """Return an amount with its unit: ``1,250,000 multiply-adds``."""
    return f"{number(resource, value)} {RESOURCES[resource].unit}"


def number(resource: Resource, value: float) -> str:
    """Return an amount without its unit."""
    if RESOURCES[resource].is_whole or value >= _MOST_WITH_DIGITS:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def beyond(resource: Resource, used: float, settings: FitSettings, rounds: int) -> str:
    """Return the failure of a file that takes more than a limit after so many rounds."""
    option = RESOURCES[resource].option
    more_rounds = "" if settings.gate else "more --rounds, or "  # with a gate each plan is carried out once
    return (
        f"{option}: the file takes {amount(resource, used)} after {rounds} rounds, "
        f"{amount(resource, settings.limits[resource])} are allowed. Try {more_rounds}a larger {_flag(option)}"
    )


def remedies(settings: FitSettings) -> str:
    """Return what else than training may make the file more accurate: ``a larger --budget or --max-macs``."""
    options = ["budget"] if settings.budget is not None else []
    options += [RESOURCES[name].option for name in settings.limits]
    larger = f"a larger {' or '.join(map(_flag, options))}" if options else ""
    return ", or ".join(filter(None, ["search with a smaller drop" if settings.gate else "", larger]))


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def aim(settings: FitSettings) -> str:
    """Return what a run aims at: ``100,000 bytes and 1,250,000 multiply-adds``, or ``the gate``."""
    found = ["the gate"] if settings.gate else []
    if settings.budget is not None:
        found.append(f"{settings.budget:,} bytes")
    found += [amount(name, limit) for name, limit in settings.limits.items()]
    *first, last = found
    return f"{', '.join(first)} and {last}" if first else last


_VALUES = "values"  # that kept weights share


def kernels(report: FitReport) -> Table:
    """Return a row for each kernel that could be pruned: the option chosen for it, and its bytes."""
    rows = tuple(
        (
            shortened(kernel.name),
            kernel.type,
            "x".join(map(str, kernel.shape)),
            kernel.block or "as it was",
            f"{kernel.sparsity:.4f}",
            "all" if kernel.values is None else str(kernel.values),
            f"{kernel.untouched_bytes:,}",
            f"{kernel.predicted_bytes:,}",
            "unknown" if kernel.file_bytes is None else f"{kernel.file_bytes:,}",
            f"{kernel.predicted_rise:.4g}",
        )
        for kernel in report.kernels
    )
    sizes = ("untouched B", "predicted B", "stored B")
    found = Table(
        ("kernel", "type", "shape", "block", "zeros", _VALUES, *sizes, "loss alone"),
        rows,
        frozenset({"kernel", "type", "shape", "block"}),
        frozenset({"kernel"}),
        ("type", "predicted B", "shape"),
    )
    return found if any(kernel.values is not None for kernel in report.kernels) else found.without(_VALUES)


def rounds(report: FitReport) -> Table:
    """Return a row for each plan that was carried out."""
    rows = tuple(
        (
            str(each.number),
            str(each.epochs),
            f"{each.predicted_bytes:,}",
            f"{each.file_bytes:,}",
            "" if each.held_out_drop is None else f"{each.held_out_drop:.4f}",
            "yes" if each.passed else "no",
        )
        for each in report.rounds
    )
    found = Table(
        ("round", "epochs", "predicted B", "stored B", "held-out drop", "within"), rows, frozenset({"within"})
    )
    return found if report.mode == "gate" else found.without("held-out drop")


def channels(report: FitReport) -> Table:
    """Return a row for each group of channels that may be removed."""
    rows = tuple(
        (
            ", ".join(shortened(name) for name in each.kernels),
            f"{each.channels:,}",
            f"{each.planned:,}",
            f"{each.kept:,}",
            f"{each.predicted_rise:.4g}",
        )
        for each in report.channels
    )
    return Table(("made by", "channels", "planned", "kept", "loss alone"), rows, frozenset({"made by"}))


def limits(report: FitReport) -> Table:
    """Return a row for each limit beside the budget."""
    rows = tuple(
        (
            RESOURCES[each.resource].title,
            *(
                number(each.resource, value)
                for value in (each.untouched, each.least, each.limit, each.predicted, each.used)
            ),
        )
        for each in report.limits
    )
    headings = ("resource", "all channels", "fewest channels", "limit", "predicted", "written file")
    return Table(headings, rows, frozenset({"resource"}), may_be_dropped=("fewest channels", "predicted"))


def fixed(report: FitReport) -> Table:
    """Return a row for each constant that no plan changes."""
    rows = tuple((shortened(each.name), f"{each.bytes:,}") for each in report.fixed)
    return Table(("constant", "stored B"), rows, frozenset({"constant"}), frozenset({"constant"}))


def outcome(report: FitReport) -> tuple[str, ...]:
    """Return sentences on the aim and the result."""
    allowed = "" if report.budget_bytes is None else f", of {report.budget_bytes:,} allowed"
    return (
        f"Size: {report.file_bytes:,} bytes{allowed}; {report.predicted_bytes:,} were predicted "
        f"({report.prediction_error:+.2%}), in {len(report.rounds)} round{'s' * (len(report.rounds) > 1)}.",
        *_range(report),
        *_limits(report),
        _accuracy(report),
    )


def _range(report: FitReport) -> list[str]:
    """Return a sentence on what plans can reach, where kernels are pruned by plan."""
    if not report.kernels:
        return []
    channels = ", the smallest of them without the channels that go for the limits" if report.channels else ""
    beyond_plans = report.rest_bytes + sum(constant.bytes for constant in report.fixed)
    return [
        f"This model fits into {report.floor_bytes:,} to {report.untouched_bytes:,} bytes{channels}; {beyond_plans:,} "
        "of them are fixed."
    ]


def _limits(report: FitReport) -> list[str]:
    """Return a sentence on each limit, and one on the channels that went for them."""
    found = [
        f"{RESOURCES[each.resource].title}: {number(each.resource, each.used)}, of "
        f"{number(each.resource, each.limit)} allowed; {number(each.resource, each.untouched)} with all channels."
        for each in report.limits
    ]
    if report.channels:
        kept, channels = (sum(getattr(each, name) for each in report.channels) for name in ("kept", "channels"))
        found.append(f"Channels: {kept:,} of {channels:,} are kept, in {len(report.channels)} groups.")
    return found


def sentences(report: FitReport) -> list[str]:
    """Return sentences on the aim, the result, and whether it passes."""
    return [
        *outcome(report),
        *_paired(report),
        *(f"Warning: {sentence}" for sentence in report.warnings),
        *gate_lines(report.gates),
        f"Written to {report.settings['out']}: model.tflite, fit.json, recipe.toml, fitted.keras, report.html and what "
        "else export writes.",
    ]


def _paired(report: FitReport) -> list[str]:
    compared = report.compared
    return (
        [] if compared is None else [accuracy_words.paired(each, compared, report.baseline) for each in compared.paired]
    )


def _accuracy(report: FitReport) -> str:
    if report.accuracy is None or report.dense_accuracy is None:
        return "Accuracy: unknown; no file was delivered, or it yields NaN."
    found = _with_interval(report.accuracy, report.interval)
    before = _with_interval(report.dense_accuracy, report.dense_interval)
    name = baseline_words.in_sentence("dense_float32", report.baseline)
    return (
        f"Accuracy: {report.metric} {found}, {name} {before}, on {report.samples} test samples."
        f"{_further_training(report)}"
    )


def _with_interval(score: float, found: Interval | None) -> str:
    return f"{score:.4f}" + ("" if found is None else f" {accuracy_words.interval(found, None)}")


def _further_training(report: FitReport) -> str:
    """Note that a dense model trained for as many more epochs might be better than the one in the comparison."""
    # Rounds of a gate all start again from the source model.
    rounds = report.rounds[-1:] if report.mode == "gate" else report.rounds
    epochs = sum(each.epochs for each in rounds)
    if not epochs:
        return ""
    return f" The sparse model was trained for {epochs} epoch{'s' * (epochs > 1)} more than the dense one."
