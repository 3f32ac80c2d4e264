"""Check the results of ``inspect`` independently."""

import math

import numpy as np
import pytest
from scipy.stats import entropy as shannon

from helpers import odd_models, tiny_models
from helpers.foreign_models import block_sparse, densified, find, read_natively, store_sparse
from helpers.tiny_models import conv2d, depthwise_conv2d, fully_connected, gather
from helpers.tools import run_cli
from tflite_sparse.backends import litert as litert_backend
from tflite_sparse.commands import encode as encode_command
from tflite_sparse.commands.inspect import inspect
from tflite_sparse.commands.verify import verify
from tflite_sparse.errors import FlatbufferError, InputShapeError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.report.text import files as file_tables
from tflite_sparse.runtime import litert

MODELS = {
    "conv": conv2d(),
    "conv_float32": conv2d(dtype="float32"),
    "conv_factored": conv2d((320, 1, 1, 320)),
    "depthwise": depthwise_conv2d(),
    "fully_connected": fully_connected(bias=False),
    "gather": gather(),
    "in_while": tiny_models.conv2d_in_subgraph(),
    "float16": tiny_models.through_dequantize(conv2d(dtype="float32")),
    "sparse_of_others": densified(store_sparse(conv2d(), indices="uint16", explicit_zeros=9)),
    "native": read_natively(
        store_sparse(
            fully_connected((32, 64), per_channel=False, weights=block_sparse((32, 64), "int8", 16)),
            compressed={1},
            blocks={1: 16},
        )
    ),
}


def in_micro(found):
    """What TensorFlow Lite Micro answers."""
    return next(answer for answer in found.runtimes if answer.target == "micro")


@pytest.fixture
def file(tmp_path):
    def write(model):
        path = tmp_path / "model.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return write


def constant(found, name="weight"):
    return next(constant for constant in found.constants if constant.name == name)


def bound(values):
    """Mask entropy plus entropy of the kept values, in bytes; float32 values, all different, count in full."""
    kept = values[values != 0]
    share = kept.size / values.size
    bits = values.size * shannon([share, 1 - share], base=2)
    counts = np.unique(kept, return_counts=True)[1]
    bits += 32 * kept.size if values.dtype == np.float32 else kept.size * shannon(counts, base=2)
    return math.ceil(bits / 8)


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_add_up(file, name):
    path = file(MODELS[name])
    found = inspect(path)
    assert found.file_bytes == path.stat().st_size
    assert found.totals.constants == len(found.constants)
    assert found.totals.stored_bytes == sum(c.stored_bytes for c in found.constants) <= found.file_bytes
    assert found.totals.stored_bytes > 0.3 * found.file_bytes
    assert all(c.share == pytest.approx(c.stored_bytes / found.file_bytes) for c in found.constants)
    assert [c.stored_bytes for c in found.constants] == sorted((c.stored_bytes for c in found.constants), reverse=True)
    assert sum(found.operators.values()) == sum(len(graph.operators) for graph in MODELS[name].subgraphs)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_estimates_are_what_is_written(file, name):
    path = file(MODELS[name])
    estimates = {estimate.target: estimate.file_bytes for estimate in inspect(path).estimates}
    written = {
        "dense": encode_command.decode(path, path.with_name("d.tflite")).file_bytes,
        "litert": encode_command.encode(path, path.with_name("e.tflite")).file_bytes,
    }
    for_micro = estimates.pop("micro", None)
    assert estimates == written
    if for_micro is not None:
        report = encode_command.encode(path, path.with_name("m.tflite"), target="micro")
        assert for_micro == report.file_bytes


