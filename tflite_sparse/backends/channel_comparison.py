"""Compare a dense file with itself without its dead channels, and find the channels that a failure is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.backends.registry import backend
from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer.graph import Graph, indices, shape_of
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.results.verification import RuntimeCheck, VerificationReport
from tflite_sparse.rewrites.dead_channels.cut import Cut, Staying
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.verification import before_classes, engine
from tflite_sparse.verification.engine import EXACT, IN_ANOTHER_ORDER
from tflite_sparse.verification.observation import graph_of
from tflite_sparse.verification.samples import Samples

MOST_ATTEMPTS = 4
"""Cuts of one file that are compared: each comparison runs the file in every runtime."""

_WITHOUT, _WITH = "the file without dead channels", "the dense file"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares a dense file with itself without dead channels, in the runtimes of a target.

    Attributes:
        target: its name.
        samples: inputs.
        input_shapes: of inputs with open sizes, by name.
        folder: for temporary files.
        progress: receives stages.
    """

    target: str
    samples: Samples
    input_shapes: Shapes | None
    folder: Path
    progress: Progress

    def run(self, whole: Path, trimmed: Path, cut: Cut) -> VerificationReport:
        """Compare both files, with what stands in front of a final softmax as further outputs.

        Args:
            whole: the dense file.
            trimmed: the same without the channels of ``cut``.
            cut: what was removed.

        Raises:
            ExecutionError: a runtime that must run the dense file refuses it.
        """
        runtimes = backend(self.target).removal_runtimes(self.input_shapes)
        tolerance = EXACT if cut.is_exact else IN_ANOTHER_ORDER
        with scratch.folder(self.folder) as work:
            one, two = work / "without.tflite", work / "with.tflite"
            before_classes.write(trimmed, one)
            before_classes.write(whole, two)
            try:
                found = engine.verify(
                    one, two, runtimes, self.samples, tolerance=tolerance, cut=cut, progress=self.progress
                )
            except ExecutionError as error:
                raise error.renamed(one, _WITHOUT).renamed(two, _WITH) from error
            content = found.model_dump_json()
            for path, words in ((one, _WITHOUT), (two, _WITH)):
                content = content.replace(json.dumps(str(path))[1:-1], words)
        return VerificationReport.model_validate_json(content).model_copy(update={"file": _WITHOUT, "against": _WITH})


def refusal(found: VerificationReport, cut: Cut) -> str | None:
    """Return why a comparison does not prove that nothing changed; None if it does."""
    if found.failures:
        return "; ".join(failure.rstrip(".") for failure in found.failures)
    checks = [check for check in found.runtimes if check.outputs_bit_exact is not None]
    if not checks:
        return "no runtime here runs the file"
    apart = [check.where for check in checks if not check.outputs_bit_exact]
    if apart and cut.is_exact:
        return f"outputs are not equal bit for bit in {', '.join(apart)}"
    for signature in dict.fromkeys(check.signature for check in checks):
        if not any(check.outputs_vary for check in checks if check.signature == signature):
            of = "" if signature is None else f" of signature {signature!r}"
            return f"the outputs{of} are the same on all {found.samples} samples, so that their equality proves nothing"
    if cut.predicted and (found.constants is None or not found.constants.compared):
        return "no runtime here yields the constants of the channels"
    return None


def concerned(found: VerificationReport, whole: Model, cut: Cut) -> Staying:
    """Return the channels that a failed comparison is about; none if it names no tensor.

    These are the channels with another value than was worked out. If all values hold, outputs differ from some operator
    on: these are the constants that it reads, which it took as another sum; if it reads none, all of its channels.

    Args:
        found: the comparison.
        whole: the model with all channels.
        cut: what was removed of it.
    """
    if found.constants is not None and found.constants.apart:
        return {(each.graph, each.tensor): np.array(each.channels) for each in found.constants.apart}
    constants: Staying = {(each.graph, each.tensor): each.channels for each in cut.predicted}
    staying: Staying = {}
    for check in found.runtimes:
        if _is_apart(check, cut):
            graph = graph_of(whole, check.signature)
            touched = list(_of_first_difference(graph, check))
            folded = {key: constants[key] for key in touched[:-1] if key in constants}
            staying = joined(staying, folded or {key: np.arange(shape_of(graph.tensor(key[1]))[-1]) for key in touched})
    return staying


def joined(one: Staying, two: Staying) -> Staying:
    """Return the channels of both."""
    both = dict(one)
    for key, channels in two.items():
        both[key] = np.union1d(both[key], channels) if key in both else channels
    return both


def _is_apart(check: RuntimeCheck, cut: Cut) -> bool:
    return check.outputs_bit_exact is False and (cut.is_exact or not check.within_tolerance)


def _of_first_difference(graph: Graph, check: RuntimeCheck) -> Iterator[tuple[int, int]]:
    """Yield the activations that the operator reads whose result differs first, then that result."""
    first = check.first_difference
    if first is None or first.index is None:
        return
    for index in (*indices(graph.producers()[first.index].inputs), first.index):
        if index >= 0 and not graph.is_constant(index) and shape_of(graph.tensor(index)):
            yield graph.number, index
