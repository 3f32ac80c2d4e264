"""Test the comparison of outputs: tolerances at their limits, forms that count and forms that do not."""

import contextlib
import importlib.metadata
import math
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from helpers.channel_models import NETWORKS
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.report.text import verification as verification_tables
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.rewrites.dead_channels.cut import Cut
from tflite_sparse.runtime.litert import InputDetails, SeparateOutputs
from tflite_sparse.verification import each_operator, engine
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.localise import FirstDifference
from tflite_sparse.verification.runtimes import Beside, Form, Nowhere, Subject
from tflite_sparse.verification.samples import MadeUp

SAMPLES = 4  # one random, after those at the boundaries
EVERY = ("first", "second", "informative", "last")


@dataclass(frozen=True)
class Run:
    """A runtime that yields what the test says."""

    name: str
    told: "Runtimes"

    def run(self, path, samples, signature=None):
        self.told.runs.append((path.name, samples, self.name, signature))
        rows = tuple(tuple(self.told.outputs[path.name](number, self.name)) for number in range(len(samples)))
        names = tuple(f"y{index}" for index in range(len(rows[0])))
        return SeparateOutputs(names, tuple(range(len(names))), rows)

    def tensors(self, kept, sample):
        assert self.told.kept is not None, "the test says where files part"
        return self.told.kept


class Runtimes:
    """A runtime with four forms; ``first`` must run the reference, ``informative`` is no gate.

    Attributes:
        outputs: by file, a function of the number of the sample and the form that gives the arrays or raises.
        first: where two files part, as :class:`Localiser` tells.
        runs: file, samples, form and signature of each run.
        localised: sample, form and signature of each question where files part.
        kept: by tensor, what it yields of the reference where constants are asked for.
        chosen: the forms.
        beside: what the reference is compared with itself in.
    """

    unavailable = None

    def __init__(self, folder):
        self.file, self.reference = folder / "file.tflite", folder / "reference.tflite"
        self.outputs = {self.file.name: zeros, self.reference.name: zeros}
        self.first = self.kept = None
        self.runs, self.localised = [], []
        self.chosen, self.beside = EVERY, ()

    def open(self, path, folder):
        assert not list(folder.iterdir())
        (folder / "opened").touch()  # no other file is opened there
        return Subject.of(path)

    def signatures(self, reference):
        keys = [definition.signatureKey.decode() for definition in reference.model.signatureDefs or ()]
        return keys if len(keys) > 1 else [None]

    def inputs(self, reference, signature, *, find_sizes, progress):
        assert find_sizes
        assert progress is not None
        shape = (1, {"small": 16, "large": 32}.get(signature, 8))
        return [InputDetails(signature or "x", shape, np.dtype(np.int8), 0.05, -3, shape=shape)]

    def forms(self, file):
        assert file.path == self.file
        return [
            Form(self.run(name), self.run(name), gate=name != "informative", required=name == "first")
            for name in self.chosen
        ]

    def run(self, name):
        return Run(name, self)

    def yields(self, file, reference=None):
        """Let the two files yield these arrays; each a list, or a function as in ``outputs``."""
        for path, given in ((self.file, file), (self.reference, file if reference is None else reference)):
            self.outputs[path.name] = given if callable(given) else lambda *_, given=given: given

    def verify(self, *, samples=SAMPLES - 3, seed=0, tolerance=0.0, share_of_range=0.0):
        allowed = Tolerance(tolerance, share_of_range)
        return engine.verify(self.file, self.reference, self, MadeUp(samples, seed), tolerance=allowed)


def zeros(number, form):
    return [np.zeros(3, np.int8)]


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    found = Runtimes(tmp_path)
    for path in (found.file, found.reference):
        path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((4, 8))))

    class Localiser:
        def __init__(self, file, reference, folder, signature, slices):
            assert (file, reference) == (found.file, found.reference)
            assert bool(slices) == (found.kept is not None)  # those of the cut
            assert folder.is_dir()
            assert not (folder / "opened").exists()
            self.signature = signature

        def first_difference(self, form, sample):
            found.localised.append((sample, form.runtime.name, self.signature))
            return found.first

    monkeypatch.setattr(engine, "Localiser", Localiser)
    return found


def of(size, dtype="int8"):
    """Outputs that depend on the sample, moved by so much."""
    return lambda number, form: [np.array([number + size, 2 * number], dtype)]


