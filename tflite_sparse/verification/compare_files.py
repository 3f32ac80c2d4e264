"""Whether one ``.tflite`` file computes what another does, whoever wrote the two."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tflite_sparse.base.progress import Progress, Silent
from tflite_sparse.errors import ExecutionError, SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import text
from tflite_sparse.results import verification as report
from tflite_sparse.runtime import input_shapes as shapes
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.verification import across as side_by_side
from tflite_sparse.verification import exactness, in_report, localise, probes

_VANISHED = "the difference vanishes in copies that yield their intermediate tensors, where fewer operators are fused"


def verify(
    file: str | os.PathLike[str],
    against: str | os.PathLike[str],
    *,
    samples: int = 16,
    seed: int = 0,
    threads: int = 1,
    tolerance: float = 0.0,
    share_of_range: float = 0.0,
    kernels: Sequence[litert.Kernels] = litert.KERNELS_TO_VERIFY,
    input_shapes: Shapes | None = None,
    default_must_run: bool = True,
    not_compared: str | None = None,
    progress: Progress | None = None,
) -> report.VerificationReport:
    """Compare the weights of two files bit for bit, then their outputs in every runtime and signature.

    Args:
        file: the file in question.
        against: the file that says how it must be; LiteRT's default interpreter must run it.
        samples: how many random inputs are run, after three at the boundaries (all smallest, all largest, all zero).
        seed: of the random inputs.
        threads: of the interpreters.
        tolerance: by how much outputs may differ, in units of their dtype (steps of an int8 output).
        share_of_range: the same as a share of the range of an output: of its integer dtype, or of its float values.
        kernels: the runtimes; none: only the weights are compared.
        input_shapes: of inputs with open sizes, by name; sizes that run are looked for where they are not given.
        default_must_run: whether it is an error that the default interpreter refuses ``against``; if not, nothing is
            compared there.
        not_compared: why there are no ``kernels``, for the report.
        progress: receives stages and notes.

    Returns:
        The report. ``report.passed`` says whether the files are the same in every runtime that runs ``against``.

    Raises:
        FlatbufferError: a file cannot be read.
        ExecutionError: the default interpreter refuses ``against``, or an input takes no numbers.
        InputShapeError: no size of an open input of ``against`` was found that runs.
        SettingsError: a number is out of range, or a shape does not fit.
    """
    if samples < 0 or threads < 1 or not tolerance >= 0:
        raise SettingsError("samples must be 0 or more, threads 1 or more and the tolerance 0 or more.")
    path, reference = Path(file), Path(against)
    progress = progress or Silent()
    with progress.stage("compare weights") as on_step:
        weights = exactness.compare_weights(path, reference, on_step=on_step)
    pair = _Pair(path, reference, threads, tolerance, share_of_range)
    checks: list[report.RuntimeCheck] = []
    inputs: list[probes.Sample] = []
    run_with: dict[str, tuple[int, ...]] = {}
    across: list[report.AcrossRuntimes] = []
    for signature in _signatures(reference) if kernels else []:
        details = shapes.inputs(reference, input_shapes, signature=signature, progress=progress)
        run_with |= {detail.name: detail.shape for detail in details if detail.shape is not None}
        inputs = probes.samples_for(details, samples, seed, file=str(reference))
        expected: dict[litert.Kernels, litert.SeparateOutputs] = {}
        for each in kernels:
            where = f" of signature {signature!r}" if signature else ""
            with progress.stage(f"compare outputs{where}: {litert.NAMES[each]}"):
                try:
                    expected[each] = pair.expected(inputs, each, signature)
                except ExecutionError as error:
                    if each == "default" and default_must_run:
                        raise
                    checks.append(_check_in(each, signature).model_copy(update={"unavailable": str(error)}))
                    continue
                checks.append(pair.check(inputs, expected[each], each, signature))
        if signature is None:
            across += side_by_side.among_litert(reference, inputs, expected, progress)
    return report_of(
        path,
        reference,
        weights,
        checks,
        [failure for check in checks for failure in _failures(check, len(inputs))],
        samples=len(inputs),
        seed=seed,
        tolerance=tolerance,
        input_shapes=run_with,
        across=across,
        not_compared=not_compared,
    )


def report_of(
    file: Path,
    against: Path,
    weights: exactness.WeightComparison,
    checks: list[report.RuntimeCheck],
    failures: list[str],
    *,
    samples: int,
    seed: int,
    tolerance: float = 0.0,
    input_shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    across: Sequence[report.AcrossRuntimes] = (),
    not_compared: str | None = None,
) -> report.VerificationReport:
    """What a comparison found, as a report.

    Args:
        file: the file in question.
        against: the file that says how it must be.
        weights: how their weights compare; each that is missing or differs is a failure.
        checks: how their outputs compare, one for each runtime.
        failures: sentences on the outputs that differ.
        samples: how many inputs were run.
        seed: of the random ones.
        tolerance: in units of the dtype of an output.
        input_shapes: of inputs with open sizes, what they were run with.
        across: how the outputs of ``against`` compare in one runtime beside another.
        not_compared: why outputs were compared in no runtime.
    """
    failures = [
        *(f"weight {name!r} is missing" for name in weights.missing),
        *(f"weight {name!r} differs" for name in weights.different),
        *failures,
    ]
    return report.VerificationReport(
        tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
        file=str(file),
        against=str(against),
        samples=samples,
        seed=seed,
        tolerance=tolerance,
        weights=report.WeightsCheck(
            compared=weights.tensors,
            values=weights.values,
            equal=weights.equal,
            missing=list(weights.missing),
            different=list(weights.different),
        ),
        runtimes=checks,
        across=list(across),
        passed=not failures,
        failures=failures,
        input_shapes=dict(input_shapes),
        not_compared=not_compared,
    )


def _signatures(path: Path) -> list[str | None]:
    """Every signature where there are several; None, the first graph, else."""
    keys = [text(definition.signatureKey) for definition in serde.read(path).signatureDefs or ()]
    return list(keys) if len(keys) > 1 else [None]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two files, and how they are compared."""

    file: Path
    reference: Path
    threads: int
    tolerance: float
    share_of_range: float

    def expected(
        self, inputs: list[probes.Sample], kernels: litert.Kernels, signature: str | None
    ) -> litert.SeparateOutputs:
        """What the reference yields in one runtime.

        Raises:
            ExecutionError: the runtime refuses it.
        """
        return self._run(self.reference, inputs, kernels, signature)

    def check(
        self,
        inputs: list[probes.Sample],
        expected: litert.SeparateOutputs,
        kernels: litert.Kernels,
        signature: str | None,
    ) -> report.RuntimeCheck:
        """Compare the outputs in one runtime with those expected, and find where they part."""
        check = _check_in(kernels, signature)
        try:
            found = self._run(self.file, inputs, kernels, signature)
            exactness.check_count(self.file, found, expected)
        except ExecutionError as error:
            refused = {"outputs_bit_exact": False, "within_tolerance": False, "refused": str(error)}
            return check.model_copy(update=refused)
        differences = exactness.differences(found, expected)
        varies = vary(expected)
        first = None
        if differences or not varies:
            number = min((each.first_sample for each in differences), default=len(inputs) - 1)
            first = self._first_difference(inputs[number], number, kernels, signature, must_exist=bool(differences))
        sizes = [each.largest for each in differences]
        allowed = max(self.tolerance, self.share_of_range * _range(expected))
        if not differences and first is not None and first.tensor is not None:
            sizes = [first.largest_difference]
        return check.model_copy(
            update={
                "outputs_bit_exact": not differences,
                "outputs_vary": varies,
                "within_tolerance": not any(_is_excessive(size, allowed) for size in sizes),
                "differences": [in_report.difference(each) for each in differences],
                "first_difference": first,
            }
        )

    def _run(
        self, path: Path, inputs: list[probes.Sample], kernels: litert.Kernels, signature: str | None
    ) -> litert.SeparateOutputs:
        return litert.run_separately(path, inputs, kernels, signature=signature, threads=self.threads)

    def _first_difference(
        self, sample: probes.Sample, number: int, kernels: litert.Kernels, signature: str | None, *, must_exist: bool
    ) -> report.FirstDifference | None:
        found = localise.first_difference(
            self.file, self.reference, sample, kernels, signature=signature, threads=self.threads
        )
        if found is None:
            if not must_exist:
                return None
            found = localise.FirstDifference(note=_VANISHED)
        return in_report.first(found, number)


