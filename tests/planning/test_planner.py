import numpy as np
import pytest
from hypothesis import strategies as st

from helpers import tiny_models
from helpers.tally import tally
from tflite_sparse.codecs import search
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.layout_words import in_plain_words
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import planner
from tflite_sparse.targets import litert
from tflite_sparse.targets.form import Answer, SparseForm
from tflite_sparse.verification.weights import weights_of

MODELS = {
    "conv": tiny_models.conv2d(),
    "conv_in_groups": tiny_models.conv2d((320, 1, 1, 320)),
    "two_readers": tiny_models.conv2d(readers=2),
    "depthwise": tiny_models.depthwise_conv2d(),
    "transpose_conv": tiny_models.transpose_conv(),
    "gather": tiny_models.gather(),
    "fully_connected": tiny_models.fully_connected(),
    "fully_connected_without_bias": tiny_models.fully_connected(bias=False, per_channel=True),
    "fully_connected_float32": tiny_models.fully_connected(dtype="float32"),
}


def parsed(model):
    return serde.parse(tiny_models.to_bytes(model))


def weight_choice(model, target=litert.answer):
    return next(choice for choice in planner.plan(parsed(model), target) if choice.name == "weight")


@pytest.mark.parametrize("name", MODELS)
def test_plan_changes_nothing(name):
    model = parsed(MODELS[name])
    before = bytes(serde.serialize(model))
    planner.plan(model, litert.answer)
    assert bytes(serde.serialize(model)) == before


@pytest.mark.parametrize("name", MODELS)
def test_a_choice_describes_the_constant(name):
    model = MODELS[name]
    choice = weight_choice(model)
    index = next(i for i, tensor in enumerate(model.subgraphs[0].tensors) if tensor.name == "weight")
    values = weights_of(parsed(model))[0, index]
    assert choice.tensor_index == index
    assert choice.shape == values.shape
    assert choice.dense_bytes == values.nbytes
    assert choice.sparsity == pytest.approx(0.875, abs=1e-3)
    assert choice.entropy_bytes == entropy_bytes(values)
    assert choice.operators == tuple(tiny_models.operator_names(model))
    assert choice.entropy_bytes < choice.encoded_bytes < choice.dense_bytes
    assert choice.layout.shape == choice.form.shape
    assert in_plain_words(choice.layout, choice.operators) in choice.reason
    assert choice.form.words in choice.reason


@pytest.mark.parametrize("name", MODELS)
def test_encoded_bytes_are_what_the_file_really_grows_and_shrinks_by(name):
    model = parsed(MODELS[name])
    before = len(serde.serialize(model))
    choices = planner.plan(model, litert.answer)
    predicted = sum(choice.encoded_bytes - choice.dense_bytes for choice in choices)
    planner.apply(model, choices)
    real = len(serde.serialize(model)) - before
    operator_codes = 3 * 24
    assert predicted - 128 <= real <= predicted + operator_codes + 48


@pytest.mark.parametrize("name", MODELS)
def test_apply_keeps_every_weight(name):
    reference = weights_of(parsed(MODELS[name]))
    model = parsed(MODELS[name])
    planner.apply(model, planner.plan(model, litert.answer))
    found = weights_of(serde.parse(bytes(serde.serialize(model))))
    for key, values in reference.items():
        assert found[key].tobytes() == values.tobytes()


def test_apply_drops_the_dense_constants():
    model = parsed(tiny_models.conv2d())
    planner.apply(model, planner.plan(model, litert.answer))
    assert len(model.buffers) == 3  # the empty one, the packed weight, the bias
    assert sum(buffer.data is not None and buffer.data.size == 16 * 3 * 3 * 64 for buffer in model.buffers) == 0


def test_a_plan_applies_once():
    model = parsed(tiny_models.conv2d())
    choices = planner.plan(model, litert.answer)
    planner.apply(model, choices)
    with pytest.raises(AssertionError, match="applies once"):
        planner.apply(model, choices)


def test_a_second_plan_finds_nothing_left_to_do():
    model = parsed(tiny_models.fully_connected())
    planner.apply(model, planner.plan(model, litert.answer))
    again = planner.plan(model, litert.answer)
    assert "weight" not in {choice.name for choice in again}
    assert all(choice.form is None for choice in again)


