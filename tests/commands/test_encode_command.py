"""Test the checks of ``encode`` and ``decode`` before a file gets its name."""

import math

import numpy as np
import pytest

import tflite_sparse
from helpers import odd_models, tiny_models
from helpers.foreign_models import block_sparse, densified, find, read_natively, store_sparse
from helpers.spoiling import change_a_weight, change_the_biases, change_the_scales, spoiling
from helpers.tiny_models import conv2d, depthwise_conv2d, fully_connected, gather, transpose_conv
from tflite_sparse.base.progress import Silent
from tflite_sparse.commands import encode as encode_command
from tflite_sparse.errors import (
    ExecutionError,
    FlatbufferError,
    OutputError,
    SettingsError,
    TfliteSparseError,
    VerificationError,
)
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import encoder
from tflite_sparse.planning.decoder import decode_file
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.report.text import files as file_tables
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.runtime import micro
from tflite_sparse.targets import litert
from tflite_sparse.verification.weights import check_weights

MODELS = {
    f"{make.__name__}_{dtype}": make(dtype=dtype)
    for make in (conv2d, depthwise_conv2d, transpose_conv, gather, fully_connected)
    for dtype in ("int8", "float32")
}
NATIVE_SHAPE = (32, 128)
pytestmark = pytest.mark.usefixtures("in_this_process")


class Listening(Silent):
    """Keep the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def file(tmp_path):
    def write(model, name="source.tflite"):
        path = tmp_path / name
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return write


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target.tflite"


def is_exact(report):
    """Return whether weights and outputs were compared and bit-exact in each of LiteRT's runtimes."""
    found = report.verification
    exact = [runtime.outputs_bit_exact for runtime in found.runtimes]
    return found.passed and found.samples == 8 + 3 and exact == [True] * 3  # random samples and boundaries


def natively(dtype, block):
    """Return a model whose FULLY_CONNECTED reads a sparse weight, in blocks or (1) unstructured; and the dense one."""
    options = {"dtype": dtype, "per_channel": False, "weights": block_sparse(NATIVE_SHAPE, dtype, block)}
    sparse = store_sparse(
        fully_connected(NATIVE_SHAPE, **options), compressed={1}, blocks={1: block} if block > 1 else None
    )
    return read_natively(sparse), fully_connected(NATIVE_SHAPE, **options)


def weights_in(model):
    """Count the weights of a hand-made model."""
    return math.prod(find(model)[1].shape)


@pytest.mark.parametrize("name", MODELS)
def test_the_report_of_encode_is_true(file, target, name):
    source = file(MODELS[name])
    report = encode_command.encode(source, target)
    assert (report.source_bytes, report.file_bytes) == (source.stat().st_size, target.stat().st_size)
    assert report.file_bytes < 0.75 * report.source_bytes
    assert is_exact(report)
    assert report.settings["verification_samples"] == 8
    checked = report.verification.weights
    assert checked.equal == checked.compared == 1  # biases have one axis
    assert checked.values == weights_in(MODELS[name])
    (weight,) = report.tensors
    assert (weight.name, weight.sparsity) == ("weight", 0.875)
    assert weight.dense_bytes == weights_in(MODELS[name]) * (4 if name.endswith("float32") else 1)
    assert weight.entropy_bytes <= weight.encoded_bytes < weight.dense_bytes


@pytest.mark.parametrize("name", MODELS)
def test_the_report_of_decode_is_true(file, target, name):
    source = file(MODELS[name])
    encode_file(source, source, litert.answer)
    report = encode_command.decode(source, target)
    assert (report.source_bytes, report.file_bytes) == (source.stat().st_size, target.stat().st_size)
    assert report.constants == 1
    assert report.weights_checked == weights_in(MODELS[name])


def test_names_are_as_good_as_paths(file, target):
    sparse, dense = str(target), str(target.with_name("dense.tflite"))
    assert tflite_sparse.encode(str(file(conv2d())), sparse).destination == sparse
    assert tflite_sparse.decode(sparse, dense).source == sparse
    assert tflite_sparse.inspect(sparse).path == sparse
    assert tflite_sparse.verify(sparse, dense).passed


def test_in_place_there_and_back(file, target):
    path = file(fully_connected(bias=False, dynamic=True))
    encode_command.decode(path, target)
    encode_command.encode(path, path)
    assert path.stat().st_size < target.stat().st_size / 2
    encode_command.decode(path, path)
    assert check_weights(path, target) == 64 * 600
    assert sorted(p.name for p in path.parent.iterdir()) == ["source.tflite", "target.tflite"]


