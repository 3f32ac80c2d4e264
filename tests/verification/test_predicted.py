"""Test how constants that were worked out are held against a runtime: which are asked for, and what is told."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, indices, text
from tflite_sparse.rewrites.dead_channels.cut import Predicted
from tflite_sparse.verification.predicted import Check
from tflite_sparse.verification.runtimes import Form

SAMPLES = [[np.full((1, 16), number, np.int8)] for number in range(3)]
CHANNELS, VALUES = np.array([1, 4]), np.array([7.0, -3.0])


@dataclass(eq=False)
class Runtime:
    """Yields one array for every tensor: ``yielded`` of the sample's number, which may be an error."""

    name: str
    yielded: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def tensors(self, kept, sample):
        number = int(sample[0].flat[0])
        self.asked.append((kept, number))
        found = self.yielded.get(number, row())
        if isinstance(found, Exception):
            raise found
        return dict.fromkeys(kept.tensors, found)


def row(**changes):
    """An activation of two rows and six channels, in which channels 1 and 4 have the values."""
    found = np.tile(np.array([0, 7, 1, 2, -3, 3], np.int8), (1, 2, 1))
    for channel, value in changes.items():
        found[0, -1, int(channel[1:])] = value
    return found


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "model.tflite"
    found.write_bytes(tiny_models.to_bytes(odd_models.two_signatures()))
    return found


def predicted(path, graph=0):
    """The constants of the input of a graph: its values are what the runtime says."""
    tensor = indices(list(graphs(serde.read(path)))[graph].subgraph.inputs)[0]
    return Predicted(graph, tensor, CHANNELS, VALUES)


def checked(path, *runtimes, wanted=None, signature="small", samples=SAMPLES, required=False):
    check = Check(path, [predicted(path)] if wanted is None else wanted, path.parent)
    check.run([Form(Runtime("file"), runtime, required=required) for runtime in runtimes], samples, signature)
    return check


def name_of(path, graph=0):
    found = list(graphs(serde.read(path)))[graph]
    return text(found.tensor(indices(found.subgraph.inputs)[0]).name)


def test_equal_constants_are_counted_once_for_all_runtimes(path):
    one, two = Runtime("one"), Runtime("two")
    check = checked(path, one, two)
    report = check.in_report()
    assert (report.compared, report.runtimes, report.wrong) == (2, ["one", "two"], [])
    assert [number for _, number in one.asked] == [number for _, number in two.asked] == [0, 2]  # first and last
    kept = one.asked[0][0]
    assert (kept.path, kept.signature, kept.tensors) == (path, "small", (check.predicted[0].tensor,))
    copy = next(graphs(serde.read(kept.copy)))
    assert check.predicted[0].tensor in indices(copy.subgraph.outputs)
    assert kept.copy.parent == path.parent


@pytest.mark.parametrize(
    ("yielded", "apart"),
    [
        ({0: row(c4=-2)}, [4]),
        ({2: row(c1=8)}, [1]),
        ({0: row(c4=0), 2: row(c1=8)}, [1, 4]),
        ({0: row(c4=9), 2: row(c4=9)}, [4]),  # said once
    ],
)
def test_another_value_anywhere_is_told(yielded, apart, path):
    report = checked(path, Runtime("right"), Runtime("wrong", yielded)).in_report()
    assert report.wrong == [
        f"wrong: {len(apart)} channels of {name_of(path)!r} are not the constants that were worked out, "
        f"the first is channel {apart[0]}"
    ]
    assert [(each.graph, each.tensor, each.channels) for each in report.apart] == [(0, predicted(path).tensor, apart)]
    assert (report.compared, report.runtimes) == (2, ["right", "wrong"])


def test_other_channels_and_other_samples_may_have_any_value(path):
    assert checked(path, Runtime("one", {0: row(c0=99, c5=-99), 1: row(c1=0)})).wrong == []


@pytest.mark.parametrize("required", [False, True])
def test_a_runtime_that_cannot_be_asked_fails_only_where_it_must_run_the_file(required, path):
    refusing = Runtime("refusing", {2: ExecutionError("no such kernel")})
    report = checked(path, refusing, Runtime("wrong", {0: row(c1=0)}), required=required).in_report()
    told = ["refusing: the constants of channels were not compared: no such kernel"] * required
    assert report.wrong[:-1] == told
    assert report.wrong[-1].startswith("wrong: 1 channels")
    assert report.runtimes == ["wrong"]


def test_where_no_runtime_answers_nothing_was_compared(path):
    report = checked(path, Runtime("refusing", {0: ExecutionError("no such kernel")})).in_report()
    assert (report.compared, report.runtimes, report.wrong) == (0, [], [])


def test_a_form_is_asked_once_and_a_runtime_named_once(path):
    runtime = Runtime("one")
    forms = [Form(Runtime("file"), runtime)] * 2
    check = Check(path, [predicted(path)], path.parent)
    check.run([*forms, Form(Runtime("another"), runtime)], SAMPLES, "small")
    assert len(runtime.asked) == 4
    assert check.in_report().runtimes == ["one"]


def test_only_constants_of_the_signatures_graph_are_asked_for(path):
    """Both graphs in turn: the channels of both count."""
    wanted = [predicted(path), predicted(path, 1)]
    runtime = Runtime("one")
    check = checked(path, runtime, wanted=wanted, signature="large")
    assert [kept.tensors for kept, _ in runtime.asked] == [(wanted[1].tensor,)] * 2
    assert check.in_report().compared == 2
    check.run([Form(Runtime("file"), runtime)], SAMPLES, "small")
    assert check.in_report().compared == 4
    assert check.in_report().runtimes == ["one"]
    first = checked(path, Runtime("one"), wanted=wanted[1:], signature=None)
    assert first.in_report().compared == 0


@pytest.mark.parametrize("lacking", ["constants", "samples"])
def test_nothing_is_asked_without_constants_or_samples(lacking, path):
    runtime = Runtime("one")
    options = {"wanted": []} if lacking == "constants" else {"samples": []}
    assert checked(path, runtime, **options).in_report().runtimes == []
    assert not runtime.asked
    assert sorted(each.name for each in path.parent.iterdir()) == ["model.tflite"]
