"""Test the scan: one kernel masked at a time, all bits restored, and the test part unused."""

import numpy as np
import pytest

from tflite_sparse.errors import DataError, ModelError, SettingsError
from tflite_sparse.pruning import masks
from tflite_sparse.pruning.sensitivity import Score, estimated_evaluations, held_out, scan
from tflite_sparse.pruning.structure import parse
from tflite_sparse.report.text.sensitivity import Scan, table
from tflite_sparse.scoring import keras_score
from tflite_sparse.sources import keras_model
from tflite_sparse.sources.dataset import Dataset

SPARSITIES = (0.5, 0.9)


@pytest.fixture
def source(keras):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32,)),
            layers.Dense(64, activation="relu", name="first"),
            layers.Dense(64, activation="relu", name="second"),
            layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy())
    return keras_model.from_memory(model)


@pytest.fixture
def samples():
    generator = np.random.default_rng(3)
    x = generator.normal(size=(200, 32)).astype(np.float32)
    return Dataset("random", x, (x @ generator.normal(size=(32, 3))).argmax(-1), x[:9], np.zeros(9, np.int64))


def bits(source):
    return [np.array(values).tobytes() for values in source.model.get_weights()]


def test_every_figure_is_that_of_the_model_with_one_kernel_masked(source, samples):
    kernels, before = masks.prunable(source), bits(source)
    evaluate = keras_score.evaluator(source, samples.x_train, samples.y_train)
    found = scan(source, kernels, evaluate, SPARSITIES)
    assert bits(source) == before
    assert [kernel.name.split("/")[-2] for kernel in found.kernels] == ["first", "second"]
    assert [(kernel.type, kernel.shape, kernel.weights, kernel.held) for kernel in found.kernels] == [
        ("Dense", (32, 64), 2048, 0.0),
        ("Dense", (64, 64), 4096, 0.0),
    ]
    for kernel, result in zip(kernels, found.kernels, strict=True):
        for asked, point in zip(SPARSITIES, result.points, strict=True):
            values = kernel.read()
            masks.apply_mask(kernel, masks.magnitude_mask(values, asked))
            outputs = source.model.predict(samples.x_train, verbose=0)
            kernel.write(values)
            right = outputs[np.arange(200), samples.y_train]
            assert point.metric == np.mean(outputs.argmax(-1) == samples.y_train)
            assert point.loss == pytest.approx(-np.log(right).mean(), rel=1e-4)
            assert (point.asked, point.sparsity) == (asked, pytest.approx(asked, abs=1e-3))
    losses = {point.loss for kernel in found.kernels for point in kernel.points}
    assert len(losses) == 4
    assert found.baseline_loss not in losses


def test_steps_are_those_that_were_announced(source):
    kernels, steps, calls = masks.prunable(source), [], []

    def evaluate():
        calls.append([float(np.mean(kernel.read() == 0)) for kernel in kernels])
        return Score(0.5, 1.0)

    scan(source, kernels, evaluate, SPARSITIES, on_step=lambda done, total: steps.append((done, total)))
    count = estimated_evaluations(kernels, SPARSITIES)
    assert count == 5
    assert steps == [(done, count) for done in range(1, count + 1)]
    np.testing.assert_allclose(calls, [[0, 0], [0.5, 0], [0.9, 0], [0, 0.5], [0, 0.9]], atol=1e-3)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("call", range(5))
def test_weights_come_back_when_evaluation_raises(source, call):
    kernels, before, calls = masks.prunable(source), bits(source), []

    def evaluate():
        calls.append(None)
        if len(calls) > call:
            raise StoppedError
        return Score(0.5, 1.0)

    with pytest.raises(StoppedError):
        scan(source, kernels, evaluate, SPARSITIES)
    assert bits(source) == before


def test_negative_zeros_and_zeros_held_come_back_too(source):
    kernel = masks.prunable(source)[0]
    values = kernel.read().copy()
    values[:16] = -0.0
    kernel.write(values)
    before = bits(source)
    found = scan(source, [kernel], lambda: Score(0.5, 1.0), (0.25, 0.75))
    assert bits(source) == before
    assert found.kernels[0].held == 0.5
    assert [point.sparsity for point in found.kernels[0].points] == [0.5, 0.75]