@pytest.mark.parametrize("zeros", [0, 0.5, 1])
@pytest.mark.parametrize(("make", "dtype"), [(conv2d, "int8"), (fully_connected, "float32")])
def test_never_larger_than_the_source(file, target, make, dtype, zeros):
    shape = (8, 3, 3, 16) if make is conv2d else (16, 48)
    weights = tiny_models.sparse_weights(shape, dtype, 1 - zeros)
    source = file(make(shape, dtype=dtype, weights=weights))
    report = encode_command.encode(source, target)
    assert target.stat().st_size == report.file_bytes <= source.stat().st_size
    assert is_exact(report)


@pytest.mark.parametrize(("dtype", "zeros"), [("int8", 0.5), ("float32", 0.1)])
def test_never_larger_than_a_sparse_source(file, target, dtype, zeros):
    weights = tiny_models.sparse_weights((8, 3, 3, 16), dtype, 1 - zeros)
    sparse = densified(store_sparse(conv2d((8, 3, 3, 16), dtype=dtype, weights=weights), indices="uint8"))
    source = file(sparse)
    assert is_exact(encode_command.encode(source, target))
    assert target.stat().st_size <= source.stat().st_size


@pytest.mark.parametrize(("dtype", "block"), [("int8", 16), ("float32", 4), ("float32", 1)])
def test_what_is_read_natively_stays_so(file, target, dtype, block):
    sparse, dense = natively(dtype, block)
    source = file(sparse)
    report = encode_command.encode(source, target)
    assert is_exact(report)
    assert report.file_bytes <= report.source_bytes
    model = serde.read(target)
    assert tiny_models.operator_names(model) == ["FULLY_CONNECTED"]
    assert model.operatorCodes[0].version == 8
    values = tiny_models.samples(dense, 1)
    found, expected = (tiny_models.run_here(p.read_bytes(), values)[0] for p in (target, source))
    np.testing.assert_array_equal(found, expected)
    assert np.unique(found).size > 10


@pytest.mark.parametrize(("dtype", "block"), [("int8", 16), ("float32", 4), ("float32", 1)])
def test_what_is_read_natively_becomes_dense(file, target, dtype, block):
    sparse, dense = natively(dtype, block)
    report = encode_command.decode(file(sparse), target)
    assert report.constants == 1
    model = serde.read(target)
    assert model.operatorCodes[0].version == {"int8": 4, "float32": 1}[dtype]
    values = tiny_models.samples(dense, 1)
    for resolver in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        found = tiny_models.run_here(target.read_bytes(), values, resolver)[0]
        np.testing.assert_array_equal(found, tiny_models.run_here(tiny_models.to_bytes(dense), values, resolver)[0])
        assert np.unique(found).size > 10


def test_a_source_that_the_default_interpreter_refuses_is_mended(file, target):
    """DENSIFY before an int8 FULLY_CONNECTED, as TensorFlow writes it."""
    source = file(densified(store_sparse(fully_connected(), indices="uint16")))
    with pytest.raises(RuntimeError, match="failed to delegate FULLY_CONNECTED"):
        tiny_models.run_here(source.read_bytes(), tiny_models.samples(fully_connected(), 1))
    report = encode_command.encode(source, target)
    assert is_exact(report)
    values = tiny_models.samples(fully_connected(), 1)
    found = tiny_models.run_here(target.read_bytes(), values)[0]
    np.testing.assert_array_equal(found, tiny_models.run_here(tiny_models.to_bytes(fully_connected()), values)[0])


def test_where_one_runtime_refuses_the_source_the_others_are_compared(file, target, monkeypatch):
    """An example is a dense file that XNNPACK refuses."""
    run = runtime.run_separately

    def refusing(path, samples, kernels="default", **options):
        if kernels == "default":
            raise ExecutionError(f"{runtime.NAMES[kernels]} refuses {path}: failed to delegate")
        return run(path, samples, kernels, **options)

    monkeypatch.setattr(runtime, "run_separately", refusing)
    report = encode_command.encode(file(conv2d()), target)
    exact = {check.name: check.outputs_bit_exact for check in report.verification.runtimes}
    assert exact == {name: name != runtime.NAMES["default"] for name in exact} | {runtime.NAMES["default"]: None}
    assert "failed to delegate" in report.verification.runtimes[0].unavailable


def test_a_source_that_nothing_runs_is_encoded_and_that_is_said(file, target):
    source = file(odd_models.with_custom_operator(conv2d()))
    progress = Listening()
    report = encode_command.encode(source, target, progress=progress)
    assert report.file_bytes < 0.75 * report.source_bytes
    assert check_weights(target, source) == weights_in(conv2d())
    assert any("outputs were not compared" in note for note in progress.notes)
    assert (report.verification.samples, report.verification.runtimes) == (0, [])


