"""Choose forms by their time on this machine: native, DENSIFY or dense, operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.extract import one_operator_model
from tflite_sparse.flatbuffer.graph import Graph, Use, graphs
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.measurement import latency
from tflite_sparse.planning import planner
from tflite_sparse.targets import litert
from tflite_sparse.targets.form import Answer, Form, Offer

NOISE = 0.05
"""Forms whose times are within this share of the fastest count as equally fast; the smallest of them is taken."""

ALLOWED_SHARE_OF_RANGE = 0.02
"""Allowed difference of outputs with native kernels, as a share of their range: these round differently, by one int8
unit on about one output in two thousand (2.3.0), and later layers propagate that."""

_ROUNDS = 15


def target_for(optimize: str) -> planner.Target:
    """Return the target for LiteRT, for the smallest file (``"size"``) or the fastest one (``"latency"``)."""
    return Fastest(litert.answer_with_native) if optimize == "latency" else litert.answer


def allowed_difference(choices: Sequence[planner.Choice]) -> float:
    """Return the share of their range by which outputs may differ after these choices: 0 if every form is exact."""
    exact = all(choice.form is None or choice.form.exact for choice in choices)
    return 0.0 if exact else ALLOWED_SHARE_OF_RANGE


@dataclass(frozen=True, slots=True)
class _Timed:
    """A form with replaced words."""

    form: Form
    words: str

    @property
    def exact(self) -> bool:
        return self.form.exact

    def offer(self, values: np.ndarray) -> Offer | None:
        return self.form.offer(values)


@dataclass(frozen=True, slots=True)
class Fastest:
    """A target that offers, for each constant, only the forms in which its first reader runs fastest.

    Every form of ``target`` is timed as a model of one operator, interleaved with the dense one, in LiteRT's default
    interpreter. All equally fast forms are offered, none if dense is faster.

    Attributes:
        target: offers the forms to choose from.
        threads: of the interpreter.
    """

    target: planner.Target
    threads: int = 1

    def __call__(self, graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
        """Return the fastest forms of a constant.

        Raises:
            ExecutionError: the runtime refuses a model of one operator.
        """
        answer = self.target(graph, tensor_index, uses)
        if not answer.forms:
            return answer
        with scratch.folder() as folder:
            dense, *times = self._measure(graph, uses, answer.forms, folder)
        fastest = min(dense, *times)
        forms = tuple(
            _Timed(form, f"{form.words or 'DENSIFY'}, {time:.3g} ms (dense {dense:.3g} ms)")
            for form, time in zip(answer.forms, times, strict=True)
            if time <= fastest * (1 + NOISE)
        )
        if forms:
            return Answer(forms)
        return Answer((), f"dense it runs in {dense:.3g} ms, sparse in {min(times):.3g} ms")

    def _measure(self, graph: Graph, uses: Sequence[Use], forms: Sequence[Form], folder: Path) -> list[float]:
        """Return the median milliseconds of the dense operator, then of each form."""
        position = uses[0].position
        paths = [folder / "dense.tflite"]
        serde.write(one_operator_model(graph, uses[0].operator), paths[0])
        for number in range(len(forms)):
            alone = one_operator_model(graph, uses[0].operator)
            self._apply(alone, position, number)
            paths.append(folder / f"{number}.tflite")
            serde.write(alone, paths[-1])
        timings = latency.interleaved(paths, threads=self.threads, rounds=_ROUNDS)
        dense = float(np.median(timings[0]))
        return [dense * latency.median_ratio(timing, timings[0]) for timing in timings]

    def _apply(self, model: Model, position: int, number: int) -> None:
        """Store the constant of the one operator of ``model`` in the form with this index."""
        graph = next(graphs(model))
        index = int(graph.operators[0].inputs[position])
        form = self.target(graph, index, graph.uses()[index]).forms[number]
        values = graph.constant(index)
        assert values is not None
        offer = form.offer(values)
        if offer is not None:
            offer.apply()
