"""Sizes of files for microcontrollers whose weights share values, and the bits that a kept weight takes in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import contenders
import tflite_sparse
from models import ModelRecipe
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, shape_of, text
from tflite_sparse.measurement import size
from tflite_sparse.planning import decoder, sharing
from tflite_sparse.rewrites import shared_values
from tflite_sparse.targets import micro_costs, operator_costs

CPU: MicroCpu = "cortex-m4"
COLUMNS = ("DECODE (bytes)", "sparse kernels (bytes)", "generated C (bytes of flash)", "gzip of dense int8")
ABOUT = (
    f"Files of `--target micro`, with `--micro-kernels tflm` and `sparse`, and the linked code and constants of "
    f"`--target c`, both of these with `--micro-cpu {CPU}`."
)

_CALIBRATION_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """Pruned weights in a file with sparse kernels: ``kept`` of them are not 0, ``nbytes`` is what they take."""

    name: str
    kept: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of what a dense int8 file becomes."""

    decode_bytes: int
    sparse_bytes: int
    flash_bytes: int
    gzip_bytes: int
    weights: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Untrained:
    """A network with random weights: sizes of its dense files, and by number of shared values, or all."""

    recipe: ModelRecipe
    float_bytes: int
    int8_bytes: int
    files: dict[int | None, Sizes]


def of(file: Path) -> Sizes:
    """Encode a dense int8 file in every form; the files lie beside it."""
    decode, sparse, in_c = (file.with_name(f"{file.stem}-{form}.tflite") for form in ("tflm", "sparse", "c"))
    tflite_sparse.encode(file, decode, target="micro")
    tflite_sparse.encode(file, sparse, target="micro", micro_kernels="sparse", micro_cpu=CPU)
    part = tflite_sparse.encode(file, in_c, target="c", micro_cpu=CPU).target_part
    assert part is not None  # of this target
    return Sizes(
        decode.stat().st_size,
        sparse.stat().st_size,
        int(part.numbers["flash_bytes"]),
        size.measure(file).gzip_bytes,
        _stored(file, sparse),
    )


def untrained(recipe: ModelRecipe, counts: Sequence[int | None], folder: Path) -> Untrained:
    """Measure a network as it is made; the files lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    source = recipe.make()
    float32 = contenders.convert_float32(source, folder).path
    int8 = contenders.convert_int8(source, recipe.samples(source, _CALIBRATION_SAMPLES), folder).path
    found = {}
    for count in counts:
        file = int8
        if count is not None:
            file = folder / f"int8-{count}.tflite"
            sharing.write(int8, file, count)
        found[count] = of(file)
    return Untrained(recipe, float32.stat().st_size, int8.stat().st_size, found)


def cells(sizes: Sequence[Sizes]) -> list[str]:
    """Means in the order of :data:`COLUMNS`."""
    every = [(each.decode_bytes, each.sparse_bytes, each.flash_bytes, each.gzip_bytes) for each in sizes]
    return [f"{mean:,.0f}" for mean in np.mean(every, 0)]


def sparse_bytes(sizes: Sequence[Sizes]) -> float:
    """The mean of the files with sparse kernels."""
    return float(np.mean([each.sparse_bytes for each in sizes]))


def bits_table(files: Mapping[int | None, Sequence[Sizes]]) -> list[str]:
    """Lines of Markdown: bits that a kept weight takes, by tensor and of all together, over all seeds.

    Args:
        files: by number of shared values, sizes of one or more seeds.
    """
    unshared = next(iter(files.values()))
    names = [each.name for each in unshared[0].weights]
    lines = [
        "Bits that a kept weight takes with sparse kernels, its distance included:",
        "",
        f"| weights | kept | {' | '.join(str(count or 'all') for count in files)} |",
        f"| --- |{' ---: |' * (1 + len(files))}",
    ]
    for name, places in [*((name, (place,)) for place, name in enumerate(names)), ("together", range(len(names)))]:
        chosen = [[each.weights[place] for each in sizes for place in places] for sizes in files.values()]
        bits = [8 * sum(each.nbytes for each in some) / sum(each.kept for each in some) for some in chosen]
        kept = sum(each.kept for each in chosen[0]) / len(unshared)
        lines.append(f"| {name} | {kept:,.0f} | {' | '.join(f'{each:.2f}' for each in bits)} |")
    return lines


def _stored(dense: Path, sparse: Path) -> tuple[Stored, ...]:
    """Those of the dense file that can share values, in the order of their operators; dead channels are gone."""
    shapes = {
        text(graph.tensor(index).name): shape_of(graph.tensor(index))
        for graph, index in shared_values.shareable(serde.read(dense))
    }
    decoded = serde.read(sparse)
    decoder.decode_model(decoded)
    kept = {
        text(graph.tensor(index).name): int(np.count_nonzero(values))
        for graph in graphs(decoded)
        for index in graph.uses()
        if (values := graph.constant(index)) is not None
    }
    return tuple(
        Stored(f"{each.operator} {'x'.join(map(str, shapes[each.name]))}", kept[each.name], each.stored_bytes)
        for each in operator_costs.of(serde.read(sparse), micro_costs.of(CPU)).operators
        if each.name in shapes
    )