def test_a_broken_result_of_a_working_source_is_not_delivered(file, target, monkeypatch):
    """The new file and its reference may fail in the same way; the source did run."""
    source = file(densified(store_sparse(conv2d())))
    decode_model = encode_command.decoder.decode_model

    def spoil(model):
        former = decode_model(model)
        model.operatorCodes[0].version = 99
        return former

    monkeypatch.setattr("tflite_sparse.planning.decoder.decode_model", spoil)
    monkeypatch.setattr("tflite_sparse.planning.encoder.decode_model", spoil)
    with pytest.raises(VerificationError, match=r"target\.tflite was not written"):
        encode_command.encode(source, target)
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_wrong_weights_are_not_delivered(file, target, command, interpreters, monkeypatch):
    source = file(conv2d())
    target.write_bytes(b"old")
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_a_weight))
    monkeypatch.setattr(encode_command.decoder, "decode_file", spoiling(decode_file, change_a_weight))
    with pytest.raises(VerificationError, match="weight 'weight'"):
        getattr(encode_command, command)(source, target)
    assert target.read_bytes() == b"old"
    assert sorted(source.parent.iterdir()) == [source, target]


def test_wrong_outputs_are_not_delivered(file, target, interpreters, monkeypatch):
    """Change a scale, which no comparison of weights detects."""
    source = file(conv2d())
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_the_scales))
    with pytest.raises(VerificationError, match=r"output 'y0' \(0\) differs.*target\.tflite was not written") as caught:
        encode_command.encode(source, target)
    assert "weight" not in str(caught.value)
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.parametrize("command_target", ["litert", "micro"])
@pytest.mark.parametrize(
    ("model", "line"),
    [
        (lambda: conv2d(density=1.0), "No weights became sparse: 0.0% of them are zeros. Prune the model"),
        (lambda: conv2d(density=0.96), "No weights became sparse: 4.0% of them are zeros. Prune the model"),
        (lambda: odd_models.addition("float32"), "It holds no weights that could become sparse."),
        (lambda: conv2d(density=0.9), None),  # the table tells why 10 % zeros are too few
        (conv2d, None),
    ],
)
def test_a_file_without_zeros_is_said_to_be_one(file, target, interpreters, model, line, command_target):
    report = encode_command.encode(file(model()), target, target=command_target, verification_samples=1)
    found = [each for each in file_tables.encoding(report) if "became sparse" in each or "become sparse" in each]
    assert len(found) == (line is not None)
    assert all(line in each for each in found)


def test_no_zeros_are_asked_for_where_the_target_leaves_weights_dense(file, target, interpreters):
    report = encode_command.encode(file(conv2d(density=1.0)), target, verification_samples=1)
    assert any("became sparse" in line for line in file_tables.encoding(report))
    report = report.model_copy(update={"settings": {**report.settings, "target": "ethos-u"}})
    assert not any("became sparse" in line for line in file_tables.encoding(report))


def test_outputs_of_a_decoded_file_are_compared_too(file, target, interpreters, monkeypatch):
    source = file(densified(store_sparse(conv2d())))
    monkeypatch.setattr(encode_command.decoder, "decode_file", spoiling(decode_file, change_the_biases(700)))
    with pytest.raises(VerificationError, match=r"output 'y0' \(0\) differs.*target\.tflite was not written"):
        encode_command.decode(source, target)
    assert list(source.parent.iterdir()) == [source]


def test_a_decoded_file_is_compared_where_its_source_runs(file, target):
    """The default interpreter and CompiledModel refuse DENSIFY before an int8 FULLY_CONNECTED."""
    report = encode_command.decode(file(densified(store_sparse(fully_connected(), indices="uint16"))), target)
    checks = {check.name: check for check in report.verification.runtimes}
    assert "failed to delegate" in checks[runtime.NAMES["default"]].unavailable
    assert checks[runtime.NAMES["builtin"]].outputs_bit_exact
    assert report.verification.passed


@pytest.mark.parametrize(("by", "passes"), [(0, True), (700, True), (9000, False)])
def test_a_decoded_file_may_round_in_another_way_than_native_kernels(
    file, target, by, passes, interpreters, monkeypatch
):
    source = file(natively("int8", 16)[0])
    monkeypatch.setattr(encode_command.decoder, "decode_file", spoiling(decode_file, change_the_biases(by)))
    if passes:
        assert encode_command.decode(source, target).verification.passed
    else:
        with pytest.raises(VerificationError, match="differs on"):
            encode_command.decode(source, target)


@pytest.mark.slow
def test_a_file_for_micro_is_compared_there_when_it_is_decoded(file, target, monkeypatch):
    source = file(conv2d())
    encode_command.encode(source, source, target="micro")
    verification = encode_command.decode(source, target).verification
    assert verification.passed
    assert (verification.file, verification.against) == (str(target), str(source))
    assert all(check.name.startswith("TensorFlow Lite Micro") for check in verification.runtimes)
    assert len(verification.runtimes) == 2
    monkeypatch.setattr(encode_command.decoder, "decode_file", spoiling(decode_file, change_the_biases(700)))
    with pytest.raises(VerificationError, match=r"output 'y0' \(0\) differs"):
        encode_command.decode(source, target)


