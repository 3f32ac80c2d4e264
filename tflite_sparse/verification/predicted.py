"""Hold the constants that an analysis predicted for channels against what a file computes there.

A copy of the file yields the activations with such channels as further outputs. A kept tensor can prevent a runtime
from fusing the operators around it; outputs are compared without the copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import text
from tflite_sparse.results.verification import ConstantsCheck, WrongConstants
from tflite_sparse.rewrites.dead_channels.cut import Predicted
from tflite_sparse.verification.observation import Kept, graph_of, keep
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Form


@dataclass(slots=True)
class Check:
    """The comparison of one file's constants, graph by graph.

    Attributes:
        path: the file, with all its channels.
        predicted: its constant channels.
        folder: for copies.
        runtimes: names of those that were asked so far.
        wrong: a sentence for each tensor and runtime with another value, or that could not be asked.
        apart: the channels with another value in some runtime, by (graph, tensor).
        channels: how many were compared so far, by (graph, tensor).
    """

    path: Path
    predicted: Sequence[Predicted]
    folder: Path
    runtimes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    apart: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    channels: dict[tuple[int, int], int] = field(default_factory=dict)

    def run(self, forms: Sequence[Form], samples: Sequence[Sample], signature: str | None) -> None:
        """Compare the constants of a signature's graph in each runtime of ``forms``, on the first and last sample.

        Args:
            forms: their references run the file; a runtime that does not run it is left out.
            samples: inputs of the file.
            signature: key of the signature; None: the first graph.
        """
        model = serde.read(self.path)
        graph = graph_of(model, signature)
        number = graph.number
        wanted = {each.tensor: each for each in self.predicted if each.graph == number}
        if not wanted or not samples:
            return
        names = {tensor: text(graph.tensor(tensor).name) for tensor in wanted}
        kept = keep(self.path, model, graph, wanted, self.folder / "constants.tflite", signature)
        for form in dict.fromkeys(forms):
            try:
                found = [_wrong(form, kept, sample, wanted) for sample in (samples[0], samples[-1])]
            except ExecutionError as error:
                if form.required:
                    self.wrong.append(f"{form.reference.name}: the constants of channels were not compared: {error}")
                continue
            for tensor in sorted({tensor for each in found for tensor in each}):
                apart = sorted({channel for each in found for channel in each.get(tensor, ())})
                self.apart.setdefault((number, tensor), set()).update(apart)
                self.wrong.append(
                    f"{form.reference.name}: {len(apart)} channels of {names[tensor]!r} are not the constants that "
                    f"were worked out, the first is channel {apart[0]}"
                )
            self.runtimes += [form.reference.name] if form.reference.name not in self.runtimes else []
            self.channels |= {(number, tensor): len(each.channels) for tensor, each in wanted.items()}

    def in_report(self) -> ConstantsCheck:
        """Return the entry of the report."""
        return ConstantsCheck(
            compared=sum(self.channels.values()),
            runtimes=self.runtimes,
            wrong=self.wrong,
            apart=[
                WrongConstants(graph=graph, tensor=tensor, channels=sorted(channels))
                for (graph, tensor), channels in self.apart.items()
            ],
        )


def _wrong(form: Form, kept: Kept, sample: Sample, wanted: dict[int, Predicted]) -> dict[int, list[int]]:
    """Return the channels that have another value than was worked out, by tensor."""
    values = form.reference.tensors(kept, sample)
    wrong = {}
    for tensor, each in wanted.items():
        found = values[tensor][..., each.channels]
        apart = each.channels[(found != each.values).reshape(-1, len(each.channels)).any(axis=0)]
        if apart.size:
            wrong[tensor] = apart.tolist()
    return wrong