# One runtime beside another


@pytest.fixture
def named(monkeypatch):
    """Set the result of running the operators one by one."""

    def tell(found):
        monkeypatch.setattr(each_operator, "first_unexplained", lambda *_: found)

    return tell


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize(("apart", "asked"), [(0, False), (1, False), (2, True)])
def test_a_fault_that_both_files_share_is_told(apart, asked, gate, runtime, named):
    """The reference is compared with itself in two runtimes; a rounding is not worth a question."""
    named(FirstDifference("hidden", "CONV_2D", 7.0))
    runtime.beside = [
        Beside(runtime.run("second"), (runtime.run(name),), "others", gate=gate) for name in ("first", "last")
    ]
    runtime.yields(lambda number, form: [np.array([number + apart * (form == "second")], np.int8)])
    report = runtime.verify()
    assert report.passed is not (asked and gate)  # without, it is not known which runtime is wrong
    assert len(runtime.runs) == 8  # what the forms ran is not run again
    assert [(each.runtime, each.beside) for each in report.across] == [("second", "first"), ("second", "last")]
    assert [each.largest_difference for each in report.across] == [apart] * 2
    assert [each.explained for each in report.across] == [not asked] * 2
    lines = report.failures if gate else verification_tables.verdicts(report)
    told = [line for line in lines if "is the first to compute something else" in line]
    assert len(told) == 2 * asked
    assert all("CONV_2D" in line and "'hidden' is apart by up to 7" in line for line in told)


@pytest.mark.parametrize("gate", [True, False])
def test_operators_that_do_not_run_one_by_one_tell_nothing(gate, runtime, named):
    """A difference that is a failure remains one."""
    named(FirstDifference(note="copies do not run"))
    runtime.beside = [Beside(runtime.run("second"), (runtime.run("last"),), "others", gate=gate)]
    runtime.yields(lambda number, form: [np.array([9 * (form == "second")], np.int8)])
    report = runtime.verify()
    assert [each.explained for each in report.across] == [False if gate else None]
    assert report.passed is not gate
    assert gate or not [line for line in verification_tables.verdicts(report) if "beside" in line]


def refusing(*where):
    """Zeros, refused in these forms."""

    def answer(number, form):
        if form in where:
            raise ExecutionError(f"no such kernel in {form}")
        return zeros(number, form)

    return answer


@pytest.mark.parametrize(
    ("refused", "beside", "unavailable"),
    [
        ((), "other", None),
        (("other",), "another", None),
        (("other", "another"), "others", "no such kernel in another"),
    ],
)
def test_the_first_other_runtime_that_runs_the_plain_reference_is_compared(
    refused, beside, unavailable, runtime, monkeypatch
):
    others = (runtime.run("other"), runtime.run("another"))
    runtime.beside = [Beside(runtime.run("second"), others, "others", gate=True)]
    plain = runtime.reference.with_name("plain.tflite")
    runtime.outputs[plain.name] = refusing(*refused)
    monkeypatch.setattr(runtime, "open", lambda path, folder: Subject(path, plain, Subject.of(path).model))
    report = runtime.verify()
    (found,) = report.across
    assert (found.runtime, found.beside, found.gate, found.unavailable) == ("second", beside, True, unavailable)
    assert (found.explained, found.samples) == ((None, 0) if unavailable else (True, SAMPLES))
    assert report.passed
    tried = ["other", "another"][: max(len(refused), 1) if unavailable else len(refused) + 1]
    assert [(name, form) for name, _, form, _ in runtime.runs[8:]] == [(plain.name, name) for name in tried]


def test_a_runtime_that_does_not_run_the_reference_is_compared_with_none(runtime):
    """The checks tell why."""
    runtime.yields(zeros, refusing("last"))
    runtime.beside = [
        Beside(runtime.run(one), (runtime.run(other),), "others", gate=False)
        for one, other in (("second", "last"), ("last", "second"))
    ]
    report = runtime.verify()
    assert report.across == []
    assert report.runtimes[3].unavailable == "no such kernel in last"