def _check_in(kernels: litert.Kernels, signature: str | None) -> report.RuntimeCheck:
    """Of one runtime, with nothing compared yet."""
    return report.RuntimeCheck(
        name=litert.NAMES[kernels],
        gate=kernels in litert.ALL_KERNELS,
        signature=signature,
        outputs_bit_exact=None,
        within_tolerance=None,
    )


def _range(outputs: litert.SeparateOutputs) -> float:
    """The smallest range of an output over all samples."""
    columns = zip(*outputs.rows, strict=True)
    return min(exactness.range_of(np.concatenate([array.reshape(-1) for array in column])) for column in columns)


def vary(outputs: litert.SeparateOutputs) -> bool:
    """Whether any output depends on the sample: of constants, equality says little."""
    return any(
        not exactness.same_bits(a, b) for row in outputs.rows[1:] for a, b in zip(row, outputs.rows[0], strict=True)
    )


def _failures(check: report.RuntimeCheck, samples: int) -> list[str]:
    where = check.where
    if check.refused is not None:
        return [f"{where}: {check.refused}"]
    if check.within_tolerance is not False or not check.gate:
        return []
    sentences = [
        f"{where}: output {each.output!r} ({each.index}) differs on {each.samples} of {samples} samples, by "
        + ("no finite number" if each.largest_difference is None else f"up to {each.largest_difference:g}")
        for each in check.differences
    ]
    return sentences + first_to_differ(check)


def first_to_differ(check: report.RuntimeCheck) -> list[str]:
    """The sentence on where the files part in one runtime, if that is known."""
    first = check.first_difference
    if first is None or first.tensor is None:
        return []
    also = "" if check.differences else "no output differs, but all are the same for every sample; "
    return [f"{check.where}: {also}the first tensor to differ is {first.tensor!r}, of {first.operator}"]


def _is_excessive(difference: float | None, tolerance: float) -> bool:
    """Without a tolerance every differing bit counts, that between 0.0 and -0.0 too."""
    return tolerance == 0 or difference is None or difference > tolerance
