"""Find shapes with which a file runs if its inputs have open sizes: given ones, or ones found by trial.

An open batch is 1. For other open sizes, LiteRT tries sizes in a child process until one runs: first
:data:`UNKNOWN_SIZE`, then the receptive field of the operators, powers of two, and the sizes of constants
(:func:`sizes_to_try`). All open sizes of a file get the same value.
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
"""Whole shapes, batch included, by the input's name in a signature or the name of its tensor."""

Shape = tuple[int, ...]

_KERNELS: tuple[litert.Kernels, ...] = ("default", "builtin")
"""A size is accepted if it runs in one of these; if another refuses the file, the size is not the reason."""

_LARGEST_SIZE = 2**17
_MOST_SIZES_OF_CONSTANTS = 64
_MOST_CHARACTERS = 300
_MOST_ELEMENTS = 2**20
"""Limit for one input in trials: the activations must fit into memory on every machine."""


def inputs(
    path: Path,
    given: Shapes | None = None,
    *,
    signature: str | None = None,
    model: Model | None = None,
    progress: Progress | None = None,
) -> tuple[InputDetails, ...]:
    """Return the inputs of a file (see :func:`tflite_sparse.runtime.litert.inputs`), each with a shape that runs.

    Args:
        path: the ``.tflite`` file.
        given: shapes to use.
        signature: key of the signature; None: the first graph.
        model: the parsed file; None: read it.
        progress: receives a stage for the trials, if a size is open.

    Raises:
        FlatbufferError: the file cannot be read.
        SettingsError: a given shape names no input of the file, or does not fit one.
        InputShapeError: no size was found that runs.
        ExecutionError: LiteRT refuses the file for any size.
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
    """Return the shapes of a file's inputs if a size other than the batch is open, or a shape is given; else None.

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
    """Check that given shapes name inputs of a file.

    Raises:
        FlatbufferError: the file cannot be read.
        SettingsError: one names no input.
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
    """Return distinct sizes for the open dimensions of a file, in the order of trial.

    Except for the first, no size gives an input more than 2^20 elements.
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
    """Return the receptive field of a graph's operators along height or width, if all are in sequence.

    ``1 + sum((reach of the kernel - 1) * product of the strides before)``: an input of this size gives one output.
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
    """Return the index of the first candidate (shapes of all inputs) that runs on zeros here; else the last error."""
    reason = ""
    for number, shapes in enumerate(candidates):
        on_step(number, len(candidates))
        session = litert.Session(path, kernels, 1, signature)  # after refusing one shape, a session may refuse all
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
    """Return the first candidate that runs in the default interpreter, else with built-in kernels; else an error."""
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
    """Run :func:`first_that_runs_here` in a child; skip a candidate that kills the child."""
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
    """Return the details with the given shapes."""
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
    """Return the input names in the signature; without ``signature``, ``details`` have the names of the tensors."""
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
    """Return the first distinct sizes of constants, such as a table with a row for each position."""
    shapes = (
        shape_of(tensor)
        for graph in known
        for index, tensor in enumerate(graph.subgraph.tensors)
        if graph.is_constant(index)
    )
    sizes = dict.fromkeys(size for shape in shapes for size in shape if 1 < size <= _LARGEST_SIZE)
    return list(sizes)[:_MOST_SIZES_OF_CONSTANTS]


def _window(graph: Graph, operator: Operator) -> list[tuple[int, int]]:
    """Return reach of the kernel and stride along height and width, for operators with a kernel."""
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
    """Return names of a file for an error message, escaped, in one line."""
    return ", ".join(map(repr, names))[:_MOST_CHARACTERS]


def in_words(shape: Sequence[int]) -> str:
    """Return a shape in words: ``"1, ?, 40"``."""
    return ", ".join("?" if size < 0 else str(size) for size in shape)
