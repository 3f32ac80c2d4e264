"""Compare every tensor inside a quantised file with the float32 file's, and find where errors arise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, dtype_of, indices, text
from tflite_sparse.results import layers
from tflite_sparse.verification.observation import (
    Observer,
    Origins,
    activations,
    counterparts,
    graph_of,
    in_child,
    write_yielding,
)

FINEST_SNR_DB = 20 * math.log10(2**8)
"""48 dB, the SNR of 8 bits with values spread evenly over their range; an int8 tensor cannot exceed it."""

INPUT = "input"
"""Operator name of a tensor that is an input of the graph."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """One tensor of a quantised file compared with its counterpart in the float32 file, over all samples.

    Attributes:
        name: of the tensor in the float32 file.
        operator: that yields it there; :data:`INPUT` for an input of the graph.
        snr_db: energy of the float32 values over energy of the difference, ``10 log10(sum x^2 / sum (x - y)^2)``; None
            if there is no difference. It includes the error of earlier operators.
        lost_db: by how much it is below the least SNR of the operator's inputs, capped at :data:`FINEST_SNR_DB`: the
            loss by this operator's weights or the range of its output.
        cosine: similarity of the two, 1 if they have the same direction.
        largest_difference: in units of the float32 values.
        share_of_range: the same divided by the range of the float32 values.
    """

    name: str
    operator: str
    snr_db: float | None
    lost_db: float
    cosine: float
    largest_difference: float
    share_of_range: float


@dataclass(frozen=True, slots=True)
class LayerErrors:
    """All tensors that could be compared.

    Attributes:
        layers: in execution order.
        tensors: number of real-valued inputs and activations of the float32 file.
    """

    layers: tuple[LayerError, ...]
    tensors: int


def measure(
    reference: Path, quantised: Path, samples: Sequence[np.ndarray], *, on_step: Step = ignore_steps
) -> LayerErrors:
    """Run both files on the same samples and compare their tensors.

    Memory holds one sample at a time, with all its activations in both files. Tensors that are zero on all samples, or
    infinite or NaN on one, have no SNR and are left out.

    Args:
        reference: the float32 file, whose weights those of the other file were quantised from.
        quantised: the file of the same model with int8 weights.
        samples: one array for each input, in the order of the files, ``(n, ...)``: real values.
        on_step: receives (samples done, all samples).

    Raises:
        ExecutionError: LiteRT refuses a copy that yields its intermediate tensors.
        FlatbufferError: a file cannot be read.
    """
    graph, other = graph_of(serde.read(reference)), graph_of(serde.read(quantised))
    pairs = counterparts(graph, other)
    with scratch.folder() as folder:
        copies = folder / "reference.tflite", folder / "quantised.tflite"
        given = set(indices(graph.subgraph.inputs))
        write_yielding(graph.model, graph, [index for index in pairs if index not in given], copies[0])
        inner = dict.fromkeys(pairs[index] for index in pairs if index not in given)
        write_yielding(other.model, other, inner, copies[1])
        sums: dict[int, Sums] = in_child(
            f"{__name__}:measure_here",
            on_step=on_step,
            reference=str(copies[0]),
            quantised=str(copies[1]),
            pairs=pairs,
            samples=samples,
        )
    graph = graph_of(serde.read(reference))  # without the added outputs
    wanted = [index for index in [*indices(graph.subgraph.inputs), *activations(graph)] if _is_float(graph, index)]
    return LayerErrors(tuple(_in_order(graph, wanted, sums)), len(wanted))


def measure_here(
    reference: str,
    quantised: str,
    pairs: Mapping[int, int],
    samples: Sequence[np.ndarray],
    on_step: Step = ignore_steps,
) -> dict[int, Sums]:
    """Compute the sums of :func:`measure`, by tensor of the reference, in this process."""
    files = Observer(reference), Observer(quantised)
    sums = {index: Sums() for index in pairs}
    count = len(samples[0])
    for row in range(count):
        sample = [array[row : row + 1] for array in samples]
        expected, found = (file.values(sample) for file in files)
        for index, partner in pairs.items():
            sums[index].add(expected[index], found[partner])
        on_step(row + 1, count)
    return sums


@dataclass(slots=True)
class Sums:
    """Sums from which :class:`LayerError` is computed, accumulated sample by sample in float64."""

    signal: float = 0.0
    found: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    largest: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, expected: np.ndarray, found: np.ndarray) -> None:
        """Add the values of a tensor for one sample, in the float32 file and in the other."""
        if expected.shape != found.shape or expected.size == 0:
            return
        x, y = (array.astype(np.float64).reshape(-1) for array in (expected, found))
        difference = x - y
        self.signal += _product(x, x)
        self.found += _product(y, y)
        self.noise += _product(difference, difference)
        self.product += _product(x, y)
        self.largest = max(self.largest, float(np.abs(difference).max()))
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    @property
    def is_measurable(self) -> bool:
        """Whether the signal is not zero, and finite."""
        return self.signal > 0 and math.isfinite(self.signal + self.found)

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio; infinite if there is no difference."""
        return 10 * math.log10(self.signal / self.noise) if self.noise else math.inf

    @property
    def cosine(self) -> float:
        """Cosine similarity; 0 if the other file holds only zeros."""
        return self.product / math.sqrt(self.signal * self.found) if self.found else 0.0

    @property
    def range(self) -> float:
        """Range of the float32 values; their magnitude if all are equal."""
        return self.high - self.low or abs(self.high)


def _product(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.einsum("i,i->", a, b))  # without BLAS, whose threads wait for each other on a busy machine


def _in_order(graph: Graph, wanted: Sequence[int], sums: Mapping[int, Sums]) -> Iterator[LayerError]:
    origins, producers = Origins(graph), graph.producers()
    reached: dict[int, float] = {}  # least SNR on the path to an activation without an SNR
    for index in wanted:
        operator = producers.get(index)
        read = () if operator is None else origins.read_by(operator)
        given = min((reached.get(each, math.inf) for each in read if each is not None), default=math.inf)
        if index not in sums or not sums[index].is_measurable:
            reached[index] = given
            continue
        found = sums[index]
        reached[index] = found.snr_db
        yield LayerError(
            name=text(graph.tensor(index).name),
            operator=INPUT if operator is None else graph.operator_name(operator),
            snr_db=found.snr_db if math.isfinite(found.snr_db) else None,
            lost_db=min(given, FINEST_SNR_DB) - min(found.snr_db, FINEST_SNR_DB),
            cosine=found.cosine,
            largest_difference=found.largest,
            share_of_range=found.largest / found.range,
        )


def _is_float(graph: Graph, index: int) -> bool:
    return dtype_of(graph.tensor(index)) == np.float32


def in_report(found: Iterable[LayerError], layer_of: Callable[[str], str]) -> list[layers.LayerError]:
    """Return the report's entries, in the same order.

    Args:
        found: the tensors.
        layer_of: returns the layer of a tensor by its name, as the Keras model calls it; empty if it is not known.
    """
    return [layers.LayerError(layer=layer_of(each.name), **dataclasses.asdict(each)) for each in found]