def test_weights_alone_are_compared_where_nothing_runs_the_files(runtime):
    flipped = odd_models.edited(tiny_models.fully_connected((4, 8)), "weight", odd_models.flip_bit)
    for model, failures in ((tiny_models.fully_connected((4, 8)), []), (flipped, ["weight 'weight' differs"])):
        runtime.file.write_bytes(tiny_models.to_bytes(model))
        report = engine.verify(runtime.file, runtime.reference, Nowhere("no runtime"), MadeUp(3))
        assert (report.failures, report.passed) == (failures, not failures)
        assert (report.not_compared, report.samples, report.runtimes) == ("no runtime", 0, [])


# Tolerance


@pytest.mark.parametrize(
    ("size", "tolerance", "passes"),
    [
        (0, 0.0, True),
        (1, 0.0, False),
        (3, 3.0, True),
        (-3, 3.0, True),
        (3, math.nextafter(3, 0), False),
        (4, 3.0, False),
    ],
)
def test_a_difference_that_equals_the_tolerance_passes(size, tolerance, passes, runtime):
    runtime.yields(of(size), of(0))
    report = runtime.verify(tolerance=tolerance)
    assert report.passed is passes
    assert report.tolerance == tolerance
    assert [check.within_tolerance for check in report.runtimes] == [passes] * 4
    assert [check.outputs_bit_exact for check in report.runtimes] == [size == 0] * 4
    largest = {each.largest_difference for check in report.runtimes for each in check.differences}
    assert largest == ({abs(size)} if size else set())


def test_the_largest_difference_of_any_output_on_any_sample_counts(runtime):
    """1, 2 and 5 on one sample each, on another output each."""

    def moved(number, form):
        return [np.array([number + (number == index) * (1, 2, 5)[index]], np.int16) for index in range(3)]

    runtime.yields(moved, lambda number, form: [np.array([number], np.int16)] * 3)
    assert runtime.verify(tolerance=5).passed
    report = runtime.verify(tolerance=4.5)
    assert not report.passed
    for check in report.runtimes:
        found = [(each.output, each.samples, each.largest_difference) for each in check.differences]
        assert found == [("y0", 1, 1), ("y1", 1, 2), ("y2", 1, 5)]


@pytest.mark.parametrize("tolerance", [0.0, 1e9])
def test_nan_is_beyond_every_tolerance_and_the_other_zero_beyond_none(tolerance, runtime):
    runtime.yields(of(np.nan, "float32"), of(0, "float32"))
    report = runtime.verify(tolerance=tolerance)
    assert not report.passed
    assert "by no finite number" in report.failures[0]
    runtime.yields([np.float32([-0.0])], [np.float32([0.0])])
    assert runtime.verify(tolerance=tolerance).passed is (tolerance > 0)


@pytest.mark.parametrize(
    ("size", "options", "passes"),
    [
        (4.0, {"share_of_range": 0.5}, True),
        (math.nextafter(4, 5), {"share_of_range": 0.5}, False),
        (4.5, {"share_of_range": 0.5, "tolerance": 4.5}, True),  # the larger of the two counts
        (4.0, {"share_of_range": 0.5, "tolerance": 1.0}, True),
        (4.5, {"share_of_range": 0.5, "tolerance": 1.0}, False),  # and not their sum
    ],
)
def test_a_share_of_the_range_is_that_of_the_output_of_the_smallest_range(size, options, passes, runtime):
    """Over all samples one output ranges from 0 to 8, the other from 0 to 80."""

    def outputs(moved):
        values = [0.0, 8.0, 3.0, 5.0]
        return lambda number, form: [np.array([values[number] + moved]), np.array([10 * values[number]])]

    runtime.yields(outputs(size), outputs(0.0))
    assert runtime.verify(**options).passed is passes


@pytest.mark.parametrize(("small", "large", "passes"), [(4.0, 40.0, True), (4.5, 40.0, False), (4.0, 40.5, False)])
def test_each_output_has_a_range_of_its_own(small, large, passes, runtime):
    """0 to 8 and 0 to 80, of which half is allowed."""

    def outputs(*moved):
        values = [0.0, 8.0, 3.0, 5.0]
        return lambda number, form: [np.array([values[number] + moved[0]]), np.array([10 * values[number] + moved[1]])]

    runtime.yields(outputs(small, large), outputs(0.0, 0.0))
    assert runtime.verify(share_of_range=0.5).passed is passes


def test_the_range_of_integers_is_that_of_their_type(runtime):
    runtime.yields(of(51), of(0))
    assert runtime.verify(share_of_range=0.2).passed  # 51 of 255
    runtime.yields(of(52), of(0))
    assert not runtime.verify(share_of_range=0.2).passed


