"""Test every form of a data set, its split, its dtype, and refusals."""

import gzip
import io
import textwrap
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.errors import DataError
from tflite_sparse.sources import built_in_data, dataset, image_folder, npz, tensorflow_import
from tflite_sparse.sources.dataset import Dataset


@pytest.fixture(scope="module")
def tf():
    return tensorflow_import.tensorflow()


def numbered(count, *shape):
    """Return numbered samples with matching labels."""
    x = np.arange(count, dtype=np.float32).reshape(-1, *(1,) * len(shape)) * np.ones((1, *shape), np.float32)
    return x, np.arange(count) % 7


def check_split(data, count):
    """Check that all samples of ``numbered`` are there once, 20 % of them in the test part, each with its label."""
    train, test = (part.reshape(len(part), -1)[:, 0].astype(int) for part in (data.x_train, data.x_test))
    assert len(test) == max(1, round(0.2 * count))
    assert sorted([*train, *test]) == list(range(count))
    if data.y_train is not None:
        np.testing.assert_array_equal(data.y_train, train % 7)
        np.testing.assert_array_equal(data.y_test, test % 7)
    return test


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


# .npz


def test_npz_of_samples_and_labels(tmp_path):
    x, y = numbered(50, 3, 2)
    spec = save(tmp_path / "d.npz", x=x, y=y)
    data = dataset.load(spec)
    assert data.name == spec
    assert data.has_labels
    assert data.x_train.shape == (40, 3, 2)
    check_split(data, 50)


def test_npz_of_samples_only(tmp_path):
    data = dataset.load(save(tmp_path / "d.npz", x=numbered(10, 4)[0]))
    assert data.y_train is None
    assert data.y_test is None
    assert not data.has_labels
    check_split(data, 10)


def test_npz_with_a_split_of_its_own(tmp_path):
    x, y = numbered(9, 4)
    data = dataset.load(save(tmp_path / "d.npz", x_train=x[:5], y_train=y[:5], x_test=x[5:], y_test=y[5:]), seed=3)
    np.testing.assert_array_equal(data.x_train, x[:5])
    np.testing.assert_array_equal(data.y_train, y[:5])
    np.testing.assert_array_equal(data.x_test, x[5:])
    np.testing.assert_array_equal(data.y_test, y[5:])


def test_npz_with_a_split_and_no_labels(tmp_path):
    x, y = numbered(9, 4)
    data = dataset.load(save(tmp_path / "d.npz", x_train=x[:5], x_test=x[5:], y_test=y[5:]))
    assert data.y_train is None
    assert not data.has_labels


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.ones((3, 2))}, "holds images; expected x, y or x_train"),
        ({}, "holds nothing; expected x, y"),
        ({"x_train": np.ones((3, 2)), "y_train": np.ones(3)}, "holds x_train, y_train; expected"),
        ({"x": np.ones((3, 2)), "y": np.ones(4)}, "x has 3 samples and y has 4 labels"),
        ({"x": np.ones((1, 2))}, "at least two samples"),
        ({"x": np.ones((0, 2))}, "at least two samples"),
        ({"x": np.float32(3)}, "at least two samples"),
        ({"x": np.ones((3, 2)), "y": np.int64(3)}, "x has 3 samples and y has 1 labels"),
        ({"x": np.array([[1, np.nan], [1, 2], [np.inf, 1]])}, "NaN or infinity"),
        ({"x": np.array(["a", "b", "c"])}, "data of type <U1 are not supported"),
        ({"x": np.ones((3, 2), np.complex64)}, "data of type complex64"),
        ({"x": np.ones((3, 2)), "y": np.array(["a", "b", "c"])}, "data of type <U1"),
        ({"x": np.array([{}, {}])}, "cannot be read as an .npz of plain arrays"),
        ({"x_train": np.ones((3, 2)), "x_test": np.ones((0, 2))}, "x_test holds no samples"),
        (
            {"x_train": np.ones((3, 2)), "y_train": np.ones(2), "x_test": np.ones((2, 2)), "y_test": np.ones(2)},
            "x_train has 3 samples and y_train has 2 labels",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:20],
)
def test_npz_refused(arrays, words, tmp_path):
    with pytest.raises(DataError, match=words):
        dataset.load(save(tmp_path / "d.npz", **arrays))