def test_steps_tell_the_bytes_of_each_constant():
    model = parsed(tiny_models.conv2d())
    deciding, applying = [], []
    choices = planner.plan(model, litert.answer, on_step=lambda *step: deciding.append(step))
    planner.apply(model, choices, on_step=lambda *step: applying.append(step))
    total = sum(choice.dense_bytes for choice in choices)
    assert deciding == applying
    assert deciding[-1] == (total, total)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (tiny_models.conv2d(density=1), "it holds no zeros"),
        (tiny_models.conv2d((4, 1, 1, 31)), "it has only 124 bytes"),
        (tiny_models.conv2d((4, 4, 4, 4)), "sparse it would take"),
        (tiny_models.conv2d(density=0.7), "sparse it would take"),
        (tiny_models.conv2d(density=0.5), "sparse it would take"),
        (tiny_models.fully_connected(density=0.5), "sparse it would take"),
        (tiny_models.batch_matmul(data_dtype="float32"), "BATCH_MATMUL"),
    ],
)
def test_reasons_for_dense(model, words):
    choice = weight_choice(model)
    assert choice.form is None
    assert choice.layout == Layout(choice.shape)
    assert choice.encoded_bytes == choice.dense_bytes
    assert words in choice.reason


@pytest.mark.parametrize(("density", "sparse"), [(0.44, True), (0.51, False)])
def test_int8_breaks_even_at_half_zeros(density, sparse):
    choice = weight_choice(tiny_models.conv2d((128, 1, 1, 128), density=density))
    assert (choice.form is not None) == sparse


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_all_zeros_take_next_to_nothing(dtype):
    choice = weight_choice(tiny_models.conv2d(dtype=dtype, density=0))
    assert choice.sparsity == 1
    assert choice.entropy_bytes == 0
    assert choice.encoded_bytes < 400


@pytest.mark.parametrize("name", MODELS)
def test_dense_is_kept_where_the_target_offers_nothing(name):
    def nothing(graph, index, uses):
        return Answer((), "not today")

    assert weight_choice(MODELS[name], nothing).reason == "not today"

    def silent(graph, index, uses):
        return Answer(())

    assert weight_choice(MODELS[name], silent).reason == "the target does not take it sparse"


def test_the_cheapest_form_wins():
    values = tiny_models.sparse_weights((320, 1, 1, 320))
    in_groups = search.cheapest(values.reshape(320, 1, 2, 160)).nbytes
    plain = search.cheapest(values).nbytes
    assert in_groups < plain

    def target(extra):
        def answer(graph, index, uses):
            forms = (
                SparseForm("plain", (320, 1, 1, 320), lambda layout: 0, lambda encoded: None),
                SparseForm("groups", (320, 1, 2, 160), lambda layout: extra, lambda encoded: None),
            )
            return Answer(forms)

        return answer

    model = tiny_models.conv2d((320, 1, 1, 320))
    assert weight_choice(model, target(0)).form.words == "groups"
    assert weight_choice(model, target(plain - in_groups + 1000)).form.words == "plain"


def test_every_offered_form_has_to_beat_dense():
    def dear(graph, index, uses):
        shape = tuple(int(size) for size in graph.tensor(index).shape)
        return Answer((SparseForm("dear", shape, lambda layout: 10_000, lambda encoded: None),))

    choice = weight_choice(tiny_models.conv2d(), dear)
    assert choice.form is None
    assert "sparse it would take" in choice.reason


def test_no_plan_makes_a_model_larger():
    """Small weights around the break-even, where every byte of the estimate counts."""

    def is_sparse(draw):
        shape = (draw(st.integers(1, 24)), 2, 2, draw(st.integers(1, 24)))
        density, seed = draw(st.floats(0, 1)), draw(st.integers(0, 999))
        values = tiny_models.sparse_weights(shape, density=density, seed=seed)
        values[values.shape[0] // 2 :] *= np.int8(seed % 2)  # also with rows that are empty
        model = parsed(tiny_models.conv2d(shape, weights=values))
        before = len(serde.serialize(model))
        choices = planner.plan(model, litert.answer)
        planner.apply(model, choices)
        one_operator_code_and_padding = 56
        assert len(serde.serialize(model)) <= before + one_operator_code_and_padding
        return any(choice.form is not None for choice in choices)

    seen = tally(is_sparse, examples=150)
    assert min(seen[True], seen[False]) > 10


def test_negative_zeros_are_kept_and_told():
    values = tiny_models.sparse_weights((16, 3, 3, 64), "float32")
    values[0][values[0] == 0] = -0.0
    choice = weight_choice(tiny_models.conv2d(dtype="float32", weights=values))
    count = int(np.count_nonzero(np.signbit(values) & (values == 0)))
    assert choice.reason.endswith(f"; {count:,} of its values are -0.0, which is stored to keep every bit")
    assert choice.sparsity == 1 - (np.count_nonzero(values) + count) / values.size
    assert "-0.0" not in weight_choice(tiny_models.conv2d(dtype="float32")).reason
