"""Test generators, Keras Sequences and tf.data, of samples and of batches, as people write them."""

import itertools

import numpy as np
import pytest

from tflite_sparse.base.progress import ignore_steps
from tflite_sparse.errors import DataError
from tflite_sparse.sources import dataset, streams, tensorflow_import
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import InputSpec, OutputSpec

FLOAT = np.dtype(np.float32)
ONE = Signature((InputSpec("image", (None, 2, 3), FLOAT),), (OutputSpec("classes", (None, 4)),))
TWO = Signature((InputSpec("left", (None, 2, 3), FLOAT), InputSpec("right", (None, 5), FLOAT)), ONE.outputs)
X = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
Z = np.arange(50, dtype=np.float32).reshape(10, 5)
Y = np.arange(10) % 4
BATCHES = [slice(0, 4), slice(4, 8), slice(8, 10)]


def collect(value, signature=ONE):
    return streams.collect(value, signature, "data", ignore_steps)


def representative():
    """Yield like a representative_dataset of TensorFlow's documentation."""
    for row in range(10):
        yield [X[row : row + 1]]


def as_sequence(base):
    class Batches(base):
        def __len__(self):
            return len(BATCHES)

        def __getitem__(self, number):
            return X[BATCHES[number]], Y[BATCHES[number]]

    return Batches()


class Loader:
    """An iterable with a length, like a DataLoader of PyTorch."""

    def __len__(self):
        return len(BATCHES)

    def __iter__(self):
        return ([X[rows], Y[rows]] for rows in BATCHES)


def tf_data(labelled=True):
    return tensorflow_import.tensorflow().data.Dataset.from_tensor_slices((X, Y) if labelled else X)


FORMS = {
    "representative_dataset": lambda: representative,
    "generator": lambda: representative(),
    "samples": lambda: iter(X),
    "samples in lists": lambda: ([x] for x in X),
    "labelled samples": lambda: zip(X, Y, strict=True),
    "batches": lambda: (X[rows] for rows in BATCHES),
    "labelled batches": lambda: ((X[rows], Y[rows]) for rows in BATCHES),
    "batches without labels": lambda: ((X[rows], None) for rows in BATCHES),
    "by name": lambda: ({"image": x} for x in X),
    "batches by name": lambda: ({"image": X[rows]} for rows in BATCHES),
    "function that returns a generator": lambda: lambda: representative(),
    "labelled Loader": Loader,
    "labelled Sequence of Keras 2": lambda: as_sequence(tensorflow_import.keras2().utils.Sequence),
    "labelled PyDataset of Keras 3": lambda: as_sequence(tensorflow_import.keras3().utils.PyDataset),
    "labelled tf.data": tf_data,
    "labelled tf.data in batches": lambda: tf_data().batch(4),
    "tf.data of unknown length": lambda: tf_data(labelled=False).filter(lambda x: True).batch(4),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.filterwarnings("ignore:Your `PyDataset`")
def test_forms(form):
    found = collect(FORMS[form]())
    x = found.x["image"] if isinstance(found.x, dict) else found.x
    np.testing.assert_array_equal(x, X)
    assert (found.count, found.is_cut) == (10, False)
    if form.startswith("labelled"):
        np.testing.assert_array_equal(found.y, Y)
    else:
        assert found.y is None


@pytest.mark.parametrize("make", [list, tuple], ids=["list", "tuple"])
@pytest.mark.parametrize("rows", [range(10), BATCHES], ids=["samples", "batches"])
def test_several_inputs_in_the_order_of_the_model(make, rows):
    for elements in ((make((X[at], Z[at])) for at in rows), ((make((X[at], Z[at])), Y[at]) for at in rows)):
        found = collect(elements, TWO)
        np.testing.assert_array_equal(found.x["left"], X)
        np.testing.assert_array_equal(found.x["right"], Z)
    np.testing.assert_array_equal(found.y, Y)


def test_split_as_other_data():
    data = dataset.from_arrays(zip(X, Y, strict=True), signature=ONE)
    assert (len(data.x_train), len(data.x_test), data.name) == (8, 2, "data")
    every = np.concatenate([data.x_train, data.x_test])[:, 0, 0]
    assert sorted(every) == sorted(X[:, 0, 0])


def test_generator_without_end_is_stopped_and_the_name_says_so(monkeypatch):
    monkeypatch.setattr(streams, "MOST_SAMPLES", 30)
    steps = []
    data = dataset.from_arrays(
        itertools.cycle(X), signature=ONE, on_step=lambda done, total: steps.append((done, total))
    )
    assert len(data.x_train) + len(data.x_test) == 30
    assert data.name == "data (the first 30 samples)"
    assert data.fitted_to_model(ONE).is_cut
    assert steps == [(done, 30) for done in range(1, 31)]
    assert not collect(iter(np.tile(X, (3, 1, 1)))).is_cut  # as many as are taken, and no more
    monkeypatch.setattr(streams, "MOST_BYTES", 5 * X[0].nbytes)
    assert collect(itertools.cycle(X)).count == 5


def test_known_length_over_the_limit_is_refused_at_its_first_element(monkeypatch):
    monkeypatch.setattr(streams, "MAX_BYTES", X.nbytes)
    assert collect(tf_data(labelled=False)).count == 10
    monkeypatch.setattr(streams, "MAX_BYTES", X.nbytes - 1)
    seen = []
    with pytest.raises(DataError, match=r"yields more than 0 GB: limit it with \.take"):
        streams.collect(tf_data(labelled=False), ONE, "data", lambda done, total: seen.append(done))
    assert not seen


def failing():
    yield X[0]
    raise FileNotFoundError("sample 2 is gone")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tf_data().repeat(), r"data yields samples without end \(\.repeat\(\)\): limit it, with \.take\(n\)"),
        (lambda: tf_data().batch(4).repeat(), "without end"),
        (lambda: iter(()), "yields no samples"),
        (failing, "data raised FileNotFoundError: sample 2 is gone"),
        (lambda: 3, "must return an iterable of samples, not a int"),
        (lambda missing: 3, "data raised TypeError"),
        (lambda: zip(X, Y, Y, strict=True), "sample weights, which are not used"),
        (lambda: iter([(X, Y[:3])]), "numbers differ"),
        (lambda: iter([X[0], X[0, :1]]), "differ in shape"),
    ],
)
def test_refused(make, words):
    value = make if make is failing or make.__code__.co_argcount else make()
    with pytest.raises(DataError, match=words):
        collect(make if value == 3 else value)


def test_what_it_prints_is_no_result(capsys):
    def talking():
        print("loading")
        yield from X

    collect(talking)
    assert capsys.readouterr() == ("", "loading\n")