def test_no_tolerance_excuses_a_weight(runtime):
    flipped = odd_models.edited(tiny_models.fully_connected((4, 8)), "weight", odd_models.flip_bit)
    runtime.file.write_bytes(tiny_models.to_bytes(flipped))
    report = runtime.verify(tolerance=1000, share_of_range=1)
    assert (report.passed, report.failures) == (False, ["weight 'weight' differs"])


# Outputs that do not vary


@pytest.mark.parametrize("place", [None, 0, 1, SAMPLES - 1])
def test_outputs_vary_where_one_of_them_does_on_one_sample(place, runtime):
    runtime.yields(lambda number, form: [np.zeros(2), np.array([0, float(number == place)])])
    report = runtime.verify()
    assert report.passed
    assert [check.outputs_vary for check in report.runtimes] == [place is not None] * 4
    assert [check.distinct_outputs for check in report.runtimes] == [1 if place is None else 2] * 4
    assert [form for _, form, _ in runtime.localised] == ([] if place is not None else list(EVERY))


@pytest.mark.parametrize(
    ("largest", "tolerance", "passes"),
    [(3.0, 0.0, False), (3.0, 3.0, True), (3.0, math.nextafter(3, 0), False), (None, 9.0, False)],
)
def test_where_outputs_never_vary_the_first_tensor_that_differs_counts(largest, tolerance, passes, runtime):
    runtime.first = FirstDifference("hidden", "ADD", largest)
    report = runtime.verify(tolerance=tolerance)
    assert report.passed is passes
    for check in report.runtimes:
        assert (check.outputs_bit_exact, check.outputs_vary, check.within_tolerance) == (True, False, passes)
        assert (check.first_difference.tensor, check.first_difference.sample) == ("hidden", SAMPLES - 1)
    words = "no output differs, but all are the same for every sample; the first tensor to differ is 'hidden', of ADD"
    assert all(failure.endswith(words) for failure in report.failures)
    assert len(report.failures) == (0 if passes else 3)  # the reference kernels are no gate


def test_a_tensor_that_was_not_found_is_no_failure_where_no_output_differs(runtime):
    runtime.first = FirstDifference(note="copies do not run")
    report = runtime.verify()
    assert report.passed
    assert [check.first_difference.note for check in report.runtimes] == ["copies do not run"] * 4


def test_files_part_on_the_first_sample_on_which_an_output_differs(runtime):
    def moved(number, form):
        return [np.array([number + (number >= 2)]), np.array([number + (number >= 1)])]

    runtime.yields(moved, lambda number, form: [np.array([number])] * 2)
    runtime.first = FirstDifference("hidden", "ADD", 1.0)
    report = runtime.verify()
    assert [check.first_difference.sample for check in report.runtimes] == [1] * 4
    samples = runtime.runs[0][1]
    assert all(np.array_equal(sample, samples[1]) for sample, _, _ in runtime.localised)
    runtime.first = None
    (first, *_) = (check.first_difference for check in runtime.verify().runtimes)
    assert first.tensor is None
    assert "the difference vanishes" in first.note


# Forms


def only_in(*where):
    """Outputs that are moved in these forms."""
    return lambda number, form: [np.array([number + (form in where)])]


@pytest.mark.parametrize("form", EVERY)
def test_a_difference_fails_in_every_form_that_is_a_gate(form, runtime):
    runtime.yields(only_in(form), only_in())
    report = runtime.verify()
    assert report.passed is (form == "informative")
    assert [check.gate for check in report.runtimes] == [each != "informative" for each in EVERY]
    assert [check.within_tolerance for check in report.runtimes] == [each != form for each in EVERY]
    told = f"{form}: output 'y0' (0) differs on {SAMPLES} of {SAMPLES} samples, by up to 1"
    assert report.failures == ([] if form == "informative" else [told])


@pytest.mark.parametrize("form", EVERY)
def test_a_file_that_is_refused_where_the_reference_runs_fails(form, runtime):
    """Gate or not: rounding is no reason there."""
    runtime.yields(refusing(form), zeros)
    report = runtime.verify()
    assert (report.passed, report.failures) == (False, [f"{form}: no such kernel in {form}"])
    (check,) = (check for check in report.runtimes if check.refused)
    assert (check.name, check.outputs_bit_exact, check.within_tolerance) == (form, False, False)