def test_estimate_of_a_file_that_the_default_interpreter_refuses_is_what_is_written(file):
    path = file(densified(store_sparse(fully_connected(), indices="uint16")))
    found = inspect(path)
    default = found.runtimes[0]
    assert default.loads is False
    assert "failed to delegate FULLY_CONNECTED" in default.reason
    written = encode_command.encode(path, path.with_name("e.tflite")).file_bytes
    assert {"litert": written}.items() <= {e.target: e.file_bytes for e in found.estimates}.items()


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_weight_is_described(file, dtype, sparse):
    values = tiny_models.sparse_weights((16, 3, 3, 64), dtype)
    model = conv2d(weights=values, dtype=dtype)
    if sparse:
        model = densified(store_sparse(model, (1, 2, 3, 0), {0}, segments="int32", indices="uint8"))
    found = constant(inspect(file(model)))
    assert (found.subgraph, found.tensor, found.operator) == (0, 1, "CONV_2D")
    assert (found.shape, found.dtype) == ((16, 3, 3, 64), dtype)
    assert found.sparsity == pytest.approx(np.mean(values == 0))
    assert found.dense_bytes == values.nbytes
    assert found.entropy_bytes == pytest.approx(bound(values), abs=1)
    kept = np.count_nonzero(values)
    stored = kept * (values.itemsize + 1) + 4 * (3 * 3 * 64 + 1) if sparse else values.nbytes
    assert found.stored_bytes == stored
    assert found.layout == ("CSR over axis 0, order 1,2,3,0" if sparse else "dense")


def test_totals_of_sparsity_count_weights_and_no_biases(file):
    found = inspect(file(conv2d()))
    assert found.totals.sparsity == pytest.approx(0.875, abs=1e-3)
    assert constant(found, "bias").sparsity is not None


def test_zeros_of_uint8_weights_are_their_zero_point(file):
    generator = np.random.default_rng(0)
    kept = generator.random((64, 128)) < 0.1
    weights = np.where(kept, generator.integers(0, 131, kept.shape), 131).astype(np.uint8)
    path = file(tiny_models.fully_connected_uint8(weights, 131))
    found = inspect(path)
    assert constant(found).sparsity == pytest.approx(1 - kept.mean())
    assert found.totals.sparsity == pytest.approx(1 - kept.mean())
    assert constant(found).entropy_bytes == pytest.approx(bound(np.where(kept, weights.astype(int) + 1, 0)), abs=1)
    (choice,) = encode_command.encode(path, path).tensors
    assert choice.sparsity == constant(found).sparsity
    assert choice.entropy_bytes == constant(found).entropy_bytes


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_every_command_takes_a_constant_of_rank_0(file, dtype):
    path = file(odd_models.scalar_constant(dtype))
    found = inspect(path)
    scalar = constant(found, "scalar")
    assert (scalar.shape, scalar.sparsity, scalar.stored_bytes) == ((), 0, np.dtype(dtype).itemsize)
    assert all(answer.loads for answer in found.runtimes if answer.target != "c")  # which is for int8
    sparse, dense = path.with_name("sparse.tflite"), path.with_name("dense.tflite")
    assert encode_command.encode(path, sparse).verification.passed
    encode_command.decode(sparse, dense)
    assert verify(dense, path, samples=2).passed
    assert encode_command.encode(path, sparse, target="micro").verification.passed


def test_a_weight_that_is_computed_is_none_of_the_constants(file):
    path = file(odd_models.weight_behind_quantize())
    found = inspect(path)
    assert {(c.name, c.operator) for c in found.constants} == {("weight", "QUANTIZE"), ("bias", "FULLY_CONNECTED")}
    assert [answer.loads for answer in found.runtimes[:3]] == [True, True, True]
    assert encode_command.encode(path, path).verification.passed


def test_micro_runs_open_sizes_as_the_file_announces_them(file):
    answer = in_micro(inspect(file(odd_models.open_image(kernel=40))))
    assert answer.loads
    assert answer.reason.endswith("with the sizes that the file announces for open ones: (1, 40, 40, 2)")