def test_how_many_samples_are_not_finite(tmp_path):
    x, _ = numbered(20, 3)
    x[3, 1] = x[4, 2] = np.nan
    x[4, 0] = np.inf
    with pytest.raises(DataError, match=r"x_train: sample 3 holds NaN or infinity \(2 samples do\)"):
        Dataset("d", x, None, x[:2], None)


@pytest.mark.parametrize("what", ["x", "y"])
def test_a_sample_that_is_not_finite_is_named_as_it_was_given(what):
    """Not by its place in the part that it was split into."""
    given = {"x": numbered(20, 3)[0].astype(np.float32), "y": np.ones(20)}
    given[what][7] = np.nan
    with pytest.raises(DataError, match=f"data: {what}: sample 7 holds NaN or infinity"):
        dataset.from_arrays(given)


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_one_infinity_is_found(value):
    x = numbered(20, 3)[0].astype(np.float32)
    x[7, 1] = value
    with pytest.raises(DataError, match="x_test: sample 7 holds"):
        Dataset("d", x[:2], None, x, None)


def test_npz_missing(tmp_path):
    with pytest.raises(DataError, match=r"d.npz: no such file"):
        dataset.load(str(tmp_path / "d.npz"))


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"PK\x03\x04" + bytes(100)])
def test_malformed_npz(content, tmp_path):
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"d.npz cannot be read as an .npz"):
        dataset.load(str(tmp_path / "d.npz"))


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_npz_with_damaged_bytes(write, place, tmp_path):
    """Zip, deflate and the header of an array all fail in their own way."""
    path = tmp_path / "d.npz"
    write(path, x=np.random.default_rng(0).integers(0, 9, (40, 30)).astype(np.float32))
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + 64] = b"\xff" * len(content[start : start + 64])
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"d.npz"):
        dataset.load(str(path))


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_of_an_npz_are_those_that_numpy_reads(write, tmp_path):
    """More than one piece at a time, columns first, empty, of one number, of other byte order; and a rare header."""
    rng = np.random.default_rng(0)
    arrays = {
        "large": rng.integers(0, 9, (300, 200)).astype(np.float32),
        "columns": np.asfortranarray(rng.integers(0, 9, (40, 3, 5)).astype(np.uint8)),
        "empty": np.zeros((0, 4), np.float32),
        "number": np.float64(3),
        "swapped": np.arange(9, dtype=">i4"),
    }
    write(tmp_path / "d.npz", **arrays)
    found = npz.read(tmp_path / "d.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.arange(3), version=(3, 0))
    with zipfile.ZipFile(tmp_path / "rare.npz", "w") as archive:
        archive.writestr("x.npy", buffer.getvalue())
    assert npz.read(tmp_path / "rare.npz")["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "content", "words"),
    [
        ((10**10,), b"12", "x.npy has 130 bytes, too few for 10,000,000,000 of uint8"),
        ((3,), b"12", "x.npy ends after 2 of 3 bytes"),
        ((3,), b"1234", "x.npy has more bytes than its 3 of uint8"),
        ((), b"", "x.npy ends after 0 of 1 bytes"),
    ],
)
def test_npz_with_another_number_of_bytes_than_its_header_says(shape, content, words, tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": shape, "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + content)
    with pytest.raises(DataError, match=words):
        dataset.load(str(tmp_path / "d.npz"))


def test_no_data_set_at_all(tmp_path):
    with pytest.raises(DataError, match="'nonsense' is no data set: `data` takes a built-in name"):
        dataset.load("nonsense")


# The split


@given(st.integers(2, 300), st.integers(0, 2**31 - 1))
def test_split(count, seed):
    check_split(dataset.from_arrays(numbered(count, 2), seed=seed), count)


def test_split_follows_the_seed(tmp_path):
    spec = save(tmp_path / "d.npz", x=numbered(100, 2)[0])
    first, again, other = (check_split(dataset.load(spec, seed=seed), 100) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)
    assert list(first) != sorted(first)  # shuffled: data sets are often ordered by class


# Objects in memory


def test_from_arrays_forms():
    x, y = numbered(10, 3)
    given_set = Dataset("mine", x, y, x, y)
    assert dataset.from_arrays(given_set) is given_set
    check_split(dataset.from_arrays(x), 10)
    check_split(dataset.from_arrays((x, y)), 10)
    assert dataset.from_arrays((x, None)).y_train is None
    check_split(dataset.from_arrays({"x": x, "y": y}), 10)
    check_split(dataset.from_arrays((x.tolist(), y.tolist())), 10)
    data = dataset.from_arrays(((x[:4], y[:4]), (x[4:], y[4:])), name="four")
    assert data.name == "four"
    np.testing.assert_array_equal(data.x_train, x[:4])
    np.testing.assert_array_equal(data.y_test, y[4:])


@pytest.mark.parametrize(
    "value", [None, "text", object(), [[1, 2], [3]], ([[1, 2], [3]], [0, 1])], ids=["none", "text", "object", "a", "b"]
)
def test_from_arrays_refuses(value):
    with pytest.raises(DataError):
        dataset.from_arrays(value)


# path/to/module.py:function


@pytest.fixture
def module(tmp_path):
    def write(body, head=""):
        text = f"import numpy as np\n{head}\nx = np.arange(10.0)[:, None] * np.ones((1, 3))\ny = np.arange(10) % 7\n"
        (tmp_path / "my_data.py").write_text(text + "def make():\n" + textwrap.indent(body, "    "))
        return f"{tmp_path / 'my_data.py'}:make"

    return write


@pytest.mark.parametrize("value", ["x", "(x, y)", "{'x': x, 'y': y}", "(x, None)"])
def test_function_returning_arrays(value, module):
    spec = module(f"return {value}")
    data = dataset.load(spec)
    assert data.name == spec
    assert data.has_labels == ("y" in value)
    check_split(data, 10)


@pytest.mark.parametrize(
    "value",
    ["((x[:7], y[:7]), (x[7:], y[7:]))", "{'x_train': x[:7], 'y_train': y[:7], 'x_test': x[7:], 'y_test': y[7:]}"],
)
def test_function_returning_two_parts(value, module):
    data = dataset.load(module(f"return {value}"))
    assert data.x_train[:, 0].tolist() == list(range(7))
    assert data.x_test[:, 0].tolist() == [7, 8, 9]
    assert data.y_test.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", ["(x, y)", "x"])
def test_function_returning_tf_data(value, module, tf):
    data = dataset.load(module(f"return tf.data.Dataset.from_tensor_slices({value})", "import tensorflow as tf"))
    assert data.has_labels == ("y" in value)
    check_split(data, 10)


def test_function_imports_its_neighbours(module, tmp_path):
    (tmp_path / "neighbour_of_my_data.py").write_text("count = 12")
    spec = module("return np.ones((count, 2))", "from neighbour_of_my_data import count")
    assert len(dataset.load(spec).x_train) == 10


@pytest.mark.parametrize(
    ("body", "head", "words"),
    [
        ("raise KeyError('k')", "", "my_data.py:make raised KeyError: 'k'"),
        ("return None", "", "not supported"),
        ("return [[1, 2], [3]]", "", "make"),
        ("return x", "import no_such_module", "my_data.py raised ModuleNotFoundError"),
        ("return x[:1]", "", "make: at least two samples"),
    ],
)
def test_function_refused(body, head, words, module):
    with pytest.raises(DataError, match=words):
        dataset.load(module(body, head))


def test_function_that_is_missing(module, tmp_path):
    spec = module("return x")
    with pytest.raises(DataError, match="has no function 'other'"):
        dataset.load(spec.replace(":make", ":other"))
    with pytest.raises(DataError, match="has no function 'x'"):
        dataset.load(spec.replace(":make", ":x"))
    with pytest.raises(DataError, match=r"gone.py: no such Python file"):
        dataset.load(str(tmp_path / "gone.py:make"))


# tf.data


def failing():
    yield [1.0, 2.0]
    raise FileNotFoundError("sample 2 is gone")


def test_tf_data(tf):
    x, y = numbered(12, 2, 2, 1)
    check_split(dataset.from_arrays(tf.data.Dataset.from_tensor_slices((x, y))), 12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda tf, x, y: tf.data.Dataset.from_tensor_slices((x, y)).take(0), "yields no samples"),
        (lambda tf, x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(4), "differ in shape"),
        (lambda tf, x, y: tf.data.Dataset.from_tensor_slices(((x, x), y)), "gives 2 inputs and the model has one"),
        (lambda tf, x, y: tf.data.Dataset.from_tensor_slices((x, [str(v) for v in y])), "not supported"),
        (lambda tf, x, y: tf.data.Dataset.from_generator(failing, output_types=tf.float32), "sample 2 is gone"),
    ],
    ids=["empty", "batched", "tuple", "text", "failing"],
)
def test_tf_data_refused(make, words, tf):
    value = make(tf, *numbered(10, 3))
    with pytest.raises(DataError, match=words):
        dataset.from_arrays(value)