@pytest.mark.parametrize("form", EVERY)
def test_only_a_form_that_requires_it_must_run_the_reference(form, runtime):
    runtime.yields(refusing(form))
    if form == "first":
        with pytest.raises(ExecutionError, match="no such kernel"):
            runtime.verify()
        return
    report = runtime.verify()
    assert report.passed
    (check,) = (check for check in report.runtimes if check.unavailable)
    assert (check.name, check.outputs_bit_exact, check.within_tolerance) == (form, None, None)
    assert check.unavailable == f"no such kernel in {form}"


def test_forms_of_one_reference_share_its_run(runtime, monkeypatch):
    forms = [Form(runtime.run(name), runtime.run("reference")) for name in ("one", "two")]
    monkeypatch.setattr(runtime, "forms", lambda file: forms)
    runtime.yields(only_in("two"), only_in())
    report = runtime.verify()
    assert [(name, form) for name, _, form, _ in runtime.runs] == [
        (runtime.reference.name, "reference"),
        (runtime.file.name, "one"),
        (runtime.file.name, "two"),
    ]
    assert [(check.name, check.outputs_bit_exact) for check in report.runtimes] == [("one", True), ("two", False)]


@pytest.mark.parametrize("beside", [False, True])
def test_outputs_of_the_reference_are_kept_only_where_they_are_asked_for_again(beside, runtime):
    """Those of a large model take a gigabyte."""
    if beside:
        runtime.beside = [Beside(runtime.run("second"), (runtime.run("last"),), "others", gate=False)]
    made, alive = {}, []

    def outputs(number, form):
        if number == 0 and form not in made:
            alive.append({other for other, array in made.items() if array() is not None})
        array = np.array([number])
        made.setdefault(form, weakref.ref(array))
        return [array]

    runtime.yields(zeros, outputs)
    runtime.verify()
    kept = {"second"} if beside else set()
    assert alive == [set(), set(), kept, kept]


@pytest.mark.parametrize(("ours", "theirs"), [(1, 2), (2, 1)])
def test_another_number_of_outputs_fails(ours, theirs, runtime):
    runtime.yields([np.zeros(2)] * ours, [np.zeros(2)] * theirs)
    report = runtime.verify()
    assert not report.passed
    assert all(f"{runtime.file} has {ours} outputs instead of {theirs}" in failure for failure in report.failures)
    assert len(report.failures) == 4


# Samples


@pytest.mark.parametrize("count", [0, 1, 6])
def test_as_many_random_samples_as_asked_for_follow_the_boundaries(count, runtime):
    report = runtime.verify(samples=count, seed=9)
    assert (report.samples, report.seed) == (3 + count, 9)
    for _, samples, _, _ in runtime.runs:
        assert len(samples) == 3 + count
        assert [np.unique(array).tolist() for (array,) in samples[:3]] == [[-128], [127], [-3]]
        assert all(array.shape == (1, 8) for (array,) in samples)


def test_the_seed_decides_the_samples(runtime):
    def drawn(seed):
        runtime.runs.clear()
        runtime.verify(samples=2, seed=seed)
        first, *others = [np.array(samples) for _, samples, _, _ in runtime.runs]
        assert all(np.array_equal(first, other) for other in others)  # both files, in every form
        return first

    assert np.array_equal(drawn(5), drawn(5))
    assert not np.array_equal(drawn(5)[3:], drawn(6)[3:])


def test_every_signature_is_run_with_its_own_inputs(runtime):
    runtime.beside = [Beside(runtime.run("second"), (runtime.run("last"),), "others", gate=True)]
    for path in (runtime.file, runtime.reference):
        path.write_bytes(tiny_models.to_bytes(odd_models.two_signatures()))
    report = runtime.verify()
    assert [check.signature for check in report.runtimes] == ["small"] * 4 + ["large"] * 4
    found = {(signature, samples[0][0].shape) for _, samples, _, signature in runtime.runs}
    assert found == {("small", (1, 16)), ("large", (1, 32))}
    assert {signature for _, _, signature in runtime.localised} == {"small", "large"}
    assert report.across == []  # that is for the first graph


# What is told


class Told:
    """Notes stages and notes in their order, and the steps of each stage."""

    def __init__(self):
        self.lines, self.steps = [], {}

    @contextlib.contextmanager
    def stage(self, name):
        self.lines.append(name)
        yield lambda *step: self.steps.setdefault(name, []).append(step)

    def note(self, text):
        self.lines.append(f"note: {text}")


