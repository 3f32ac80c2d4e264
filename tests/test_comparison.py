"""What ``verify`` makes of the outputs of two files: tolerances at their edges, runtimes that count and that do not."""

import math

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError, SettingsError
from tflite_sparse.report.text import verification as verification_tables
from tflite_sparse.runtime import litert
from tflite_sparse.verification import compare_files as comparison
from tflite_sparse.verification import each_operator, localise
from tflite_sparse.verification.localise import FirstDifference

SAMPLES = 4  # one random, after those at the boundaries
EVERY = litert.KERNELS_TO_VERIFY


class Runtime:
    """LiteRT, yielding what the test says; it remembers what it was asked.

    Attributes:
        outputs: by file, a function of the number of the sample and the runtime that gives the arrays or raises.
        first: where two files part, as :func:`localise.first_difference` tells.
        runs: file, samples, runtime, signature and threads of each run.
        localised: sample, runtime, signature and threads of each question where files part.
    """

    def __init__(self, folder):
        self.file, self.reference = folder / "file.tflite", folder / "reference.tflite"
        self.outputs = {self.file.name: zeros, self.reference.name: zeros}
        self.first = None
        self.runs, self.localised = [], []

    def run_separately(self, path, samples, kernels, *, signature, threads):
        self.runs.append((path.name, samples, kernels, signature, threads))
        rows = tuple(tuple(self.outputs[path.name](number, kernels)) for number in range(len(samples)))
        names = tuple(f"y{index}" for index in range(len(rows[0])))
        return litert.SeparateOutputs(names, tuple(range(len(names))), rows)

    def first_difference(self, path, reference, sample, kernels, *, signature, threads):
        assert (path, reference) == (self.file, self.reference)
        self.localised.append((sample, kernels, signature, threads))
        return self.first

    def yields(self, file, reference=None):
        """Let the two files yield these arrays; each a list, or a function as in ``outputs``."""
        for path, given in ((self.file, file), (self.reference, file if reference is None else reference)):
            self.outputs[path.name] = given if callable(given) else lambda *_, given=given: given

    def verify(self, **options):
        return comparison.verify(self.file, self.reference, **{"samples": SAMPLES - 3, **options})


def zeros(number, kernels):
    return [np.zeros(3, np.int8)]


@pytest.fixture
def runtime(tmp_path, monkeypatch, in_this_process):
    found = Runtime(tmp_path)
    for path in (found.file, found.reference):
        path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((4, 8))))
    monkeypatch.setattr(litert, "run_separately", found.run_separately)
    monkeypatch.setattr(localise, "first_difference", found.first_difference)
    return found


def of(size, dtype="int8"):
    """Outputs that depend on the sample, moved by so much."""
    return lambda number, kernels: [np.array([number + size, 2 * number], dtype)]


# One runtime beside another


@pytest.fixture
def named(monkeypatch):
    """What the operators, run one by one, are said to tell."""

    def tell(found):
        monkeypatch.setattr(each_operator, "first_unexplained", lambda *_: found)

    return tell


@pytest.mark.parametrize(("apart", "asked"), [(0, False), (1, False), (2, True)])
def test_a_fault_that_both_files_share_is_told(apart, asked, runtime, named):
    """LiteRT's runtimes are compared on the reference; a rounding is not worth a question."""
    named(FirstDifference("hidden", "CONV_2D", 7.0))
    runtime.yields(lambda number, kernels: [np.array([number + apart * (kernels == "builtin")], np.int8)])
    report = runtime.verify()
    assert report.passed  # which runtime is wrong is not known
    assert [each.beside for each in report.across] == [
        litert.NAMES[kernels] for kernels in ("default", "compiled_model")
    ]
    assert [each.largest_difference for each in report.across] == [apart] * 2
    assert [each.explained for each in report.across] == [not asked] * 2
    told = [line for line in verification_tables.verdicts(report) if "is the first to compute something else" in line]
    assert len(told) == 2 * asked
    assert all("CONV_2D" in line and "'hidden' is apart by up to 7" in line for line in told)


def test_operators_that_do_not_run_one_by_one_tell_nothing(runtime, named):
    named(FirstDifference(note="copies do not run"))
    runtime.yields(lambda number, kernels: [np.array([9 * (kernels == "builtin")], np.int8)])
    report = runtime.verify()
    assert [each.explained for each in report.across] == [None] * 2
    assert not [line for line in verification_tables.verdicts(report) if "beside" in line]


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

    def moved(number, kernels):
        return [np.array([number + (number == index) * (1, 2, 5)[index]], np.int16) for index in range(3)]

    runtime.yields(moved, lambda number, kernels: [np.array([number], np.int16)] * 3)
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
        return lambda number, kernels: [np.array([values[number] + moved]), np.array([10 * values[number]])]

    runtime.yields(outputs(size), outputs(0.0))
    assert runtime.verify(**options).passed is passes


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
    runtime.yields(lambda number, kernels: [np.zeros(2), np.array([0, float(number == place)])])
    report = runtime.verify()
    assert report.passed
    assert [check.outputs_vary for check in report.runtimes] == [place is not None] * 4
    assert [kernels for _, kernels, _, _ in runtime.localised] == ([] if place is not None else list(EVERY))


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
    def moved(number, kernels):
        return [np.array([number + (number >= 2)]), np.array([number + (number >= 1)])]

    runtime.yields(moved, lambda number, kernels: [np.array([number])] * 2)
    runtime.first = FirstDifference("hidden", "ADD", 1.0)
    report = runtime.verify()
    assert [check.first_difference.sample for check in report.runtimes] == [1] * 4
    samples = runtime.runs[0][1]
    assert all(np.array_equal(sample, samples[1]) for sample, _, _, _ in runtime.localised)
    runtime.first = None
    (first, *_) = (check.first_difference for check in runtime.verify().runtimes)
    assert first.tensor is None
    assert "the difference vanishes" in first.note


