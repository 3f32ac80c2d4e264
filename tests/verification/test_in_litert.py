"""LiteRT in the comparison of two files: which of its runtimes run what, and what counts there."""

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.base.progress import Silent
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.verification import engine
from tflite_sparse.verification.in_litert import LiteRTRuntime, LiteRTRuntimes
from tflite_sparse.verification.runtimes import Subject
from tflite_sparse.verification.samples import MadeUp, Real

EVERY = litert.KERNELS_TO_VERIFY

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def write(tmp_path):
    def to_file(model, name="model"):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return to_file


@pytest.fixture
def runs(monkeypatch):
    """File, kernels and options of each run; LiteRT yields the number of the sample."""
    found = []

    def run(path, samples, kernels, **options):
        found.append((path.name, kernels, options))
        rows = tuple((np.array([number], np.int8),) for number in range(len(samples)))
        return litert.SeparateOutputs(("y",), (len(samples[0]),), rows)

    monkeypatch.setattr(litert, "run_separately", run)
    return found


def test_reference_kernels_are_no_gate_and_the_default_interpreter_must_run_the_reference(write):
    subject = Subject.of(write(tiny_models.fully_connected((4, 8))))
    forms = LiteRTRuntimes().forms(subject)
    assert [form.runtime.name for form in forms] == [litert.NAMES[kernels] for kernels in EVERY]
    assert [form.gate for form in forms] == [kernels != "reference" for kernels in EVERY]
    assert [form.required for form in forms] == [kernels == "default" for kernels in EVERY]
    assert all(form.reference == form.runtime for form in forms)
    assert not any(form.required for form in LiteRTRuntimes(default_must_run=False).forms(subject))


@pytest.mark.parametrize(
    ("kernels", "beside"),
    [
        (EVERY, ["default", "compiled_model"]),
        (("builtin", "compiled_model"), ["compiled_model"]),
        (("default", "compiled_model"), []),
        (("builtin",), []),
    ],
)
def test_built_in_kernels_are_compared_with_those_that_are_asked_anyway(kernels, beside, write, runs):
    path = write(tiny_models.fully_connected((4, 8)))
    report = engine.verify(path, path, LiteRTRuntimes(kernels), MadeUp(1))
    assert [check.name for check in report.runtimes] == [litert.NAMES[each] for each in kernels]
    assert [name for _, name, _ in runs] == [each for each in kernels for _ in ("reference", "file")]
    assert [each.beside for each in report.across] == [litert.NAMES[each] for each in beside]
    assert all((each.runtime, each.gate) == (litert.NAMES["builtin"], False) for each in report.across)
    assert engine.verify(path, path, LiteRTRuntimes(kernels, across=False), MadeUp(1)).across == []


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_batches_reach_every_run(threads, write, runs):
    path = write(tiny_models.fully_connected((4, 8)))
    engine.verify(path, path, LiteRTRuntimes(threads=threads, at_once=7), MadeUp(1))
    assert [options for _, _, options in runs] == [{"signature": None, "threads": threads, "at_once": 7}] * 8


def test_each_signature_is_run_where_there_are_several(write, runs):
    path = write(odd_models.two_signatures())
    report = engine.verify(path, path, LiteRTRuntimes(("builtin",)), MadeUp(1))
    assert [check.signature for check in report.runtimes] == ["small", "large"]
    assert [options["signature"] for _, _, options in runs] == ["small"] * 2 + ["large"] * 2


def test_given_shapes_are_run_and_told(write, runs):
    path = write(odd_models.open_image(kernel=3))
    runtimes = LiteRTRuntimes(("builtin",), input_shapes={"x": (1, 5, 6, 2)})
    (detail,) = runtimes.inputs(Subject.of(path), None, find_sizes=True, progress=Silent())
    assert detail.shape == (1, 5, 6, 2)
    assert engine.verify(path, path, runtimes, MadeUp(1)).input_shapes == {detail.name: (1, 5, 6, 2)}


def test_each_file_is_read_once(write, monkeypatch):
    """The runtimes read them as well, in child processes."""
    model = odd_models.two_layers()
    file, reference = write(model, "file"), write(model, "reference")
    counted, read = [], serde.read
    monkeypatch.setattr(serde, "read", lambda path: counted.append(path) or read(path))
    assert engine.verify(file, reference, LiteRTRuntimes(("default", "builtin")), MadeUp(2)).passed
    assert counted == [file, reference]


# Samples


