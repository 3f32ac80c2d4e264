"""Run ``verify`` on files that agree, files that do not, and files that cannot be compared."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from helpers.tools import run_cli
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import litert, micro

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def write(tmp_path):
    def to_file(model, name):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return to_file


def verify(file, dense, *options):
    """Return the exit code and the report, which fits its schema."""
    run = run_cli("verify", file, "--against", dense, "--samples", 5, "--quiet", "--json", *options)
    assert run.stderr == ""
    report = VerificationReport.model_validate_json(run.stdout)
    assert report.passed == (run.code == 0) == (not report.failures)
    every = [litert.NAMES[kernels] for kernels in litert.KERNELS_TO_VERIFY]
    signatures = len({check.signature for check in report.runtimes})
    assert [check.name for check in report.runtimes] == every * signatures != []
    return run.code, report


def by_kernels(report):
    names = {name: kernels for kernels, name in litert.NAMES.items()}
    return {names[check.name]: check for check in report.runtimes}


def shift_bias(tensor, model):
    model.buffers[tensor.buffer].data = (model.buffers[tensor.buffer].data.view(np.int32) + 9000).view(np.uint8)


# Files that agree


@pytest.mark.parametrize("model", [tiny_models.conv2d, tiny_models.depthwise_conv2d], ids=lambda make: make.__name__)
def test_an_encoded_file_agrees_in_every_runtime(model, encode):
    pair = encode(model(density=0.1) if model is tiny_models.conv2d else model())
    assert "DENSIFY" in pair.operators
    code, report = verify(pair.sparse, pair.dense)
    assert code == 0
    assert (report.file, report.against, report.samples) == (str(pair.sparse), str(pair.dense), 8)
    assert (report.weights.compared, report.weights.equal) == (1, 1)
    assert all(check.outputs_bit_exact and check.within_tolerance for check in report.runtimes)


def test_rounding_of_the_reference_kernels_is_reported_but_no_failure(encode):
    """They round FULLY_CONNECTED differently from the CONV_2D that replaces it: about one output in 1,000."""
    pair = encode(tiny_models.fully_connected((256, 600)))
    assert "CONV_2D" in pair.operators
    code, report = verify(pair.sparse, pair.dense, "--samples", 40)
    checks = by_kernels(report)
    assert code == 0
    assert report.samples == 43
    assert checks["reference"].outputs_bit_exact is checks["reference"].gate is False
    (difference,) = checks["reference"].differences
    assert difference.largest_difference == 1
    assert checks["reference"].first_difference.tensor == "y0"
    assert all(checks[kernels].outputs_bit_exact and checks[kernels].gate for kernels in litert.ALL_KERNELS)


def test_text(encode):
    pair = encode(tiny_models.conv2d())
    run = run_cli("verify", pair.sparse, "--against", pair.dense, "--samples", 2)
    assert run.code == 0
    assert run.stdout.count("bit exact") == 4
    assert "Weights: 1 of 1 tensors (9,216 weights) equal bit for bit" in run.stdout
    assert f"Verified: {pair.sparse} computes what {pair.dense} does" in run.stdout.replace("\n", " ")
    assert "compare weights" in run.stderr


def test_state(write):
    """CompiledModel of 2.3.0 takes no variables: this is reported and does not pass."""
    paths = write(odd_models.recurrent(), "file"), write(odd_models.recurrent(), "dense")
    code, report = verify(*paths)
    checks = by_kernels(report)
    assert code == 0
    assert [checks[kernels].outputs_bit_exact for kernels in litert.KERNELS_TO_VERIFY] == [True, True, True, None]
    assert "dense.tflite" in checks["compiled_model"].unavailable
    run = run_cli("verify", paths[0], "--against", paths[1], "--samples", 1, "--quiet")
    assert "not compared" in run.stdout
    assert "Not compared in LiteRT CompiledModel (CPU):" in run.stdout
    assert "CompiledModel" not in run.stdout.partition("Verified:")[2]


def test_several_inputs_without_weights(write):
    model = odd_models.addition("int16", (2, 3))
    code, report = verify(write(model, "file"), write(model, "dense"))
    assert code == 0
    assert report.weights.compared == 0
    assert [check.outputs_bit_exact for check in report.runtimes] == [True] * 4


# Files that do not


def test_a_weight_that_differs_is_named(write):
    dense = write(odd_models.two_layers(), "dense")
    model = odd_models.edited(odd_models.two_layers(), "second weight", odd_models.flip_bit)
    code, report = verify(write(model, "file"), dense)
    assert code == 1
    assert (report.weights.compared, report.weights.equal, report.weights.different) == (2, 1, ["second weight"])
    assert "weight 'second weight' differs" in report.failures
    run = run_cli("verify", dense.with_name("file.tflite"), "--against", dense, "--samples", 1, "--quiet")
    assert run.code == 1
    assert "FAILED weight 'second weight' differs." in run.stdout
    assert "Verified" not in run.stdout


def differences_by_numpy(file, dense, sample, kernels):
    """Return the difference of the outputs of two files on an input filled with ``sample``."""
    values = np.full((1, 16), sample, np.int8)
    one, two = (
        tiny_models.run_here(path.read_bytes(), values, tiny_models.RESOLVERS[kernels])[0] for path in (file, dense)
    )
    return np.abs(one.astype(int) - two.astype(int)).max()


def test_a_bias_that_differs_shows_in_the_outputs(write):
    """Without random samples only the boundaries are run."""
    dense = write(odd_models.two_layers(), "dense")
    file = write(odd_models.edited(odd_models.two_layers(), "bias", shift_bias), "file")
    code, report = verify(file, dense, "--samples", 0)
    assert code == 1
    assert report.weights.equal == 2
    for kernels, check in by_kernels(report).items():
        assert check.outputs_bit_exact is check.within_tolerance is False
        (difference,) = check.differences
        assert (difference.output, difference.index, difference.samples) == ("y", 0, 3)
        each = [differences_by_numpy(file, dense, sample, kernels) for sample in (-128, 127, -3)]
        assert difference.largest_difference == max(each) > 1
        first = check.first_difference
        assert (first.tensor, first.operator, first.sample) == ("y", "FULLY_CONNECTED", 0)
        assert first.largest_difference == each[0]
    assert verify(file, dense, "--samples", 0, "--tolerance", max(each))[0] == 0
    code, report = verify(file, dense, "--samples", 0, "--tolerance", max(each) - 1)
    assert code == 1
    assert report.tolerance == max(each) - 1


def test_the_first_tensor_is_not_the_output(write):
    dense = write(odd_models.two_layers(), "dense")

    def shift_zero_point(tensor, model):
        tensor.quantization.zeroPoint = tensor.quantization.zeroPoint + 9

    file = write(odd_models.edited(odd_models.two_layers(), "hidden", shift_zero_point), "file")
    code, report = verify(file, dense)
    assert code == 1
    for check in report.runtimes:
        assert check.differences[0].output == "y"
        assert check.first_difference.tensor == "hidden"
    run = run_cli("verify", file, "--against", dense, "--samples", 1, "--quiet")
    assert "FAILED" in run.stdout
    assert "hidden (FULLY_CONNECTED)" in run.stdout


def saturated():
    """Return a model whose output is always 127."""

    def raise_bias(tensor, model):
        model.buffers[tensor.buffer].data = np.full(10, 10**8, np.int32).view(np.uint8)

    return odd_models.edited(odd_models.two_layers(), "bias", raise_bias)


def test_intermediate_tensors_are_compared_if_outputs_never_vary(write):
    dense = write(saturated(), "dense")
    code, report = verify(write(saturated(), "file"), dense)
    assert code == 0
    assert [check.outputs_vary for check in report.runtimes] == [False] * 4

    def shift_zero_point(tensor, model):
        tensor.quantization.zeroPoint = tensor.quantization.zeroPoint + 9

    file = write(odd_models.edited(saturated(), "hidden", shift_zero_point), "other")
    code, report = verify(file, dense)
    assert code == 1
    for check in report.runtimes:
        assert (check.outputs_bit_exact, check.within_tolerance, check.differences) == (True, False, [])
        assert check.first_difference.tensor == "hidden"
    assert verify(file, dense, "--tolerance", 9)[0] == 0
    run = run_cli("verify", file, "--against", dense, "--samples", 1, "--quiet")
    assert "The outputs are the same for every sample" in run.stdout
    assert "bit exact" not in run.stdout


def test_each_signature_is_compared(write):
    dense = write(odd_models.two_signatures(), "dense")
    code, report = verify(dense, dense)
    assert code == 0
    assert [check.signature for check in report.runtimes] == ["small"] * 4 + ["large"] * 4
    model = odd_models.two_signatures()
    shift_bias([t for graph in model.subgraphs for t in graph.tensors if t.name == "bias"][1], model)
    code, report = verify(write(model, "file"), dense)
    assert code == 1
    small, large = report.runtimes[:4], report.runtimes[4:]
    assert [check.outputs_bit_exact for check in small] == [True] * 4
    for check in large:
        assert check.outputs_bit_exact is False
        assert check.differences[0].output == "out_0"
        assert check.first_difference.tensor == "y0"
    assert len(report.failures) == 2 * 3  # none is of the reference kernels
    assert all("signature 'large'" in failure for failure in report.failures)


def test_a_signature_that_is_missing(write):
    file = write(tiny_models.fully_connected((6, 16), density=0.5), "file")
    code, report = verify(file, write(odd_models.two_signatures(), "dense"))
    assert code == 1
    assert [bool(check.refused) for check in report.runtimes if check.signature == "large"] == [True] * 4


def test_other_inputs_are_a_refusal(write):
    code, report = verify(
        write(tiny_models.fully_connected((4, 9)), "file"), write(tiny_models.fully_connected((4, 8)), "dense")
    )
    assert code == 1
    assert [bool(check.refused) for check in report.runtimes] == [True] * 4
    assert {check.outputs_bit_exact for check in report.runtimes} == {False}


def test_fewer_outputs_are_a_refusal(write):
    file, dense = (write(tiny_models.fully_connected((4, 8), readers=count), str(count)) for count in (1, 2))
    code, report = verify(file, dense)
    assert code == 1
    assert ["has 1 outputs instead of 2" in check.refused for check in report.runtimes] == [True] * 4


def test_a_file_that_the_default_interpreter_refuses(write):
    """DENSIFY before int8 FULLY_CONNECTED, as TensorFlow's converter writes it; the built-in kernels accept it."""
    dense = tiny_models.fully_connected((64, 128), per_channel=False)
    model = tiny_models.fully_connected((64, 128), per_channel=False)
    graph = model.subgraphs[0]
    weight = graph.tensors[1]
    whole = schema.TensorT()
    whole.name, whole.type, whole.shape, whole.quantization = "whole", weight.type, weight.shape, weight.quantization
    whole.hasRank, whole.buffer = True, 0
    graph.tensors.append(whole)
    levels = [schema.DimensionMetadataT(), schema.DimensionMetadataT()]
    levels[0].format, levels[0].denseSize = schema.DimensionType.DENSE, 64
    levels[1].format, levels[1].denseSize = schema.DimensionType.DENSE, 128
    weight.sparsity = schema.SparsityParametersT()
    weight.sparsity.traversalOrder, weight.sparsity.dimMetadata = np.arange(2, dtype=np.int32), levels
    values = model.buffers[weight.buffer].data.view(np.int8).reshape(64, 128)
    rows, columns = np.nonzero(values)
    levels[1].format = schema.DimensionType.SPARSE_CSR
    levels[1].arraySegmentsType = levels[1].arrayIndicesType = schema.SparseIndexVector.Int32Vector
    levels[1].arraySegments, levels[1].arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
    levels[1].arraySegments.values = np.searchsorted(rows, np.arange(65)).astype(np.int32)
    levels[1].arrayIndices.values = columns.astype(np.int32)
    model.buffers[weight.buffer].data = values[rows, columns].view(np.uint8)
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.DENSIFY, 124, 1
    model.operatorCodes.append(code)
    densify = schema.OperatorT()
    densify.opcodeIndex = len(model.operatorCodes) - 1
    densify.inputs, densify.outputs = np.array([1], np.int32), np.array([len(graph.tensors) - 1], np.int32)
    reader = graph.operators[0]
    reader.inputs = np.array([reader.inputs[0], densify.outputs[0], reader.inputs[2]], np.int32)
    graph.operators = [densify, reader]

    exit_code, report = verify(write(model, "file"), write(dense, "dense"))
    checks = by_kernels(report)
    assert exit_code == 1
    assert report.weights.equal == 1
    assert "failed to delegate" in checks["default"].refused
    assert checks["builtin"].outputs_bit_exact
    assert any("failed to delegate" in failure for failure in report.failures)