def stages(runtime, **options):
    told = Told()
    report = engine.verify(runtime.file, runtime.reference, runtime, MadeUp(0), progress=told, **options)
    return told.lines, report


def test_the_report_names_the_files_and_what_was_given(runtime):
    report = runtime.verify(samples=2, seed=7, tolerance=2.5)
    assert report.tool == f"tflite-sparse {importlib.metadata.version('tflite-sparse')}"
    assert (report.file, report.against) == (str(runtime.file), str(runtime.reference))
    assert (report.samples, report.seed, report.tolerance) == (5, 7, 2.5)
    assert (report.input_shapes, report.constants, report.not_compared) == ({"x": (1, 8)}, None, None)
    assert (report.weights.compared, report.weights.equal) == (1, 1)


def test_stages_name_forms_and_what_the_reference_is_compared_with(runtime):
    runtime.beside = [Beside(runtime.run("second"), (runtime.run("other"),), "others", gate=False)]
    lines, _ = stages(runtime)
    assert lines == ["compare weights", *(f"compare outputs: {name}" for name in (*EVERY, "others"))]


def test_stages_name_the_signature_where_there_are_several(runtime):
    for path in (runtime.file, runtime.reference):
        path.write_bytes(tiny_models.to_bytes(odd_models.two_signatures()))
    lines, report = stages(runtime)
    names = [f"compare outputs of signature {key!r}: {name}" for key in ("small", "large") for name in EVERY]
    assert lines == ["compare weights", *names]
    assert report.input_shapes == {"small": (1, 16), "large": (1, 32)}


def test_why_no_outputs_were_compared_is_noted(runtime):
    told = Told()
    engine.verify(runtime.file, runtime.reference, Nowhere("it is missing"), MadeUp(0), progress=told)
    assert told.lines == ["compare weights", "note: outputs were not compared: it is missing"]
    assert told.steps == {"compare weights": [(4 * 8, 4 * 8)]}


# A file without channels of the reference


@pytest.fixture
def trimmed(runtime):
    """The reference has dead channels, which the file has not; the runtime yields the constants of them."""
    net, result = NETWORKS["separable"]("int8")
    runtime.reference.write_bytes(tiny_models.to_bytes(net.finished(result)))
    model = serde.read(runtime.reference)
    cut = removal.remove(model)
    serde.write(model, runtime.file)
    runtime.kept = {}
    for each in cut.predicted:
        runtime.kept[each.tensor] = np.zeros(net.shape[each.tensor])
        runtime.kept[each.tensor][..., each.channels] = each.values
    return cut


def test_kept_weights_and_constants_are_held_against_the_reference(trimmed, runtime):
    lines, report = stages(runtime, cut=trimmed)
    assert (report.passed, report.failures) == (True, [])
    assert lines[-1] == "compare constants"
    assert report.weights.equal == report.weights.compared
    assert report.constants.compared == sum(len(each.channels) for each in trimmed.predicted) > 8
    assert report.constants.runtimes == list(EVERY)
    runtime.kept = None
    assert not stages(runtime)[1].passed  # without the cut, the weights are others


def test_constants_are_compared_in_every_signature(runtime, monkeypatch):
    asked = []

    class Check:
        wrong, in_report = (), staticmethod(lambda: None)

        def __init__(self, *of):
            pass

        def run(self, forms, samples, signature):
            asked.append(([form.runtime.name for form in forms], samples[0][0].shape, signature))

    monkeypatch.setattr(engine.predicted, "Check", Check)
    for path in (runtime.file, runtime.reference):
        path.write_bytes(tiny_models.to_bytes(odd_models.two_signatures()))
    assert stages(runtime, cut=Cut())[1].passed
    assert asked == [(list(EVERY), (1, 16), "small"), (list(EVERY), (1, 32), "large")]


def test_a_wrong_constant_is_a_failure(trimmed, runtime):
    wrong = trimmed.predicted[0]
    runtime.kept[wrong.tensor][..., wrong.channels[-1]] += 1
    report = stages(runtime, cut=trimmed)[1]
    assert not report.passed
    assert report.failures == report.constants.wrong
    assert len(report.failures) == len(EVERY)
    assert all(f"the first is channel {wrong.channels[-1]}" in each for each in report.failures)