def drawn(path, columns, count):
    return Real(columns, count).draw(LiteRTRuntimes(), Subject.of(path), None, Silent()).samples


def test_real_samples_follow_the_boundaries_quantised(write):
    """4 of 9 real samples fit in after the boundaries. 0.05 is one step, -3 is zero."""
    path = write(tiny_models.fully_connected((4, 2)))
    x = np.arange(18, dtype=np.float32).reshape(9, 2) * np.float32([0.05, -1])
    edges, steps = [[-128] * 2, [127] * 2, [-3] * 2], [[-3, -23], [-1, -63], [1, -103], [3, -128]]  # the last: clipped
    found = drawn(path, [x], 7)
    assert [array.tolist() for (array,) in found] == [[each] for each in (*edges, *steps)]
    assert {(array.dtype.name, array.shape) for (array,) in found} == {("int8", (1, 2))}
    fewer = drawn(path, [x[:2]], 7)  # fewer samples than asked for
    assert [array.tolist() for (array,) in fewer] == [[each] for each in (*edges, *steps[:2])]
    plain = write(tiny_models.fully_connected((4, 2), dtype="float32"), "float32")
    assert [array[0].tolist() for (array,) in drawn(plain, [x], 5)] == [[-4] * 2, [4] * 2, [0] * 2, *x[:2].tolist()]


def test_real_samples_tell_the_sizes_that_a_file_leaves_open(write):
    model = odd_models.addition("float32", (1, 5))
    for tensor, sizes in zip(model.subgraphs[0].tensors, ([-1, -1], [-1, 5], [-1, 5]), strict=True):
        tensor.shapeSignature = np.array(sizes, np.int32)
    path = write(model)
    found = drawn(path, [np.ones((3, 7), np.float32), np.zeros((3, 5), np.float32)], 6)
    assert [(one.shape, two.shape) for one, two in found] == [((1, 7), (1, 5))] * 6
    assert [[np.unique(one).tolist(), np.unique(two).tolist()] for one, two in found] == [
        *([[edge], [edge]] for edge in (-4, 4, 0)),
        *[[[1], [0]]] * 3,
    ]
    made_up = MadeUp(3).draw(LiteRTRuntimes(), Subject.of(path), None, Silent())  # 1 beside the 5, or 5
    assert {two.shape for _, two in made_up.samples} == {(1, 5)}
    assert len(made_up.shapes) == 2


# Batches


def batches_of(path, count, at_once, kernels, monkeypatch):
    """The outputs, and the batches that were fed."""
    fed, run = [], litert.Session.run
    monkeypatch.setattr(litert.Session, "run", lambda self, arrays: fed.append(len(arrays[0])) or run(self, arrays))
    samples = [(each[None],) for each in tiny_models.samples(tiny_models.fully_connected((4, 8)), count)]
    return LiteRTRuntime(kernels, at_once=at_once).run(path, samples), fed


@pytest.mark.parametrize(
    ("dynamic", "at_once", "expected"), [(True, 1, [1] * 7), (True, 3, [3, 3, 1]), (False, 3, [1] * 7)]
)
def test_samples_are_run_together_where_the_file_leaves_the_batch_open(dynamic, at_once, expected, write, monkeypatch):
    path = write(tiny_models.fully_connected((4, 8), dynamic=dynamic))
    found, fed = batches_of(path, 7, at_once, "builtin", monkeypatch)
    assert fed == expected
    alone, _ = batches_of(path, 7, 1, "builtin", monkeypatch)
    assert (found.names, found.indices, len(found.rows)) == (alone.names, alone.indices, 7)
    for (one,), (two,) in zip(found.rows, alone.rows, strict=True):
        assert one.shape == (1, 4)
        np.testing.assert_array_equal(one, two)
    assert len({array.tobytes() for (array,) in found.rows}) > 1


def test_outputs_without_a_batch_are_those_of_single_samples(write, monkeypatch):
    """A mean over everything: of a batch it would be another."""
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 8), "float32", dynamic=True)
    y = tiny.activation("y", (), "float32")
    axes = tiny.constant("axes", np.array([0, 1], np.int32))
    tiny.operator(odd_models.schema.BuiltinOperator.MEAN, 1, [x, axes], [y])
    path = write(tiny.finished([x], [y]))
    samples = [(np.full((1, 8), number, np.float32),) for number in range(4)]
    found = LiteRTRuntime("builtin", at_once=4).run(path, samples)
    assert [float(array) for (array,) in found.rows] == [0, 1, 2, 3]
