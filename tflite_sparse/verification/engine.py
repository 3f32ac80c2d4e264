"""Compare the weights and outputs of two ``.tflite`` files, written by any converter, and localise differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tflite_sparse.base import child, scratch
from tflite_sparse.base.progress import Progress, Silent
from tflite_sparse.errors import ExecutionError
from tflite_sparse.results.verification import (
    AcrossRuntimes,
    FirstDifference,
    RuntimeCheck,
    VerificationReport,
)
from tflite_sparse.rewrites.dead_channels.cut import Cut
from tflite_sparse.runtime.litert import SeparateOutputs
from tflite_sparse.verification import across, in_report, localise, outputs, predicted, sentences
from tflite_sparse.verification.localise import Localiser
from tflite_sparse.verification.outputs import OutputDifference
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Beside, Form, Runtime, Runtimes, Subject
from tflite_sparse.verification.samples import Samples
from tflite_sparse.verification.weights import compare_weights
from tflite_sparse.version import TOOL

_VANISHED = "the difference vanishes in copies that yield their intermediate tensors, where fewer operators are fused"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Allowed difference of outputs: the larger of both. If both are 0, every bit counts, as between 0.0 and -0.0.

    Attributes:
        steps: in units of the dtype of an output: steps of an integer one.
        share_of_range: share of the range of an output over all samples: of its integer dtype, or of its float values.
    """

    steps: float = 0.0
    share_of_range: float = 0.0

    @property
    def is_none(self) -> bool:
        """Whether every bit counts."""
        return self.steps == self.share_of_range == 0

    def allows(self, difference: float | None, span: float) -> bool:
        """Return whether a difference is within the tolerance.

        Args:
            difference: in units of the dtype; None: not finite, never within.
            span: the range of the output.
        """
        if difference is None or self.is_none:
            return False
        return difference <= max(self.steps, self.share_of_range * span)


EXACT = Tolerance()
"""Every bit counts."""

IN_ANOTHER_ORDER = Tolerance(share_of_range=1e-5)
"""Allowed for float32 without dead channels: its kernels sum in another order for another number of channels."""