# Runtimes


def only_in(*where):
    """Outputs that are moved in these runtimes."""
    return lambda number, kernels: [np.array([number + (kernels in where)])]


@pytest.mark.parametrize("kernels", EVERY)
def test_a_difference_fails_in_every_runtime_but_the_reference_kernels(kernels, runtime):
    runtime.yields(only_in(kernels), only_in())
    report = runtime.verify()
    assert report.passed is (kernels == "reference")
    assert [check.gate for check in report.runtimes] == [each != "reference" for each in EVERY]
    assert [check.within_tolerance for check in report.runtimes] == [each != kernels for each in EVERY]
    assert [failure.partition(":")[0] for failure in report.failures if "output" in failure] == (
        [] if kernels == "reference" else [litert.NAMES[kernels]]
    )


@pytest.mark.parametrize("kernels", EVERY)
def test_a_file_that_is_refused_where_the_reference_runs_fails(kernels, runtime):
    """In the reference kernels too: rounding is no reason there."""

    def refuse(number, where):
        if where == kernels:
            raise ExecutionError("no such kernel")
        return zeros(number, where)

    runtime.yields(refuse, zeros)
    report = runtime.verify()
    assert (report.passed, report.failures) == (False, [f"{litert.NAMES[kernels]}: no such kernel"])
    check = next(check for check in report.runtimes if check.name == litert.NAMES[kernels])
    assert (check.refused, check.outputs_bit_exact, check.within_tolerance) == ("no such kernel", False, False)


@pytest.mark.parametrize("kernels", EVERY)
def test_only_the_default_interpreter_must_run_the_reference(kernels, runtime):
    def refuse(number, where):
        if where == kernels:
            raise ExecutionError("no such kernel")
        return zeros(number, where)

    runtime.yields(refuse)
    if kernels == "default":
        with pytest.raises(ExecutionError, match="no such kernel"):
            runtime.verify()
        return
    report = runtime.verify()
    assert report.passed
    check = next(check for check in report.runtimes if check.name == litert.NAMES[kernels])
    assert (check.unavailable, check.outputs_bit_exact, check.within_tolerance) == ("no such kernel", None, None)


@pytest.mark.parametrize(("ours", "theirs"), [(1, 2), (2, 1)])
def test_another_number_of_outputs_fails(ours, theirs, runtime):
    runtime.yields([np.zeros(2)] * ours, [np.zeros(2)] * theirs)
    report = runtime.verify()
    assert not report.passed
    assert all(f"has {ours} outputs instead of {theirs}" in failure for failure in report.failures)
    assert len(report.failures) == 4


def test_only_the_runtimes_that_were_named_are_asked(runtime):
    report = runtime.verify(kernels=("builtin", "compiled_model"))
    assert [check.name for check in report.runtimes] == [litert.NAMES["builtin"], litert.NAMES["compiled_model"]]
    assert [(name, kernels) for name, _, kernels, _, _ in runtime.runs] == [
        (path.name, kernels) for kernels in ("builtin", "compiled_model") for path in (runtime.reference, runtime.file)
    ]
    runtime.runs.clear()
    report = runtime.verify(kernels=())
    assert (report.passed, report.runtimes, report.samples, runtime.runs) == (True, [], 0, [])


# Threads and samples


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_reach_every_run(threads, runtime):
    runtime.verify(threads=threads)
    assert [each[-1] for each in (*runtime.runs, *runtime.localised)] == [threads] * (8 + 4)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_as_many_random_samples_as_asked_for_follow_the_boundaries(count, runtime):
    report = runtime.verify(samples=count, seed=9)
    assert (report.samples, report.seed) == (3 + count, 9)
    for _, samples, _, _, _ in runtime.runs:
        assert len(samples) == 3 + count
        assert [np.unique(array).tolist() for (array,) in samples[:3]] == [[-128], [127], [-3]]
        assert all(array.shape == (1, 8) for (array,) in samples)


def test_the_seed_decides_the_samples(runtime):
    def drawn(seed):
        runtime.runs.clear()
        runtime.verify(samples=2, seed=seed)
        first, *others = [np.array(samples) for _, samples, _, _, _ in runtime.runs]
        assert all(np.array_equal(first, other) for other in others)  # both files, in every runtime
        return first

    assert np.array_equal(drawn(5), drawn(5))
    assert not np.array_equal(drawn(5)[3:], drawn(6)[3:])


def test_every_signature_is_run_with_its_own_inputs(runtime):
    for path in (runtime.file, runtime.reference):
        path.write_bytes(tiny_models.to_bytes(odd_models.two_signatures()))
    report = runtime.verify(threads=2)
    assert [check.signature for check in report.runtimes] == ["small"] * 4 + ["large"] * 4
    found = {(signature, samples[0][0].shape, threads) for _, samples, _, signature, threads in runtime.runs}
    assert found == {("small", (1, 16), 2), ("large", (1, 32), 2)}
    assert {(signature, threads) for _, _, signature, threads in runtime.localised} == {("small", 2), ("large", 2)}


@pytest.mark.parametrize("wrong", [{"samples": -1}, {"threads": 0}, {"tolerance": -1e-9}, {"tolerance": math.nan}])
def test_numbers_out_of_range(wrong, runtime):
    with pytest.raises(SettingsError, match="samples must be 0 or more"):
        runtime.verify(**wrong)
    assert runtime.runs == []