# What is run


class Recorded:
    """Run LiteRT's interpreters in this process; for speed CompiledModel returns the default one's outputs."""

    def __init__(self, monkeypatch):
        self.runs = []
        run = litert.run_separately

        def record(path, samples, kernels, **options):
            self.runs.append((samples, options["threads"]))
            return run(path, samples, "default" if kernels == "compiled_model" else kernels, **options)

        monkeypatch.setattr(litert, "run_separately", record)


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_reach_every_run(threads, write, recorded):
    """This includes runs that find where the files differ."""
    dense = write(odd_models.two_layers(), "dense")
    file = write(odd_models.edited(odd_models.two_layers(), "bias", shift_bias), "file")
    assert verify(file, dense, "--threads", threads)[0] == 1
    assert [used for _, used in recorded.runs] == [threads] * 4 * (2 + 2)


def test_seed_and_samples_decide_what_is_run(write, recorded):
    dense = write(odd_models.two_layers(), "dense")

    def drawn(*options):
        recorded.runs.clear()
        _, report = verify(dense, dense, *options)
        first, *others = [np.concatenate([array for (array,) in samples]) for samples, _ in recorded.runs]
        assert len(others) == 7
        assert all(np.array_equal(first, other) for other in others)
        assert report.samples == len(first)
        return first, report.seed

    (zero, _), (again, _), (other, seed), (fewer, _) = (
        drawn(*options) for options in ((), ("--seed", 0), ("--seed", 7), ("--samples", 2))
    )
    assert seed == 7
    assert [len(found) for found in (zero, other, fewer)] == [8, 8, 5]
    assert [np.unique(sample).tolist() for sample in zero[:3]] == [[-128], [127], [-3]]
    assert np.array_equal(zero, again)
    assert np.array_equal(zero[:3], other[:3])
    assert not any(np.array_equal(*pair) for pair in zip(zero[3:], other[3:], strict=True))


