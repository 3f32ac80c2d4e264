"""The shapes that a file is run with where its inputs leave sizes open: given, or found by trying.

A batch is 1. Of other open sizes the file tells the least only where all its kernels are known (:func:`sizes_to_try`),
so that sizes are tried in LiteRT, in a child process, until one runs: first :data:`UNKNOWN_SIZE`, then what
the kernels of the operators reach over, powers of two, and the sizes of constants. All open sizes of a file get the
same one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tflite_sparse.base import child
from tflite_sparse.base.progress import Progress, Silent, Step, ignore_steps
from tflite_sparse.errors import ExecutionError, InputShapeError, SettingsError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, custom_operators, graphs, indices, shape_of, signature_of, text
from tflite_sparse.flatbuffer.signature import names_of
from tflite_sparse.flatbuffer.types import ConvolutionOptions, Model, Operator, Pool2DOptions
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.inputs_and_outputs import UNKNOWN_SIZE, InputDetails

Shapes = Mapping[str, Sequence[int]]
"""Whole shapes, batch included, by the name that a signature gives an input or by that of its tensor."""

Shape = tuple[int, ...]

_KERNELS: tuple[litert.Kernels, ...] = ("default", "builtin")
"""A size that runs in any of these is no reason why another refuses the file."""

_LARGEST_SIZE = 2**17
_MOST_SIZES_OF_CONSTANTS = 64
_MOST_CHARACTERS = 300
_MOST_ELEMENTS = 2**20
"""Of one input with a size that is only tried: memory for what the model makes of it must suffice everywhere."""


def inputs(
    path: Path,
    given: Shapes | None = None,
    *,
    signature: str | None = None,
    model: Model | None = None,
    progress: Progress | None = None,
) -> tuple[InputDetails, ...]:
    """The inputs of a file as :func:`tflite_sparse.runtime.litert.inputs` describes them, with a shape to run it with.

    Args:
        path: the ``.tflite`` file.
        given: shapes that are taken as they are.
        signature: whose inputs; None: the first graph's.
        model: the contents of the file; None: they are read.
        progress: receives the stage in which sizes are tried; there is none where no size is open.

    Raises:
        FlatbufferError: the file cannot be read.
        SettingsError: a given shape names no input of the file, or does not fit one.
        InputShapeError: no size was found that runs.
        ExecutionError: LiteRT refuses the file, whatever the size.
    """
    check(path, given)
    details = _with_given(path, litert.inputs(path, signature, model=model), given or {}, signature)
    if not any(map(_is_open, details)) or any(detail.dtype.kind not in "biuf" for detail in details):
        return details
    sizes = sizes_to_try(path, details)
    candidates = [[_shape_of(detail, size) for detail in details] for size in sizes]
    found = _first_that_runs(path, candidates, signature, progress or Silent())
    if isinstance(found, str):
        customs = custom_operators(serde.read(path))
        if customs:
            raise ExecutionError(f"{litert.NAMES['default']} refuses {path}, with {_listed(customs)}: {found}")
        raise _not_found(path, details, sizes, found, signature)
    return tuple(dataclasses.replace(detail, shape=shape) for detail, shape in zip(details, found, strict=True))


def needed(path: Path, given: Shapes | None = None, *, progress: Progress | None = None) -> tuple[Shape, ...] | None:
    """The shapes of a file's inputs where they have to be told: one is open, but for the batch, or given. Else None.

    Raises:
        FlatbufferError, SettingsError, InputShapeError, ExecutionError: as :func:`inputs`.
    """
    graph = next(graphs(serde.read(path)))
    signatures = [signature_of(graph.tensor(index)) for index in indices(graph.subgraph.inputs)]
    check(path, given)
    if not given and not any(size < 0 for signature in signatures for size in signature[1:]):
        return None
    return tuple(detail.example_shape for detail in inputs(path, given, progress=progress))


def check(path: Path, given: Shapes | None) -> None:
    """Refuse shapes that name no input of a file.

    Raises:
        FlatbufferError: the file cannot be read.
        SettingsError: one does.
    """
    if not given:
        return
    model = serde.read(path)
    graph = model.subgraphs[0]
    known = [text(entry.name) for signature in model.signatureDefs or () for entry in signature.inputs or ()]
    known += [text(graph.tensors[index].name) for index in indices(graph.inputs)]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise SettingsError(
            f"{path} has no input {unknown[0]!r} to give a shape to; it has {_listed(dict.fromkeys(known))}."
        )


def sizes_to_try(path: Path, details: Sequence[InputDetails]) -> list[int]:
    """Sizes for the open dimensions of a file, in the order in which they are tried, each once.

    Beyond the first, only such that no input gets more than 2^20 elements.
    """
    known = list(graphs(serde.read(path)))
    reached = [size for size in map(reach, known) if UNKNOWN_SIZE < size <= _LARGEST_SIZE]
    powers = [2**exponent for exponent in range(_LARGEST_SIZE.bit_length())]
    larger = [size for size in powers if size > UNKNOWN_SIZE]
    smaller = [size for size in reversed(powers) if size < UNKNOWN_SIZE]
    rest = [*reached, *larger, *smaller, *_sizes_of_constants(known)]
    allowed = [size for size in rest if all(math.prod(_shape_of(each, size)) <= _MOST_ELEMENTS for each in details)]
    return list(dict.fromkeys([UNKNOWN_SIZE, *allowed]))


def reach(graph: Graph) -> int:
    """How many places along height or width the kernels of a graph's operators reach over, if they stand in a line.

    ``1 + sum((reach of the kernel - 1) * product of the strides before)``: with as many, every operator has one output.
    """
    reached, steps = [1, 1], [1, 1]
    for operator in graph.operators:
        for axis, (kernel, stride) in enumerate(_window(graph, operator)):
            reached[axis] += max(kernel - 1, 0) * steps[axis]
            steps[axis] = min(steps[axis] * max(stride, 1), _LARGEST_SIZE)
    return min(max(reached), _LARGEST_SIZE + 1)


def first_that_runs_here(
    path: str,
    kernels: litert.Kernels,
    signature: str | None,
    candidates: Sequence[Sequence[Shape]],
    on_step: Step = ignore_steps,
) -> tuple[int | None, str]:
    """The number of the first candidate, shapes of all inputs, that runs on zeros here; else the last reason."""
    reason = ""
    for number, shapes in enumerate(candidates):
        on_step(number, len(candidates))
        session = litert.Session(path, kernels, 1, signature)  # one that refused a shape may refuse all
        try:
            session.feed([np.zeros(shape, detail.dtype) for shape, detail in zip(shapes, session.inputs, strict=True)])
            session.invoke()
        except (RuntimeError, ValueError, MemoryError) as error:
            reason = one_line(error)
        else:
            return number, ""
    return None, reason


def _first_that_runs(
    path: Path, candidates: Sequence[Sequence[Shape]], signature: str | None, progress: Progress
) -> Sequence[Shape] | str:
    """The first candidate that runs in the default interpreter, else with built-in kernels; else the last reason."""
    reason = ""
    with progress.stage("find input sizes") as on_step:
        for kernels in _KERNELS:
            number, why = _try(path, kernels, candidates, signature, on_step)
            if number is not None:
                return candidates[number]
            reason = reason or why
    return reason


def _try(
    path: Path, kernels: litert.Kernels, candidates: Sequence[Sequence[Shape]], signature: str | None, on_step: Step
) -> tuple[int | None, str]:
    """:func:`first_that_runs_here` in a child; a candidate that kills the child is passed over."""
    start, reason = 0, ""
    while start < len(candidates):
        begun = start

        def follow(done: int, total: int, first: int = start) -> None:
            nonlocal begun
            begun = first + done
            on_step(first + done, first + total)

        try:
            number, reason = child.call(
                f"{__name__}:first_that_runs_here",
                path=str(path),
                kernels=kernels,
                signature=signature,
                candidates=candidates[start:],
                on_step=follow,
            )
            return (None if number is None else start + number), reason
        except child.ChildDiedError as death:
            start, reason = begun + 1, f"it {death.how}"
        except RuntimeError as error:
            return None, one_line(error)
    return None, reason


def _with_given(
    path: Path, details: Sequence[InputDetails], given: Shapes, signature: str | None
) -> tuple[InputDetails, ...]:
    """The details with the shapes that are given for them."""
    if not given:
        return tuple(details)
    found = []
    for name, detail in zip(_names(path, details, signature), details, strict=True):
        shape = next((tuple(given[each]) for each in (name, detail.name) if each in given), None)
        if shape is not None:
            _check_fits(path, detail, shape)
        found.append(dataclasses.replace(detail, shape=shape))
    return tuple(found)


def _names(path: Path, details: Sequence[InputDetails], signature: str | None) -> Sequence[str]:
    """What a signature calls the inputs; LiteRT names those of a graph by their tensors."""
    return [detail.name for detail in details] if signature is not None else names_of(path).inputs


def _check_fits(path: Path, detail: InputDetails, shape: Shape) -> None:
    fits = len(shape) == len(detail.signature) and all(
        size >= 1 and size == (size if free < 0 else free) for size, free in zip(shape, detail.signature, strict=True)
    )
    if not fits:
        raise SettingsError(
            f"{path}: input {detail.name!r} takes shapes ({in_words(detail.signature)}), not ({in_words(shape)})."
        )


def _is_open(detail: InputDetails) -> bool:
    return detail.shape is None and any(size < 0 for size in detail.signature[1:])


def _shape_of(detail: InputDetails, size: int) -> Shape:
    if detail.shape is not None:
        return detail.shape
    batch, rest = detail.signature[:1], detail.signature[1:]
    return tuple(max(each, 1) for each in batch) + tuple(each if each >= 0 else size for each in rest)


def _sizes_of_constants(known: Sequence[Graph]) -> list[int]:
    """The sizes that constants have, such as a table with a row for each position: each once, the first ones."""
    shapes = (
        shape_of(tensor)
        for graph in known
        for index, tensor in enumerate(graph.subgraph.tensors)
        if graph.is_constant(index)
    )
    sizes = dict.fromkeys(size for shape in shapes for size in shape if 1 < size <= _LARGEST_SIZE)
    return list(sizes)[:_MOST_SIZES_OF_CONSTANTS]


def _window(graph: Graph, operator: Operator) -> list[tuple[int, int]]:
    """Reach of the kernel and stride along height and width, of an operator that has them."""
    name = graph.operator_name(operator)
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D") and len(shape_of(graph.tensor(int(operator.inputs[1])))) == 4:
        options: ConvolutionOptions = operator.builtinOptions
        _, height, width, _ = shape_of(graph.tensor(int(operator.inputs[1])))
        return [
            ((height - 1) * max(options.dilationHFactor, 1) + 1, options.strideH),
            ((width - 1) * max(options.dilationWFactor, 1) + 1, options.strideW),
        ]
    if name in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D") and operator.builtinOptions is not None:
        pool: Pool2DOptions = operator.builtinOptions
        return [(pool.filterHeight, pool.strideH), (pool.filterWidth, pool.strideW)]
    return []


def _not_found(
    path: Path, details: Sequence[InputDetails], sizes: Sequence[int], reason: str, signature: str | None
) -> InputShapeError:
    name, detail = next(
        each for each in zip(_names(path, details, signature), details, strict=True) if _is_open(each[1])
    )
    example = ", ".join(
        str(size) if size >= 0 else "N" if place else "1" for place, size in enumerate(detail.signature)
    )
    problem = (
        f"{path}: no size of its input {name!r} ({in_words(detail.signature)}) was found that runs, of {len(sizes)} "
        f"from {min(sizes):,} to {max(sizes):,} ({reason.rstrip('.')})."
    )
    return InputShapeError(problem, f"Give one: `input_shapes={{{name!r}: ({example})}}`.")


def _listed(names: Iterable[str]) -> str:
    """Names of a file for one line of an error, escaped."""
    return ", ".join(map(repr, names))[:_MOST_CHARACTERS]


def in_words(shape: Sequence[int]) -> str:
    """A shape for people: ``"1, ?, 40"``."""
    return ", ".join("?" if size < 0 else str(size) for size in shape)
