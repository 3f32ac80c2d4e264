"""The report of ``fit``, made of what its stages found, and the error of a budget that cannot be met."""

from __future__ import annotations

from tflite_sparse.commands.fit.dense import Dense
from tflite_sparse.commands.fit.rounds import Carried, Rounds
from tflite_sparse.fitting import candidates
from tflite_sparse.fitting.costs import Sizes
from tflite_sparse.pruning import masks
from tflite_sparse.results.export import Accuracy, Report
from tflite_sparse.results.fit import FitKernel, FitReport, FixedConstant
from tflite_sparse.settings import FitSettings
from tflite_sparse.version import TOOL


def report(
    settings: FitSettings,
    whole: Dense,
    carried: Carried,
    rounds: Rounds,
    exported: Report,
    floor: Sizes,
    seconds: dict[str, float],
) -> FitReport:
    """Return the report of a run.

    Args:
        settings: of the run.
        whole: the model as it came.
        carried: the plan that was carried out last.
        rounds: all of them.
        exported: the report of the export, with the verdict of the run.
        floor: the smallest file.
        seconds: of each stage.
    """
    models, size, dense = exported.models, written(exported, carried), carried.dense
    untouched = whole.costs.sizes({})
    holds = {kernel.name: masks.sparsity_of([kernel]).share for kernel in carried.source.kernels()}
    kernels = [
        FitKernel(
            name=kernel.name,
            type=kernel.owner,
            shape=kernel.shape,
            block=None if option.sparsity is None else str(option.block),
            planned=option.sparsity,
            sparsity=holds[kernel.name],
            untouched_bytes=untouched.kernels[kernel.name],
            predicted_bytes=carried.predicted.kernels[kernel.name],
            file_bytes=carried.sizes.kernels.get(kernel.name),
            predicted_rise=option.rise,
            values=option.values,
        )
        for kernel in (each.kernel for each in dense.candidates)
        for option in [carried.choice[kernel.name]]
    ]
    return FitReport(
        tool=TOOL,
        model=dense.source.name,
        data=dense.samples.name,
        settings=settings.model_dump(mode="json"),
        mode="gate" if settings.gate else "limits" if settings.budget is None else "budget",
        budget_bytes=settings.budget,
        floor_bytes=floor.file_bytes,
        untouched_bytes=untouched.file_bytes,
        rest_bytes=untouched.rest_bytes,
        fixed=_fixed(dense, untouched),
        kernels=kernels,
        rounds=rounds.done,
        predicted_bytes=carried.predicted.file_bytes,
        file_bytes=size,
        prediction_error=carried.predicted.file_bytes / size - 1,
        metric=None if exported.accuracy is None else exported.accuracy.metric,
        samples=dense.samples.test_samples,
        dense_accuracy=models.dense_float32.accuracy,
        accuracy=None if models.sparse is None else models.sparse.accuracy,
        dense_interval=models.dense_float32.interval,
        interval=None if models.sparse is None else models.sparse.interval,
        compared=None if exported.accuracy is None else _without_samples(exported.accuracy),
        baseline=exported.baseline,
        gates=exported.gates,
        warnings=exported.warnings,
        seconds=seconds,
        limits=[] if rounds.limits is None else rounds.limits.limits_in_report(carried.used),
        channels=[] if rounds.limits is None else rounds.limits.channels_in_report(carried.source),
    )


def written(exported: Report, carried: Carried) -> int:
    """The bytes of the file for the target, as it is or would be delivered."""
    sparse = exported.models.sparse
    return carried.sizes.file_bytes if sparse is None else sparse.file_bytes


def _without_samples(accuracy: Accuracy) -> Accuracy:
    """The comparison alone; the report of the export has the rest."""
    return accuracy.model_copy(update={"confusion": [], "wrong": []})


def _fixed(dense: Dense, sizes: Sizes) -> list[FixedConstant]:
    """The constants of rank 2 and more that no plan changes, the largest first."""
    pruned = {each.kernel.name for each in dense.candidates}
    found = {name: size for name, size in sizes.kernels.items() if name not in pruned} | dict(sizes.others)
    return [FixedConstant(name=name, bytes=size) for name, size in sorted(found.items(), key=lambda each: -each[1])]


def floor_words(dense: Dense, floor: Sizes, budget: int) -> str:
    """Return the error of a budget that is smaller than the smallest file."""
    fixed = _fixed(dense, floor)
    dense_bytes = sum(each.bytes for each in fixed)
    named = ", ".join(f"{each.name} {each.bytes:,}" for each in fixed[:3])
    pruned = floor.file_bytes - floor.rest_bytes - dense_bytes
    kernels = f"{len(dense.candidates)} pruned kernel{'s' * (len(dense.candidates) != 1)}"
    return (
        f"a `budget` of {budget:,} bytes cannot be met: the smallest file of {dense.source.name} has "
        f"{floor.file_bytes:,}: "
        f"graph, biases and small constants {floor.rest_bytes:,}; weights that are not pruned {dense_bytes:,}"
        f"{f' ({named})' if named else ''}; {kernels}, at up to "
        f"{candidates.SPARSITIES[-1]:.0%} zeros, {pruned:,}.\n"
        "Give a larger `budget`, or a model of fewer or narrower layers."
    )