def test_outputs_that_a_signature_lists_otherwise_are_told(file):
    model = fully_connected((4, 16), readers=2)
    path = file(model)
    assert inspect(path).orders == []
    model.signatureDefs[0].outputs.reverse()
    run = run_cli("inspect", file(model), "--quiet")
    assert "Outputs of signature 'serving_default' are out_1, out_0; by index they are out_0, out_1." in run.stdout


def test_equal_vectors_stored_once_are_counted_once(tmp_path):
    """Two constants of equal contents: the second points at the first one's bytes and takes none."""
    path = tmp_path / "model.tflite"
    tiny = tiny_models.Tiny()
    values = tiny_models.sparse_weights((40, 40), "float32", 1.0)
    x = tiny.activation("x", (1, 40), "float32")
    y = tiny.activation("y", (1, 40), "float32")
    z = tiny.activation("z", (1, 40), "float32")
    w, v = (tiny.constant(name, values) for name in ("weight", "same"))
    kind = tiny_models.schema.BuiltinOptions.FullyConnectedOptions
    for source, weight, end in ((x, w, y), (y, v, z)):
        options = tiny_models.schema.FullyConnectedOptionsT()
        tiny.operator(tiny_models.schema.BuiltinOperator.FULLY_CONNECTED, 1, [source, weight, -1], [end], kind, options)
    serde.write(tiny.finished([x], [z]), path)
    assert path.stat().st_size < 2 * values.nbytes
    found = inspect(path)
    assert constant(found).stored_bytes == values.nbytes
    assert constant(found, "same").stored_bytes == 0
    assert constant(found, "same").layout == "dense, shared"
    assert found.totals.stored_bytes == values.nbytes


def test_one_constant_with_several_readers_is_one_row(file):
    found = inspect(file(densified(store_sparse(conv2d(readers=3)))))
    assert [c.name for c in found.constants].count("weight") == 1
    assert constant(found).operator == "CONV_2D"
    assert found.operators == {"CONV_2D": 3, "DENSIFY": 1}


def test_a_constant_in_another_subgraph(file):
    model = tiny_models.conv2d_in_subgraph()
    found = constant(inspect(file(model)))
    assert (found.subgraph, found.tensor) == (2, find(model, graph=2)[0])


def test_every_weight_is_listed_also_one_of_zeros_only(file):
    """Packed, no bytes of it are left."""
    path = file(conv2d(weights=np.zeros((16, 3, 3, 64), np.int8)))
    encode_command.encode(path, path)
    found = constant(inspect(path))
    assert found.sparsity == 1
    assert found.dense_bytes == 16 * 3 * 3 * 64


def test_runtimes_of_a_dense_and_of_a_sparse_file(file):
    dense = inspect(file(conv2d())).runtimes
    sparse = inspect(file(densified(store_sparse(conv2d())))).runtimes
    assert [runtime.loads for runtime in dense] == [True] * 5
    assert "in an arena of" in dense[-2].reason
    assert [runtime.loads for runtime in sparse] == [True, True, True, False, False]
    assert "1 constant" in sparse[-2].reason
    assert "decode" in sparse[-2].reason


def test_what_micro_refuses_has_no_size_there(file):
    """Reasons are an operator that it does not run in this form, and wrong shapes."""
    for model, words in (
        (fully_connected(data_dtype="float32"), "FULLY_CONNECTED"),
        (odd_models.dilated(), "it leaves the batch open"),
    ):
        found = inspect(file(model))
        assert in_micro(found).loads is False
        assert words in in_micro(found).reason
        assert {estimate.target for estimate in found.estimates} == {"dense", "litert"}


def test_a_sparse_file_has_a_size_for_micro_if_its_dense_form_runs_there(file):
    for model, runs in (
        (densified(store_sparse(conv2d())), True),
        (densified(store_sparse(odd_models.dilated())), False),
    ):
        found = inspect(file(model))
        assert in_micro(found).loads is False
        assert ("micro" in {estimate.target for estimate in found.estimates}) == runs


