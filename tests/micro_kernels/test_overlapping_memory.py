"""Outputs in the memory of their inputs, each as near as the planner of generated C may put it."""

import functools
import math

import numpy as np
import pytest
from test_standalone_on_cortex_m import HELIUM, OPERATORS, conv, depthwise, pooled

from helpers import micro_process, tiny_models
from helpers.int8_models import side_by_side
from helpers.standalone_operators import by_micro
from tflite_sparse.backends import in_c
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.runtime import cortex_m, cortex_m_model, host_c
from tflite_sparse.runtime.host_c import PortBytes
from tflite_sparse.standalone_c import arena, files, lines, overlap
from tflite_sparse.standalone_c.header import Naming

pytestmark = [
    pytest.mark.skipif(
        host_c.compiler() is None or not cortex_m.is_available(), reason="compiler or emulator is not installed"
    ),
    micro_process.needed,
]
DENSE = [
    each for each in (*OPERATORS, *HELIUM) if (each.then is None and "CONV_2D" in each.name) or "POOL" in each.name
]
DENSE += [
    conv((16, 1, 1, 4), 0, (7, 7)),  # outputs grow into what was read
    conv((4, 1, 1, 16), 0, (7, 7)),
    conv((16, 1, 1, 16), 0, (3, 11), batches=2),
    conv((7, 1, 1, 5), 0, (9, 9), strides=(2, 2), padding=1),
    depthwise((1, 3, 3, 24), 3, (9, 5)),
    depthwise((1, 3, 3, 24), 3, (12, 12), strides=(2, 2), batches=2),
    depthwise((1, 5, 5, 6), 3, (9, 9), strides=(2, 1)),
    pooled("MAX_POOL_2D", (9, 9), 2, 8),
]
zeros = functools.partial(conv, zeros=0.8)
SPARSE = [
    zeros((24, 1, 1, 32), 0, (5, 5)),
    zeros((32, 1, 1, 24), 0, (5, 9)),
    zeros((32, 1, 1, 32), 0, (3, 4), batches=3),
    zeros((64, 1, 1, 64), 0, (1, 3)),
    zeros((24, 3, 3, 16), 0, (9, 9), strides=(2, 2)),
    zeros((24, 2, 2, 16), 0, (7, 6), strides=(2, 2)),
    zeros((48, 1, 1, 40), 0, (9, 9), strides=(1, 2)),
]


def tight(program, *, fits_helium=True):
    """A layout in which no two steps share memory, and no output could lie nearer to its input."""
    offsets, scratch, overlapping, end = [0] * len(program.values), [], [], 0
    for place, step in enumerate(program.steps):
        (source,), (result,) = step.inputs[:1], step.outputs
        found = overlap.of(step, fits_helium=fits_helium)
        sizes = [program.values[each].nbytes for each in (source, result)]
        lead = sizes[1] if found is None else math.ceil(found.lead / found.unit) * found.unit
        lead = max(min(lead, sizes[1]), -sizes[0])
        offsets[result] = end + max(0, -lead)
        offsets[source] = offsets[result] + lead
        overlapping += [place] * (-sizes[0] < lead < sizes[1])
        scratch.append(-(-(max(offsets[source] + sizes[0], offsets[result] + sizes[1])) // 16) * 16)
        end = scratch[-1] + -(-step.scratch_bytes // 16) * 16
    return arena.Arena(end, tuple(offsets), tuple(scratch), tuple(overlapping), True)


@pytest.fixture
def layout(monkeypatch):
    monkeypatch.setattr(arena, "plan", tight)
    monkeypatch.setattr(lines, "_WORTH_IT", 1.0)  # lines of an image, which may overlap, wherever they save a byte


def made_input(rng, x):
    return rng.integers(-128, 128, x.shape).astype(np.int8)


@functools.cache
def model_of(is_sparse):
    operators = SPARSE if is_sparse else DENSE
    model = side_by_side(operators)
    rng = np.random.default_rng(1)
    inputs = [made_input(rng, x) for each in operators for x in each.activations]
    return tiny_models.to_bytes(model), inputs, by_micro(model, inputs)


def generated(content, cpu, is_sparse):
    parsed = serde.parse(content)
    if is_sparse:
        encode_model(parsed, in_c.planned(cpu, "latency"))
    return files.generate(parsed, Naming("model", "tests", "model.tflite"), cpu)


def ports_of(program):
    return tuple(
        [PortBytes(program.values[number].shape, np.dtype(np.int8)) for number in numbers]
        for numbers in (program.inputs, program.outputs)
    )


def emulated(cpu, sources, inputs):
    return cortex_m_model.run(
        cpu, sources.files, "model", ports_of(sources.program), len(sources.program.steps), [inputs]
    ).rows[0]


def differing(found, expected):
    return [place for place, (a, b) in enumerate(zip(found, expected, strict=True)) if not np.array_equal(a, b)]


CPUS = [
    ("cortex-m0", "cortex-m0"),
    ("cortex-m4", "cortex-m4"),
    ("cortex-m55", "cortex-m55"),
    ("cortex-m4", "generic"),
    ("cortex-m55", "generic"),
]


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(("cpu", "made_for"), CPUS)
def test_outputs_in_the_memory_of_inputs(cpu, made_for, is_sparse, layout):
    content, inputs, expected = model_of(is_sparse)
    sources = generated(content, made_for, is_sparse)
    assert len(sources.arena.overlapping) > 0.8 * len(expected)
    assert differing(emulated(cpu, sources, inputs), expected) == []


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
def test_the_same_loops_without_assembly(is_sparse, layout, tmp_path):
    content, inputs, expected = model_of(is_sparse)
    program = in_c.compiled(generated(content, "cortex-m4", is_sparse), tmp_path, ("-O1",))
    assert differing(program.run([inputs])[0], expected) == []