def test_without_the_runtime_of_micro_the_report_says_so(file, target, monkeypatch):
    monkeypatch.setattr(micro, "is_available", lambda: False)
    report = encode_command.encode(file(conv2d()), target, target="micro")
    assert "extra micro" in report.verification.not_compared
    assert any("Outputs were not compared: TensorFlow Lite Micro" in line for line in file_tables.encoding(report))


def two_percent_at_most(source, by):
    """Return whether raising the biases changes the outputs of a file, by at most 2 % of their range."""
    model = serde.read(source)
    change_the_biases(by)(model)
    values = tiny_models.samples(serde.read(source), 1)
    one, two = (
        tiny_models.run_here(content, values)[0].astype(np.float64)
        for content in (source.read_bytes(), serde.serialize(model))
    )
    span = 255 if by >= 1 else np.ptp(one)
    return bool(0 < np.abs(one - two).max() <= 0.02 * span)


@pytest.mark.parametrize("optimize", ["size", "latency"])
@pytest.mark.parametrize(("dtype", "block", "by"), [("int8", 16, 700), ("float32", 4, 0.05), ("float32", 1, 0.05)])
def test_of_what_was_read_natively_before_not_the_smallest_difference_passes(
    file, target, dtype, block, by, optimize, interpreters, monkeypatch
):
    """Its kernel stays the same, so no rounding differs from the source's."""
    source = file(natively(dtype, block)[0])
    assert two_percent_at_most(source, by)
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_the_biases(by)))
    with pytest.raises(VerificationError, match=r"output 'y0' \(0\) differs on \d+ of 11 samples"):
        encode_command.encode(source, target, optimize=optimize)
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.parametrize(("optimize", "by", "passes"), [("size", 700, False), ("latency", 700, True),
                                                        ("latency", 9000, False)])  # fmt: skip
def test_a_small_difference_passes_only_where_a_native_kernel_was_chosen(
    file, target, optimize, by, passes, native_is_fastest, interpreters, monkeypatch
):
    source = file(natively("int8", 16)[1])
    assert two_percent_at_most(source, by) is (by == 700)
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change_the_biases(by)))
    if passes:
        report = encode_command.encode(source, target, optimize=optimize)
        assert tiny_models.operator_names(serde.read(target)) == ["FULLY_CONNECTED"]
        assert [runtime.outputs_bit_exact for runtime in report.verification.runtimes] == [False] * len(interpreters)
    else:
        with pytest.raises(VerificationError, match="differs on"):
            encode_command.encode(source, target, optimize=optimize)
        assert list(source.parent.iterdir()) == [source]


@pytest.mark.parametrize("work", [encode_command.encode, encode_command.decode])
def test_bad_sources_and_places_leave_nothing(tmp_path, target, work):
    source = tmp_path / "source.tflite"
    with pytest.raises(FlatbufferError, match=r"cannot read .*source\.tflite"):
        work(source, target)
    source.write_bytes(b"PK\x03\x04" * 9)
    with pytest.raises(FlatbufferError, match=r"source\.tflite is not a \.tflite file"):
        work(source, target)
    source.write_bytes(tiny_models.to_bytes(conv2d()))
    with pytest.raises(OutputError, match="cannot write"):
        work(source, tmp_path / "absent" / "target.tflite")
    assert list(tmp_path.iterdir()) == [source]


def test_settings_are_checked_before_anything_is_read(tmp_path, target):
    for wrong in ({"verification_samples": -1}, {"seed": -1}, {"color": "red"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            encode_command.encode(tmp_path / "absent.tflite", target, **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".h", ".cc"])
def test_the_file_and_its_array_cannot_have_one_name(suffix, tmp_path):
    source, destination = tmp_path / "in.tflite", tmp_path / f"out{suffix}"
    source.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    with pytest.raises(TfliteSparseError):
        encode_command.encode(source, destination, target="micro", c_array=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.tflite"]


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    path.chmod(0o600)
    encode_command.encode(path, path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_the_user_in_the_folder_stays(tmp_path):
    """The command chose its name; only a folder that holds the C files of an earlier run has one of ours."""
    given, theirs = tmp_path / "given.tflite", tmp_path / "out" / "model.tflite"
    given.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((16, 160))))
    theirs.parent.mkdir()
    theirs.write_text("mine")
    with pytest.raises(OutputError, match="would be replaced: move it, set `name`"):
        tflite_sparse.encode(given, theirs.parent, target="c")
    assert theirs.read_text() == "mine"