def test_what_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(FlatbufferError, match=r"cannot read .*absent\.tflite"):
        inspect(tmp_path / "absent.tflite")
    (tmp_path / "text.tflite").write_text("no model, but long enough")
    with pytest.raises(FlatbufferError, match=r"text\.tflite is not a \.tflite file"):
        inspect(tmp_path / "text.tflite")


def test_constants_behind_decode_are_shown_as_what_they_stand_for(file):
    source = file(conv2d())
    path = source.with_name("micro.tflite")
    encode_command.encode(source, path, target="micro", micro_codec="prune")
    found, dense = inspect(path), inspect(source)
    weight = next(constant for constant in found.constants if constant.name == "weight")
    before = next(constant for constant in dense.constants if constant.name == "weight")
    assert weight.layout == "DECODE, pruning (bitmask)"
    assert weight.operator == "CONV_2D"
    assert (weight.shape, weight.dense_bytes, weight.entropy_bytes) == (
        before.shape,
        before.dense_bytes,
        before.entropy_bytes,
    )
    count, kept = before.dense_bytes, round(before.dense_bytes * (1 - before.sparsity))
    assert weight.stored_bytes == count // 8 + 16 + kept
    assert {constant.name for constant in found.constants} == {constant.name for constant in dense.constants}
    assert found.totals.stored_bytes < found.file_bytes


@pytest.mark.parametrize(
    ("sparse", "target", "code"),
    [(False, "micro", 0), (True, "micro", 1), (False, "litert", 0), (True, "litert", 0), (True, None, 0)],
)
def test_a_target_that_does_not_load_the_file_is_an_exit_code(file, sparse, target, code):
    path = file(densified(store_sparse(conv2d())) if sparse else conv2d())
    options = [] if target is None else ["--target", target]
    result = run_cli("inspect", path, "--quiet", *options)
    assert result.code == code
    if target == "micro" and sparse:
        assert "not for it: it would compute garbage" in result.stdout


def test_code_is_for_the_first_target_or_the_one_asked_for(file):
    path = file(conv2d())
    found = inspect(path)
    assert found.target == "litert"
    assert "CompiledModel" in found.contract.snippets["c++"]
    assert file_tables.other_targets(found) == ["micro"]
    micro = inspect(path, target="micro")
    assert micro.target == "micro"
    assert "MicroInterpreter" in micro.contract.snippets["c++"]
    printed = run_cli("inspect", path, "--quiet", "--target", "micro", "--snippet", "c++")
    assert printed.stdout == micro.contract.snippets["c++"]


def test_code_needs_no_more_than_the_first_runtime(file, monkeypatch):
    """What the others say stands on stderr."""
    monkeypatch.setattr(
        litert, "refusal", lambda path, kernels, shapes: None if kernels == "default" else "it lacks something"
    )
    path = file(conv2d())
    result = run_cli("inspect", path, "--snippet", "python")
    assert result.stdout == inspect(path).contract.snippets["python"]
    assert "LiteRT CompiledModel (CPU): does not load it: it lacks something." in result.stderr
    assert "default (XNNPACK): " not in result.stderr
    monkeypatch.setattr(litert, "refusal", lambda path, kernels, shapes: "no")
    assert inspect(path).target == "micro"
    assert inspect(path, target="litert").contract.snippets == {}


def test_code_for_open_sizes_that_no_runtime_was_tried_with(file, monkeypatch):
    def unknown(*_):
        raise InputShapeError("no size of x runs.", "Give one.")

    monkeypatch.setattr(litert_backend, "needed", unknown)
    path = file(conv2d())
    assert inspect(path).target == "litert"
    result = run_cli("inspect", path, "--snippet", "python")
    assert result.code == 0
    assert result.stdout.startswith("# model.tflite in Python")
    assert "LiteRT CompiledModel (CPU): not tried: no size of x runs. Give one.\n" in result.stderr