def test_seed_and_samples_decide_what_is_run_in_micro(write, monkeypatch):
    runs = []

    def record(path, samples, **_):
        runs.append(np.concatenate([array for (array,) in samples]))
        return litert.run_separately(path, samples, "reference")

    monkeypatch.setattr(micro, "is_available", lambda: True)
    monkeypatch.setattr(micro, "run_separately", record)
    dense = write(odd_models.two_layers(), "dense")
    for options in ((), ("--seed", 0), ("--seed", 7), ("--samples", 2)):
        run = run_cli("verify", dense, "--against", dense, "--target", "micro", "--quiet", *options)
        assert run.code == 0
    zero, again, other, fewer = runs[::2]
    assert all(np.array_equal(*pair) for pair in zip(runs[::2], runs[1::2], strict=True))  # both files
    assert [len(found) for found in (zero, other, fewer)] == [19, 19, 5]
    assert np.array_equal(zero, again)
    assert not any(np.array_equal(*pair) for pair in zip(zero[3:], other[3:], strict=True))


# Files that cannot be compared


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 50])
@pytest.mark.parametrize("which", ["file", "dense"])
def test_bad_files(which, content, write, tmp_path):
    paths = {name: write(tiny_models.fully_connected((4, 8)), name) for name in ("file", "dense")}
    paths[which].unlink()
    if content is not None:
        paths[which].write_bytes(content)
    run = run_cli("verify", paths["file"], "--against", paths["dense"], "--quiet")
    assert run.code == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert f"{which}.tflite" in run.stderr
    assert len(run.stderr.strip().splitlines()) <= 2