def verify(
    file: Path,
    against: Path,
    runtimes: Runtimes,
    samples: Samples,
    *,
    tolerance: Tolerance = EXACT,
    cut: Cut | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Compare the weights of two files bit for bit, then their outputs in every form and signature.

    Args:
        file: the file under test.
        against: the reference.
        runtimes: run the files.
        samples: inputs of both files.
        tolerance: allowed difference of outputs.
        cut: what ``file`` does not have of ``against``; the channels that went as constants are held against what
            ``against`` computes there. None: it has all.
        progress: receives stages and notes.

    Returns:
        The report. ``report.passed`` is whether the files agree in every runtime that runs ``against``.

    Raises:
        FlatbufferError: a file cannot be read.
        ExecutionError: a runtime that must run ``against`` refuses it, or an input takes no numbers.
        InputShapeError: no size of an open input of ``against`` was found that runs.
        SettingsError: a given shape does not fit an input.
    """
    progress = progress or Silent()
    with child.kept(), scratch.folder() as work:
        folders = [work / part for part in ("file", "against", "copies")]
        for folder in folders:
            folder.mkdir()
        subject, reference = runtimes.open(file, folders[0]), runtimes.open(against, folders[1])
        with progress.stage("compare weights") as on_step:
            slices = () if cut is None else cut.slices
            compared = compare_weights(subject.model, reference.model, slices=slices, on_step=on_step)
            weights = in_report.weights(compared)
        if runtimes.unavailable is not None:
            progress.note(f"outputs were not compared: {runtimes.unavailable}")
        checks: list[RuntimeCheck] = []
        beside: list[AcrossRuntimes] = []
        count, shapes = 0, dict[str, tuple[int, ...]]()
        constants = predicted.Check(reference.plain, () if cut is None else cut.predicted, folders[2])
        for signature in runtimes.signatures(reference):
            drawn = samples.draw(runtimes, reference, signature, progress)
            count, shapes = len(drawn.samples), {**shapes, **drawn.shapes}
            activations = () if cut is None else cut.activations
            localiser = Localiser(subject.path, reference.path, folders[2], signature, activations)
            forms, pairs = runtimes.forms(subject), runtimes.beside if signature is None else ()
            reused = _used_repeatedly(forms, pairs)
            graph = _InGraph(subject, reference, signature, drawn.samples, localiser, tolerance, progress, reused)
            checks += map(graph.check, forms)
            beside += filter(None, map(graph.across, pairs))
            if cut is not None:
                with progress.stage("compare constants"):
                    constants.run(forms, drawn.samples, signature)
    failures = [*sentences.failures(weights, checks, beside, count), *constants.wrong]
    return VerificationReport(
        tool=TOOL,
        file=str(file),
        against=str(against),
        samples=count,
        seed=samples.seed,
        tolerance=tolerance.steps,
        allowed_share_of_range=tolerance.share_of_range,
        weights=weights,
        runtimes=checks,
        across=beside,
        constants=None if cut is None else constants.in_report(),
        passed=not failures,
        failures=failures,
        input_shapes=shapes,
        not_compared=runtimes.unavailable,
    )


@dataclass(frozen=True, slots=True)
class _InGraph:
    """Comparison of two files on the samples of one graph.

    Attributes:
        file: the file under test.
        reference: the file to compare it with.
        signature: key of the signature; None: the first graph.
        samples: inputs of both files.
        localiser: finds the first tensor that differs.
        tolerance: allowed difference of outputs.
        progress: receives stages.
        reused: runtimes whose outputs for the reference are used more than once, and so are cached.
        expected: cached outputs of the reference, or the error if it does not run.
    """

    file: Subject
    reference: Subject
    signature: str | None
    samples: Sequence[Sample]
    localiser: Localiser
    tolerance: Tolerance
    progress: Progress
    reused: frozenset[Runtime]
    expected: dict[Runtime, SeparateOutputs | ExecutionError] = field(default_factory=dict)

    def check(self, form: Form) -> RuntimeCheck:
        """Compare the outputs in one form, and localise differences.

        Raises:
            ExecutionError: the form requires that the reference runs, and it does not.
        """
        check = RuntimeCheck(
            name=form.runtime.name,
            gate=form.gate,
            signature=self.signature,
            outputs_bit_exact=None,
            within_tolerance=None,
        )
        where = f" of signature {self.signature!r}" if self.signature else ""
        with self.progress.stage(f"compare outputs{where}: {form.reference.name}"):
            expected = self._expected(form.reference)
            if isinstance(expected, ExecutionError):
                if form.required:
                    raise expected
                return check.model_copy(update={"unavailable": str(expected)})
            try:
                found = form.runtime.run(self.file.path, self.samples, self.signature)
                outputs.check_count(self.file.path, found, expected)
            except ExecutionError as error:
                refused = {"outputs_bit_exact": False, "within_tolerance": False, "refused": str(error)}
                return check.model_copy(update=refused)
            return self._compared(check, form, found, expected)

    def across(self, beside: Beside) -> AcrossRuntimes | None:
        """Compare the reference in one runtime with another.

        Returns:
            The result; None if one of them does not run the reference and the checks report that.
        """
        found = self.expected.get(beside.runtime)
        if not isinstance(found, SeparateOutputs):
            return None
        refused = ""
        for other in beside.others:
            expected = self.expected.get(other) or self._run_plain(other, beside.name)
            if isinstance(expected, ExecutionError):
                refused = str(expected)
                continue
            one, two = across.Yielded(beside.runtime, found), across.Yielded(other, expected)
            return across.compare(self.reference, self.samples, one, two, self.progress, gate=beside.gate)
        if not beside.gate:
            return None
        return AcrossRuntimes(
            runtime=beside.runtime.name, beside=beside.name, gate=True, samples=0, unavailable=refused
        )

    def _expected(self, runtime: Runtime) -> SeparateOutputs | ExecutionError:
        found = self.expected.get(runtime)
        if found is None:
            found = _outputs(runtime, self.reference.path, self.samples, self.signature)
            if runtime in self.reused:
                self.expected[runtime] = found
        return found

    def _run_plain(self, runtime: Runtime, name: str) -> SeparateOutputs | ExecutionError:
        with self.progress.stage(f"compare outputs: {name}"):
            return _outputs(runtime, self.reference.plain, self.samples, None)

    def _compared(
        self, check: RuntimeCheck, form: Form, found: SeparateOutputs, expected: SeparateOutputs
    ) -> RuntimeCheck:
        differing = outputs.differences(found, expected)
        varies = outputs.vary(expected)
        first, within = None, True
        if differing or not varies:
            first = self._first_difference(form, differing)
            spans = outputs.ranges(expected)
            within = all(self.tolerance.allows(each.largest, spans[each.index]) for each in differing)
            if not differing and first is not None and first.tensor is not None:
                within = self.tolerance.allows(first.largest_difference, min(spans))
        return check.model_copy(
            update={
                "outputs_bit_exact": not differing,
                "outputs_vary": varies,
                "distinct_outputs": outputs.distinct(expected),
                "within_tolerance": within,
                "differences": [in_report.difference(each) for each in differing],
                "first_difference": first,
            }
        )

    def _first_difference(self, form: Form, differing: Sequence[OutputDifference]) -> FirstDifference | None:
        """Return the first tensor that differs, on the first sample with different outputs, else on the last one."""
        number = min((each.first_sample for each in differing), default=len(self.samples) - 1)
        found = self.localiser.first_difference(form, self.samples[number])
        if found is None and not differing:
            return None
        return in_report.first(found or localise.FirstDifference(note=_VANISHED), number)


def _used_repeatedly(forms: Sequence[Form], beside: Sequence[Beside]) -> frozenset[Runtime]:
    """Return the runtimes whose outputs for the reference are used by several forms, or compared across runtimes."""
    uses = Counter(form.reference for form in forms)
    uses.update(runtime for each in beside for runtime in (each.runtime, *each.others))
    return frozenset(runtime for runtime, count in uses.items() if count > 1)


def _outputs(
    runtime: Runtime, path: Path, samples: Sequence[Sample], signature: str | None
) -> SeparateOutputs | ExecutionError:
    """Return the outputs of a file, or the error if it does not run."""
    try:
        return runtime.run(path, samples, signature)
    except ExecutionError as error:
        return error