# Folders of images


def write_image(tf, path, value, size=(4, 6), channels=3, encode="png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, channels), value, np.uint8)
    encoded = tf.io.encode_png(pixels) if encode == "png" else tf.io.encode_jpeg(pixels, quality=100)
    path.write_bytes(encoded.numpy())


def test_folder_of_class_folders(tf, tmp_path):
    for number in range(5):
        write_image(tf, tmp_path / "dog" / f"{number}.png", 100 + number)
        write_image(tf, tmp_path / "cat" / f"{number}.PNG", number)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "README").write_text("no folder")
    data = dataset.load(str(tmp_path), image_shape=(None, 4, 6, 3))
    assert data.labels == ("cat", "dog")
    assert data.x_train.shape == (8, 4, 6, 3)
    assert data.x_test.shape == (2, 4, 6, 3)
    assert data.x_train.dtype == np.float32
    x, y = (np.concatenate(parts) for parts in ((data.x_train, data.x_test), (data.y_train, data.y_test)))
    assert sorted(x[:, 0, 0, 0].tolist()) == [*range(5), *range(100, 105)]  # 0 to 255, unchanged
    np.testing.assert_array_equal(y, x[:, 0, 0, 0] >= 100)
    assert (x == x[:, :1, :1, :1]).all()


def test_folder_with_train_and_test(tf, tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for number in range(count):
            write_image(tf, tmp_path / part / "a" / f"{number}.png", 10 + number)
            write_image(tf, tmp_path / part / "b" / f"{number}.jpg", 200, encode="jpeg")
    data = dataset.load(str(tmp_path), image_shape=(None, 4, 6, 3))
    assert data.labels == ("a", "b")
    assert data.y_train.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.y_test.tolist() == [0, 0, 1, 1]
    assert data.x_train[:3, 0, 0, 0].tolist() == [10, 11, 12]
    assert np.abs(data.x_train[3:] - 200).max() <= 2


def test_folder_at_the_limit_of_its_size(tf, tmp_path, monkeypatch):
    for number in range(3):
        write_image(tf, tmp_path / "a" / f"{number}.png", 1)
    monkeypatch.setattr(image_folder, "MAX_BYTES", 3 * 4 * 6 * 3 * 4)
    assert len(dataset.load(str(tmp_path), image_shape=(None, 4, 6, 3)).x_train) == 2
    monkeypatch.setattr(image_folder, "MAX_BYTES", 3 * 4 * 6 * 3 * 4 - 1)
    with pytest.raises(DataError, match="3 images take more than 0 GB; use fewer"):
        dataset.load(str(tmp_path), image_shape=(None, 4, 6, 3))


def test_images_are_resized_and_take_the_channels_of_the_model(tf, tmp_path):
    for number in range(2):
        write_image(tf, tmp_path / "a" / f"{number}.png", 50, size=(9, 5))
    data = dataset.load(str(tmp_path), image_shape=(None, 4, 6, 1))
    assert data.x_train.shape == (1, 4, 6, 1)
    np.testing.assert_allclose(data.x_train, 50, atol=1)


def test_test_folder_lacks_a_class(tf, tmp_path):
    for name in ("a", "b"):
        write_image(tf, tmp_path / "train" / name / "0.png", 1)
    write_image(tf, tmp_path / "test" / "a" / "0.png", 1)
    with pytest.raises(DataError, match="test has no folder for class 'b', which the training part has"):
        dataset.load(str(tmp_path), image_shape=(None, 4, 6, 3))


@pytest.mark.parametrize("shape", [None, (None, 10), (None, None, None, 3), (None, 4, 6, 7), (None, 4, 6)])
def test_folder_for_a_model_of_no_images(shape, tf, tmp_path):
    write_image(tf, tmp_path / "a" / "0.png", 1)
    with pytest.raises(DataError, match="a folder of images needs a model with one input"):
        dataset.load(str(tmp_path), image_shape=shape)


def test_folders_refused(tf, tmp_path):
    shape = (None, 4, 6, 3)
    with pytest.raises(DataError, match="has no folders"):
        dataset.load(str(tmp_path), image_shape=shape)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        dataset.load(str(tmp_path), image_shape=shape)
    write_image(tf, tmp_path / "a" / "0.png", 1)
    with pytest.raises(DataError, match="at least two samples"):
        dataset.load(str(tmp_path), image_shape=shape)
    (tmp_path / "a" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a.1\.png cannot be read as an image"):
        dataset.load(str(tmp_path), image_shape=shape)


# Built-in names


@pytest.mark.parametrize(("name", "count", "shape"), [("mnist-5k", 5000, (28, 28, 1)), ("digits", 1797, (8, 8, 1))])
def test_built_in(name, count, shape):
    data = dataset.load(name)
    assert data.name == name
    assert len(data.x_test) == round(0.2 * count)
    assert len(data.x_train) == count - len(data.x_test)
    assert data.labels == tuple("0123456789")
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.shape == (len(y), *shape)
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
        assert set(np.unique(y)) == set(range(10))
    assert len(np.unique(np.concatenate([data.x_train, data.x_test]).reshape(count, -1), axis=0)) > 0.99 * count
    np.testing.assert_array_equal(dataset.load(name).x_test, data.x_test)
    assert not np.array_equal(dataset.load(name, seed=1).x_test, data.x_test)


def idx(values):
    """Return the IDX format: two zeros, 8 for bytes, the rank, sizes as big-endian 32-bit numbers, the bytes."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(header + values.astype(np.uint8).tobytes())


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 6), ("t10k", 3)):
        arrays[f"{part}-images-idx3"] = generator.integers(0, 256, (count, 28, 28))
        arrays[f"{part}-labels-idx1"] = np.arange(count)
    for name, values in arrays.items():
        (tmp_path / f"{name}-ubyte.gz").write_bytes(idx(values))
    monkeypatch.setattr(built_in_data, "_FASHION_MNIST_FOLDER", tmp_path)
    return arrays


def test_fashion_mnist(fashion):
    data = dataset.load("fashion-mnist")
    assert data.x_train.shape == (6, 28, 28, 1)
    assert data.x_test.shape == (3, 28, 28, 1)
    assert data.x_train.dtype == np.float32
    np.testing.assert_allclose(data.x_train[..., 0] * 255, fashion["train-images-idx3"], atol=1e-4)
    np.testing.assert_allclose(data.x_test[..., 0] * 255, fashion["t10k-images-idx3"], atol=1e-4)
    assert data.y_train.tolist() == list(range(6))
    assert data.y_test.tolist() == list(range(3))
    assert len(data.labels) == 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"not gzip",
        lambda content: content[:-40],
        lambda content: content[:20] + b"\xff" * 40 + content[60:],
        lambda content: gzip.compress(b"\x00\x00"),
        lambda content: gzip.compress(gzip.decompress(content)[:-5]),
    ],
    ids=["no gzip", "cut", "damaged", "no header", "too short"],
)
def test_damaged_fashion_mnist(damage, fashion, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz"):
        dataset.load("fashion-mnist")


def test_missing_part_of_fashion_mnist(fashion, tmp_path):
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz"):
        dataset.load("fashion-mnist")


# Fitting to a model


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        ("float64", "float32"),
        ("uint8", "float32"),
        ("int64", "float32"),
        ("float32", "float16"),
        ("bool", "float32"),
        ("int64", "int32"),
        ("uint8", "int32"),
        ("float32", "float32"),
    ],
)
def test_fitted_casts(dtype, wanted):
    x = np.arange(24).reshape(4, 3, 2).astype(dtype)
    y = np.arange(4)
    data = Dataset("d", x, y, x[:2], y[:2], ("a", "b")).fitted_to((None, 3, 2), np.dtype(wanted))
    assert data.x_train.dtype == data.x_test.dtype == wanted
    np.testing.assert_array_equal(data.x_train, x.astype(wanted))
    np.testing.assert_array_equal(data.x_test, x[:2].astype(wanted))
    np.testing.assert_array_equal(data.y_train, y)
    assert (data.name, data.labels) == ("d", ("a", "b"))


def test_fitted_to_sizes_that_may_change():
    data = Dataset("d", np.ones((4, 5, 7, 3)), None, np.ones((2, 5, 7, 3)), None)
    assert data.fitted_to((None, None, None, 3), np.dtype("float32")).x_train.shape == (4, 5, 7, 3)
    assert data.fitted_to((1, 5, 7, 3), np.dtype("float32")).x_test.shape == (2, 5, 7, 3)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((None, 5, 7, 1), r"a sample has shape .*5.*7.*3.*, the model's input takes .*5.*7.*1"),
        ((None, 5, 7), "a sample has shape"),
        ((None, 105), "a sample has shape"),
        ((None, None, 7, 3, 1), "a sample has shape"),
    ],
)
def test_fitted_refuses_shapes(shape, words):
    data = Dataset("d", np.ones((4, 5, 7, 3)), None, np.ones((2, 5, 7, 3)), None)
    with pytest.raises(DataError, match=words):
        data.fitted_to(shape, np.dtype("float32"))


def test_fitted_refuses_parts_of_different_shapes():
    with pytest.raises(DataError, match="x_train and x_test have samples of different shapes"):
        Dataset("d", np.ones((4, 3)), None, np.ones((2, 5)), None).fitted_to((None, 3), np.dtype("float32"))


@pytest.mark.parametrize(("train", "test"), [("float32", "float32"), ("int32", "float32"), ("float32", "int32")])
def test_fitted_refuses_to_cut_fractions(train, test):
    """A model of token numbers and data of real numbers do not fit, in either part."""
    data = Dataset("d", np.full((4, 3), 1.5, train), None, np.full((2, 3), 2.5, test), None)
    with pytest.raises(DataError, match=r"x is float32, the model's input takes int32|float32.*int32"):
        data.fitted_to((None, 3), np.dtype("int32"))


def test_fitted_refuses_values_that_overflow():
    with pytest.raises(DataError, match="infin"):
        Dataset("d", np.full((4, 3), 1e300), None, np.ones((2, 3)), None).fitted_to((None, 3), np.dtype("float32"))