def test_a_dense_file_that_does_not_run(write):
    def unknown(model):
        code = model.operatorCodes[0]
        code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, "vendor_operator"
        code.deprecatedBuiltinCode = code.builtinCode
        return model

    path = write(unknown(tiny_models.fully_connected((4, 8))), "dense")
    run = run_cli("verify", path, "--against", path, "--quiet")
    assert run.code == 2
    assert "vendor_operator" in run.stderr
    assert "dense.tflite" in run.stderr


def test_options_out_of_range(write):
    path = write(tiny_models.fully_connected((4, 8)), "dense")
    for option in (("--samples", -1), ("--threads", 0), ("--tolerance", -0.5), ("--seed", -1)):
        run = run_cli("verify", path, "--against", path, *option)
        assert run.code == 2
        assert option[0] in run.stderr
    assert run_cli("verify", path).code == 2


def test_strings_cannot_be_made_up(write):
    """The input is a string tensor, as of HASHTABLE_FIND; the check comes before the operator runs."""
    tiny = tiny_models.Tiny()
    x = tiny.tensor("x", (1, 4), "int32")
    y = tiny.tensor("y", (1, 2, 2), "int32")
    for index in (x, y):
        tiny.graph.tensors[index].type = schema.TensorType.STRING
    shape = tiny.constant("shape", np.array([1, 2, 2], np.int32))
    tiny.operator(schema.BuiltinOperator.RESHAPE, 1, [x, shape], [y])
    path = write(tiny.finished([x], [y]), "strings")
    run = run_cli("verify", path, "--against", path, "--quiet")
    assert run.code == 2
    assert "strings.tflite: input 'x' takes no numbers" in run.stderr
