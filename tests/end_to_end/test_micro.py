"""Test ``--target micro``: files for TensorFlow Lite Micro, their reports, and refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from helpers import micro_process, odd_models, tiny_models
from helpers.tools import run_cli
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.export import Report
from tflite_sparse.results.files import EncodingReport
from tflite_sparse.results.micro import DECODER_FLASH_BYTES, TRADE
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import litert, micro
from tflite_sparse.stages.deliver import (
    DENSE_FLOAT32,
    DENSE_INT8,
    REPORT_HTML,
    REPORT_JSON,
    REPORT_MARKDOWN,
    SPARSE,
)

pytestmark = micro_process.needed

ALIGNMENT = 16


@pytest.fixture
def source(tmp_path):
    def write(model, name="source.tflite"):
        (tmp_path / name).write_bytes(tiny_models.to_bytes(model))
        return tmp_path / name

    return write


def encode(given, *options, name="micro.tflite"):
    """Encode quietly; return the file and the report, which fits its schema."""
    out = given.with_name(name)
    run = run_cli("encode", given, "-o", out, "--target", "micro", "--samples", 2, "--quiet", "--json", *options)
    assert run.code == 0, run.stderr
    assert run.stderr == ""
    return out, EncodingReport.model_validate_json(run.stdout)


def decode(given, name="dense.tflite"):
    out = given.with_name(name)
    run = run_cli("decode", given, "-o", out, "--quiet")
    assert run.code == 0, run.stderr
    return out


def verify(file, against, *options):
    run = run_cli("verify", file, "--against", against, "--target", "micro", "--samples", 2, "--quiet", *options)
    return run, VerificationReport.model_validate_json(run.stdout) if "--json" in options else None


def sparse_for_litert(given):
    out = given.with_name("litert.tflite")
    run = run_cli("encode", given, "-o", out, "--samples", 2, "--quiet")
    assert run.code == 0, run.stderr
    assert "DENSIFY" in tiny_models.operator_names(serde.read(out))
    return out


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The report


# Bytes of the results of each DECODE.
MODELS = {
    "one weight": (tiny_models.conv2d, [16 * 3 * 3 * 64]),
    "two readers": (lambda: tiny_models.fully_connected((60, 601), readers=2), [60 * 601] * 2),
    "int16": (lambda: tiny_models.svdf(33, dtype="int8", data_dtype="int8"), [2 * 33 * 8]),
    "two layers": (lambda: odd_models.two_layers(61, 41, density=0.1), [61 * 16, 41 * 61]),
    "float32": (lambda: tiny_models.conv2d(dtype="float32"), [4 * 16 * 3 * 3 * 64]),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_report_is_true(name, source):
    make, decodes = MODELS[name]
    given = source(make())
    file, report = encode(given, "--keep-channels")
    dense = decode(given)
    found = report.micro
    assert decode(file, "back.tflite").read_bytes() == dense.read_bytes()
    assert report.file_bytes == file.stat().st_size
    assert found.flash_saved_bytes == dense.stat().st_size - file.stat().st_size > 0
    assert found.decoder_flash_bytes == DECODER_FLASH_BYTES
    assert found.statement == TRADE
    assert found.decoded_bytes_per_invoke == sum(decodes)
    assert found.largest_decoded_bytes == max(decodes)
    assert found.alternate_memory_bytes == -(-max(decodes) // ALIGNMENT) * ALIGNMENT
    check_arenas(file, dense, found)
    assert report.verification.passed
    assert report.verification.weights.compared == report.verification.weights.equal > 0
    assert [check.outputs_bit_exact for check in report.verification.runtimes] == [True, True]


def check_arenas(file, dense, found):
    """Each arena is sufficient, and 16 bytes less are not; the same holds for the memory for decoded weights."""
    cases = [
        (dense, found.arena_dense_bytes, 0),
        (file, found.arena_decoded_bytes, 0),
        (file, found.arena_with_alternate_bytes, found.alternate_memory_bytes),
    ]
    inputs = [[np.zeros(each.example_shape, each.dtype) for each in micro.inputs(dense)]]
    for path, arena, alternate in cases:
        micro.run_separately(path, inputs, arena_bytes=arena, alternate_memory_bytes=alternate)
        with pytest.raises(ExecutionError):
            micro.run_separately(path, inputs, arena_bytes=arena - ALIGNMENT, alternate_memory_bytes=alternate)
    with pytest.raises(ExecutionError):
        micro.run_separately(
            file,
            inputs,
            arena_bytes=found.arena_with_alternate_bytes,
            alternate_memory_bytes=found.alternate_memory_bytes - ALIGNMENT,
        )


def test_the_arena_of_a_look_up_does_not_depend_on_what_lay_in_memory(source):
    """Unset inputs would make it read missing rows."""
    _, report = encode(source(tiny_models.gather()))
    assert report.micro.arena_dense_bytes < 10_000


def test_the_code_for_an_app(source):
    _, report = encode(source(tiny_models.conv2d()), name="my-model.tflite")
    lines = report.micro.cpp.splitlines()
    assert '#include "my-model.h"' in lines
    assert "using Resolver = tflite::MicroMutableOpResolver<2>;" in lines
    registered = re.findall(r"resolver\.(\w+)\(\)", report.micro.cpp)
    assert registered == ["AddConv2D", "AddDecode"]
    assert "tflite::GetModel(g_my_model)" in report.micro.cpp
    apart = report.micro.arena_with_alternate_bytes + report.micro.alternate_memory_bytes
    assert 0 < report.micro.arena_decoded_bytes < apart  # so all is in one arena
    assert f"constexpr size_t kArenaBytes = {report.micro.arena_decoded_bytes};" in lines
    assert report.micro.ram_bytes == report.micro.arena_decoded_bytes
    assert "SetDecompressionMemory" not in report.micro.cpp
    assert report.micro.flash_bytes == report.file_bytes + report.micro.decoder_flash_bytes
    assert report.micro.flash_dense_bytes - report.micro.flash_saved_bytes == report.file_bytes


def test_the_python_code_computes_what_the_runtime_does(source):
    file, report = encode(source(tiny_models.conv2d()))
    names = {}
    text = report.contract.snippets["python"].replace("'micro.tflite'", repr(str(file)))
    exec(compile(text, "snippet", "exec"), names)  # noqa: S102 - what is tested
    x = np.random.default_rng(0).uniform(-6, 6, (1, 8, 8, 64)).astype(np.float32)
    found = names["predict"](x)
    np.testing.assert_array_equal(found, micro.run(file, x).real())
    assert len(np.unique(found)) > 10


def test_text(source):
    given = source(tiny_models.conv2d())
    run = run_cli("encode", given, "-o", given.with_name("micro.tflite"), "--target", "micro", "--samples", 1)
    words = " ".join(run.stdout.split())
    assert run.code == 0
    assert "it saves flash" in words or TRADE in words
    assert re.search(
        r"Verdict: flash [\d,]+ B dense, [\d,]+ B with this file \([\d,]+ more\); RAM [\d,]+ B dense", words
    )
    assert "resolver.AddDecode()" not in words  # it is in app.cc, and where the last line leads
    assert "--snippet python|c++" in words
    assert "with 64-bit pointers and reference kernels" in words
    assert "measure arenas" in run.stderr


# Choices


@pytest.mark.parametrize(
    ("codec", "stored"),
    [("prune", "pruning (bitmask)"), ("huffman", "Huffman"), ("lut", "look-up table"), ("dense", "dense")],
)
def test_codec(codec, stored, source):
    given = source(tiny_models.conv2d(weights=tiny_models.sparse_weights((16, 3, 3, 64)) // 16 * 16))
    _, report = encode(given, "--micro-codec", codec)
    assert {tensor.layout for tensor in report.tensors} == {stored}
    assert report.settings["micro_codec"] == codec
    if codec == "dense":
        assert report.micro.decoder_flash_bytes == report.micro.decoded_bytes_per_invoke == 0
        assert report.micro.arena_decoded_bytes == report.micro.arena_dense_bytes
        assert report.micro.statement == "Nothing is decoded: the file is dense."
        assert "AddDecode" not in report.micro.cpp


@pytest.mark.slow
def test_least_saving(source):
    given = source(odd_models.two_layers(64, 30, density=0.1))
    _, free = encode(given, "--micro-min-saving", 0)
    savings = [tensor.dense_bytes - tensor.encoded_bytes for tensor in free.tensors]
    assert len(savings) == 2
    assert 0 < min(savings) < max(savings)
    _, report = encode(given, "--micro-min-saving", max(savings))
    dense = [tensor for tensor in report.tensors if tensor.layout == "dense"]
    assert len(dense) == 1
    assert f"would save {min(savings):,} bytes, less than --micro-min-saving" in dense[0].reason


def test_a_file_of_noise_is_not_made_larger(source):
    weights = np.random.default_rng(0).integers(-128, 128, (16, 3, 3, 64)).astype(np.int8)
    given = source(tiny_models.conv2d(weights=weights))
    file, report = encode(given)
    dense = decode(given)
    assert file.read_bytes() == dense.read_bytes()
    assert report.micro.flash_saved_bytes == 0


# From and to other formats


def test_from_litert_and_back(source):
    given = source(tiny_models.conv2d())
    sparse = sparse_for_litert(given)
    file, _ = encode(sparse)
    assert file.read_bytes() == encode(given, name="direct.tflite")[0].read_bytes()
    back = file.with_name("back.tflite")
    run = run_cli("encode", file, "-o", back, "--target", "litert", "--samples", 2, "--json", "--quiet")
    assert run.code == 0, run.stderr
    assert back.read_bytes() == sparse.read_bytes()
    assert run.report["verification"]["weights"]["compared"] == 1
    assert [check["outputs_bit_exact"] for check in run.report["verification"]["runtimes"]] == [True] * 3


def test_a_micro_file_is_a_source_for_itself_and_may_be_replaced(source):
    file, _ = encode(source(tiny_models.conv2d()))
    before = file.read_bytes()
    again, _ = encode(file, name=file.name)
    assert again.read_bytes() == before


# verify and inspect


def test_verify_passes(source):
    given = source(tiny_models.conv2d())
    file, _ = encode(given)
    run, report = verify(file, given, "--json")
    assert run.code == 0
    assert report.passed
    assert [check.name for check in report.runtimes] == [
        f"{micro.NAME}, weights decoded into the arena",
        f"{micro.NAME}, into a memory of their own",
    ]
    assert (report.weights.compared, report.weights.equal, report.samples) == (1, 1, 5)
    assert verify(given, given)[0].code == 0


def test_verify_names_a_weight_that_differs(source):
    """One bit of the last kept value, at the end of the second constant of a pair."""
    given = source(tiny_models.conv2d())
    file, _ = encode(given, "--micro-codec", "prune")
    model = serde.read(file)
    graph = model.subgraphs[0]
    decode_operator = graph.operators[0]
    ancillary = model.buffers[graph.tensors[int(decode_operator.inputs[1])].buffer]
    changed = np.array(ancillary.data)
    changed[-1] ^= 1
    ancillary.data = changed
    file.write_bytes(serde.serialize(model))
    run, report = verify(file, given, "--json")
    assert run.code == 1
    assert report.weights.different == ["weight"]
    assert "weight 'weight' differs" in report.failures
    assert any("output 'y0'" in failure for failure in report.failures)
    assert "FAILED weight 'weight' differs." in verify(file, given)[0].stdout


def test_a_file_for_litert_is_not_for_micro(source):
    given = source(tiny_models.conv2d())
    sparse = sparse_for_litert(given)
    run, report = verify(sparse, given, "--json")
    assert run.code == 1
    (failure,) = report.failures
    assert f"{sparse} is not for TensorFlow Lite Micro" in failure
    assert "garbage" in failure
    answers = {answer["name"]: answer for answer in run_cli("inspect", sparse, "--quiet", "--json").report["runtimes"]}
    assert answers[micro.NAME]["loads"] is False
    assert "garbage" in answers[micro.NAME]["reason"]


def test_a_file_for_micro_is_not_for_litert(source):
    file, report = encode(source(tiny_models.conv2d()))
    answers = {answer["name"]: answer for answer in run_cli("inspect", file, "--quiet", "--json").report["runtimes"]}
    for kernels in ("default", "builtin"):
        answer = answers[litert.NAMES[kernels]]
        assert answer["loads"] is False
        assert "TFLM_DECODE" in answer["reason"]
    assert answers[micro.NAME]["loads"] is True
    assert f"{report.micro.arena_decoded_bytes:,} bytes" in answers[micro.NAME]["reason"]


def test_options_of_another_target_are_refused_by_verify(source):
    given = source(tiny_models.conv2d())
    for options, name in ((("--threads", 2), "threads"), (("--tolerance", 1), "tolerance")):
        run, _ = verify(given, given, *options)
        assert run.code == 2
        assert f"--{name} applies to the target litert, not to micro" in run.stderr


# C arrays


def array_in(text, symbol):
    """Return the bytes of a C array."""
    found = re.search(rf"alignas\(16\) const unsigned char g_{symbol}\[\] = {{(.*?)}};", text, re.DOTALL)
    return bytes(int(word, 16) for word in re.findall(r"0x([0-9a-f]{2})\b", found[1]))


def test_c_array(source):
    file, _ = encode(source(tiny_models.conv2d()), "--c-array", name="key-words.tflite")
    assert array_in(file.with_suffix(".cc").read_text(), "key_words") == file.read_bytes()
    header = file.with_suffix(".h").read_text()
    assert "extern const unsigned char g_key_words[];" in header
    assert "extern const unsigned int g_key_words_size;" in header


def test_c_array_is_written_with_the_file_or_not_at_all(source, tmp_path):
    given = source(tiny_models.conv2d())
    (tmp_path / "out.cc").mkdir()
    run = run_cli(
        "encode", given, "-o", tmp_path / "out.tflite", "--target", "micro", "--samples", 1, "--c-array", "--quiet"
    )
    assert run.code == 2
    assert "out.cc" in run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {given.name, "out.cc"}


# Refusals


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("litert", ("--micro-codec", "prune"), "--micro-codec applies to the target micro, not to litert"),
        ("litert", ("--micro-min-saving", 1), "--micro-min-saving applies to the target micro"),
        ("ethos-u", ("--c-array",), "--c-array applies to the target micro, not to ethos-u"),
        ("micro", ("--optimize", "latency"), "--optimize applies to --micro-kernels sparse, not to tflm"),
        ("micro", ("--accelerator-config", "ethos-u85-256"), "--accelerator-config applies to the target ethos-u"),
    ],
)
def test_options_of_another_target(target, options, words, source, tmp_path):
    given = source(tiny_models.conv2d())
    before = contents(tmp_path)
    run = run_cli("encode", given, "-o", tmp_path / "out.tflite", "--target", target, "--json", *options)
    assert run.code == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert words in run.stderr
    assert contents(tmp_path) == before


def test_a_model_that_the_runtime_does_not_take_is_named(source, tmp_path):
    given = source(tiny_models.fully_connected(data_dtype="float32"))
    before = contents(tmp_path)
    run = run_cli("encode", given, "-o", tmp_path / "out.tflite", "--target", "micro", "--quiet")
    assert run.code == 2
    assert f"TensorFlow Lite Micro refuses {given}" in run.stderr
    assert contents(tmp_path) == before


# export


@pytest.fixture(scope="module")
def keras_file(model3, tmp_path_factory):
    path = tmp_path_factory.mktemp("micro") / "digits.keras"
    model3.save(path)
    return path


def export(keras_file, out, *options):
    run = run_cli(
        "export", keras_file, "--sparsity", 0.75, "--finetune-epochs", 0,
        "--int8", "--data", "digits", "--calibration-samples", 50,
        "--max-accuracy-drop", 1, "--out", out, "--json", "--quiet", *options,
    )  # fmt: skip
    assert run.code == 0, run.stderr
    return Report.model_validate_json((out / REPORT_JSON).read_text("utf-8"))


def accuracy(path: Path, data):
    outputs = micro.run(path, data.x_test)
    return float(np.mean(outputs.real(0).argmax(axis=-1) == data.y_test))


@pytest.mark.slow
def test_export(keras_file, digits, tmp_path):
    plain = {DENSE_FLOAT32, DENSE_INT8, SPARSE, REPORT_JSON, REPORT_MARKDOWN, REPORT_HTML}
    report = export(keras_file, tmp_path, "--target", "micro", "--c-array")
    assert set(contents(tmp_path)) == plain | {"model.h", "model.cc", "app.cc"}
    app = (tmp_path / "app.cc").read_text()
    assert app == report.micro.cpp == report.contract.snippets["c++"]
    assert f"```cpp\n{app}```\n" in (tmp_path / REPORT_MARKDOWN).read_text()
    assert "resolver.AddDecode()" in (tmp_path / REPORT_HTML).read_text()
    found = report.micro
    dense, file = tmp_path / DENSE_INT8, tmp_path / SPARSE
    assert json.loads((tmp_path / REPORT_JSON).read_text("utf-8"))["micro"]["statement"] == TRADE
    assert found.flash_saved_bytes == decode(dense, "back.tflite").stat().st_size - file.stat().st_size
    assert decode(file, "back.tflite").read_bytes() == decode(dense, "canonical.tflite").read_bytes()
    assert report.models.sparse_int8.accuracy == pytest.approx(accuracy(file, digits), abs=1e-9)
    assert accuracy(file, digits) == accuracy(dense, digits)
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    assert {runtime.name.partition(",")[0] for runtime in report.verification.runtimes} == {micro.NAME}
    assert array_in((tmp_path / "model.cc").read_text(), "model") == file.read_bytes()
    assert "resolver.AddDecode()" in (tmp_path / REPORT_MARKDOWN).read_text("utf-8")
    for name in ("back.tflite", "canonical.tflite"):
        (tmp_path / name).unlink()
    report = export(keras_file, tmp_path)
    assert report.micro is None
    assert set(contents(tmp_path)) == plain


@pytest.mark.parametrize("fewer_in_file", [True, False])
def test_files_with_different_numbers_of_outputs_are_not_the_same(fewer_in_file, tmp_path):
    model = tiny_models.conv2d(readers=2)
    both, one = tmp_path / "both.tflite", tmp_path / "one.tflite"
    both.write_bytes(tiny_models.to_bytes(model))
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[:1]
    model.signatureDefs[0].outputs = model.signatureDefs[0].outputs[:1]
    one.write_bytes(tiny_models.to_bytes(model))
    file, against = (one, both) if fewer_in_file else (both, one)
    run = run_cli("verify", file, "--against", against, "--target", "micro", "--quiet")
    assert run.code == 1
    assert "outputs instead of" in run.stdout
