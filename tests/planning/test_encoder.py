from functools import partial

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers import tiny_models
from helpers.tally import tally
from tflite_sparse.errors import FlatbufferError, OutputError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.rewrites import densify
from tflite_sparse.targets import litert
from tflite_sparse.targets.form import Answer, SparseForm
from tflite_sparse.verification.weights import check_weights

SEVERAL = {
    "conv": tiny_models.conv2d(),
    "conv_in_groups": tiny_models.conv2d((320, 1, 1, 320)),
    "fully_connected": tiny_models.fully_connected(bias=False),
    "fully_connected_dynamic": tiny_models.fully_connected(dynamic=True, per_channel=True),
    "gather": tiny_models.gather(),
}


@pytest.fixture
def dense(tmp_path):
    def write(model):
        path = tmp_path / "dense.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return write


@pytest.mark.parametrize("zeros", [0, 0.3, 0.5])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("make", [tiny_models.conv2d, tiny_models.fully_connected])
def test_few_zeros_never_make_a_larger_file(dense, make, dtype, zeros):
    source = dense(make(dtype=dtype, density=1 - zeros))
    target = source.with_name("sparse.tflite")
    encode_file(source, target, litert.answer)
    assert target.stat().st_size <= source.stat().st_size
    check_weights(target, source)
    # It is not larger than the same model with shared tables either.
    assert target.stat().st_size <= len(serde.serialize(serde.read(source)))


@pytest.mark.parametrize("zeros", [0, 0.3, 0.5])
def test_few_zeros_in_int8_stay_dense(dense, zeros):
    source = dense(tiny_models.conv2d(density=1 - zeros))
    choices = encode_file(source, source.with_name("sparse.tflite"), litert.answer)
    assert [(choice.name, choice.form) for choice in choices] == [("weight", None)]


def test_no_file_grows(tmp_path):
    """The input has shared tables already, so that only the encoding can change the size."""
    source, target = tmp_path / "a.tflite", tmp_path / "b.tflite"

    def shrinks(draw):
        wide = st.integers(1, 20) | st.integers(16, 32)
        shape = draw(st.tuples(wide, st.integers(1, 3), st.integers(1, 3), wide))
        dtype = draw(st.sampled_from(("int8", "float32")))
        values = tiny_models.sparse_weights(shape, dtype, draw(st.floats(0.2, 0.7)), draw(st.integers(0, 999)))
        serde.write(tiny_models.conv2d(shape, dtype=dtype, weights=values), source)
        encode_file(source, target, litert.answer)
        check_weights(target, source)
        assert target.stat().st_size <= source.stat().st_size
        return target.stat().st_size < source.stat().st_size

    seen = tally(shrinks, examples=60)
    assert seen[True] > 3
    assert seen[False] > 10


@pytest.mark.parametrize("name", SEVERAL)
def test_encoding_twice_breaks_nothing(dense, name):
    model = SEVERAL[name]
    source = dense(model)
    once, twice = source.with_name("once.tflite"), source.with_name("twice.tflite")
    assert any(choice.form is not None for choice in encode_file(source, once, litert.answer))
    encode_file(once, twice, litert.answer)
    assert twice.read_bytes() == once.read_bytes()
    check_weights(twice, source)
    values = tiny_models.samples(model, 1)
    np.testing.assert_array_equal(
        tiny_models.run_here(twice.read_bytes(), values)[0], tiny_models.run_here(source.read_bytes(), values)[0]
    )


@pytest.mark.parametrize("name", SEVERAL)
def test_what_is_read_from_disk_is_what_was_planned(dense, name):
    source = dense(SEVERAL[name])
    target = source.with_name("sparse.tflite")
    tensors = None
    for choice in encode_file(source, target, litert.answer):
        tensors = serde.read(target).subgraphs[0].tensors
        assert (tensors[choice.tensor_index].sparsity is not None) == (choice.form is not None)
    assert tensors is not None


def test_the_file_may_be_encoded_in_place(dense, tmp_path):
    path = dense(tiny_models.conv2d())
    original = tmp_path / "original.tflite"
    original.write_bytes(path.read_bytes())
    encode_file(path, path, litert.answer)
    assert path.stat().st_size < original.stat().st_size
    check_weights(path, original)
    assert sorted(tmp_path.iterdir()) == [path, original]


def test_steps_rise_to_the_total(dense):
    steps = []
    source = dense(tiny_models.conv2d())
    encode_file(source, source.with_name("b.tflite"), litert.answer, on_step=lambda *step: steps.append(step))
    total = steps[0][1]
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert {all_of_it for _, all_of_it in steps} == {total}


def test_edits_that_do_not_pay_leave_the_file_as_it_was(dense):
    def overoptimistic(graph, index, uses):
        shape = tuple(int(size) for size in graph.tensor(index).shape)
        return Answer(
            (SparseForm("", shape, lambda layout: -100_000, partial(densify.apply, graph, index, uses=uses)),)
        )

    model = tiny_models.conv2d(density=0.7)
    source = dense(model)
    target = source.with_name("sparse.tflite")
    choices = encode_file(source, target, overoptimistic)
    assert target.read_bytes() == source.read_bytes()
    choice = next(choice for choice in choices if choice.name == "weight")
    assert choice.form is None
    assert choice.layout.is_dense
    assert choice.encoded_bytes == choice.dense_bytes
    assert "would not make the file smaller" in choice.reason


def test_signatures_metadata_inputs_and_outputs_stay(dense):
    source = dense(tiny_models.fully_connected(dynamic=True, readers=2))
    target = source.with_name("sparse.tflite")
    encode_file(source, target, litert.answer)
    before, after = serde.read(source), serde.read(target)
    assert after.subgraphs[0].inputs.tolist() == before.subgraphs[0].inputs.tolist()
    assert after.subgraphs[0].outputs.tolist() == before.subgraphs[0].outputs.tolist()
    for a, b in zip(after.signatureDefs, before.signatureDefs, strict=True):
        assert a.signatureKey == b.signatureKey
        for part in ("inputs", "outputs"):
            entries = [[(entry.name, entry.tensorIndex) for entry in getattr(side, part)] for side in (a, b)]
            assert entries[0] == entries[1]
    names = [[tensor.name for tensor in model.subgraphs[0].tensors] for model in (before, after)]
    assert names[1][: len(names[0])] == names[0]


def test_a_source_that_is_no_model_is_refused_and_nothing_is_written(tmp_path):
    source, target = tmp_path / "a.tflite", tmp_path / "b.tflite"
    with pytest.raises(FlatbufferError, match=r"cannot read .*a\.tflite"):
        encode_file(source, target, litert.answer)
    source.write_bytes(b"PK\x03\x04" * 99)
    with pytest.raises(FlatbufferError, match=r"a\.tflite is not a \.tflite file"):
        encode_file(source, target, litert.answer)
    assert not target.exists()


def test_a_folder_that_is_missing_is_an_output_error(dense, tmp_path):
    source = dense(tiny_models.conv2d())
    with pytest.raises(OutputError, match="cannot write"):
        encode_file(source, tmp_path / "absent" / "b.tflite", litert.answer)