def test_blocks_are_masked_whole_and_the_reach_of_n_of_m_is_reported(source):
    kernel, seen = masks.prunable(source)[0], []

    def evaluate():
        seen.append(kernel.read() == 0)
        return Score(0.5, 1.0)

    found = scan(source, [kernel], evaluate, (0.5,), structure=parse("1x16"))
    blocks = seen[1].reshape(2, 16, 64)
    assert np.all(blocks.all(1) == blocks.any(1))
    assert found.kernels[0].block == "1x16"
    found = scan(source, [kernel], evaluate, (0.5, 0.9), structure=parse("2:4"))
    assert [(point.asked, point.sparsity) for point in found.kernels[0].points] == [(0.5, 0.5), (0.9, 0.5)]


def test_each_kernel_in_its_own_blocks(source):
    kernels = masks.prunable(source)
    found = scan(source, kernels, lambda: Score(0.5, 1.0), (0.9,), structure=[parse("2:4"), parse("1x1")])
    assert [(kernel.block, round(kernel.points[0].sparsity, 3)) for kernel in found.kernels] == [
        ("2:4", 0.5),
        ("1x1", 0.9),
    ]


def test_a_scan_survives_json(source):
    found = scan(source, masks.prunable(source), lambda: Score(0.5, 1.0), SPARSITIES)
    assert Scan.model_validate_json(found.model_dump_json()) == found


def test_table_names_the_kernel_that_suffers_most_first(source):
    losses = iter([1.0, 1.1, 1.2, 1.3, 4.0])
    found = scan(source, masks.prunable(source), lambda: Score(0.5, next(losses)), SPARSITIES)
    shown = table(found)
    assert [row[0].split("/")[-2] for row in shown.rows] == ["second", "first"]
    assert shown.headings[-2:] == ("0.5 zeros", "0.9 zeros")
    assert all(len(row) == len(shown.headings) for row in shown.rows)


def test_a_loss_that_is_no_number_names_the_kernel(source):
    losses, before = iter([1.0, 1.0, float("nan")]), bits(source)
    with pytest.raises(ModelError, match=r"first/kernel masked to 0.9 has a loss of nan"):
        scan(source, masks.prunable(source), lambda: Score(0.5, next(losses)), SPARSITIES)
    assert bits(source) == before


@pytest.mark.parametrize("sparsities", [(), (0.0, 0.5), (0.5, 1.0), (0.9, 0.5), (0.5, 0.5), (float("nan"),)])
def test_sparsities_out_of_range_or_order(source, sparsities):
    with pytest.raises(SettingsError, match="expected rising shares"):
        scan(source, masks.prunable(source), lambda: Score(0.5, 1.0), sparsities)


def test_no_kernel(source):
    with pytest.raises(SettingsError, match="nothing to scan"):
        scan(source, [], lambda: Score(0.5, 1.0))


def numbered(count, labelled=True):
    x = np.arange(count, dtype=np.float32)[:, None]
    return Dataset("n", x, x[:, 0] if labelled else None, -1 - x, -1 - x[:, 0] if labelled else None)


@pytest.mark.parametrize(("count", "held"), [(2, 1), (50, 5), (1000, 100), (30_000, 2000)])
def test_held_out_samples_are_of_the_training_part_only(count, held):
    x_fit, y_fit, x_held, y_held = held_out(numbered(count), seed=4)
    assert len(x_held) == held
    np.testing.assert_array_equal(np.sort(np.concatenate([x_fit, x_held])[:, 0]), np.arange(count))
    np.testing.assert_array_equal(x_fit[:, 0], y_fit)
    np.testing.assert_array_equal(x_held[:, 0], y_held)


def test_the_split_follows_the_seed():
    first, again, other = (held_out(numbered(100), seed=seed)[2] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_labels():
    _, y_fit, x_held, y_held = held_out(numbered(10, labelled=False), seed=0)
    assert y_fit is None
    assert y_held is None
    assert len(x_held) == 1


def test_what_cannot_be_split():
    with pytest.raises(DataError, match="one training sample"):
        held_out(numbered(1), seed=0)
    for share, most in ((0.0, 10), (1.0, 10), (0.5, 0)):
        with pytest.raises(SettingsError, match="share"):
            held_out(numbered(10), share, most, seed=0)
