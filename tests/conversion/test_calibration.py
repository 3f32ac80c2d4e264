"""Compare ranges of activations from histograms with NumPy's on the values themselves, and with those in files."""

import numpy as np
import pytest

from tflite_sparse.conversion import convert
from tflite_sparse.conversion.calibration import Histogram, mse_range, percentile_range
from tflite_sparse.errors import SettingsError
from tflite_sparse.runtime import litert
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import keras_model, tensorflow_import

BIN = 1 / 64  # relative width of a bin: twice the greatest distance from its middle


def histogram_of(*parts):
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def rounded(values, low, high):
    """Return the values rounded to 256 levels from ``low`` to ``high``."""
    step = (high - low) / 255
    levels = np.clip(np.round((values - low) / step), 0, 255)
    return np.where(values == 0, 0, low + step * levels)


def heavy_tailed(count=200_000):
    return np.random.default_rng(0).standard_t(2.5, count).astype(np.float32)


def test_percentile_is_numpys():
    values = heavy_tailed()
    low, high = percentile_range(histogram_of(*np.array_split(values, 7)), 0.999)
    wanted = np.quantile(values, [0.0005, 0.9995])
    np.testing.assert_allclose([low, high], wanted, rtol=2 * BIN)
    assert np.mean((values < low) | (values > high)) < 0.0012


def test_percentile_of_few_values_is_min_max():
    values = heavy_tailed(10_000)
    assert percentile_range(histogram_of(values)) == (values.min(), values.max())


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([3.0, 5.0], (0, 5)), ([-2.0, -1.0], (-2, 0)), ([0.0, 0.0], (0, 0)), ([np.inf, np.nan, 1.0], (0, 1))],
)
def test_zero_is_in_every_range(values, wanted):
    histogram = histogram_of(np.float32(values))
    assert percentile_range(histogram) == wanted
    np.testing.assert_allclose(mse_range(histogram), wanted)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("draw", ["exponential", "fourth powers"])
def test_mse_beats_every_other_range(sign, draw):
    """No range of a grid has a smaller error, measured on the values themselves."""
    generator = np.random.default_rng(1)
    values = generator.exponential(size=500_000) if draw == "exponential" else generator.standard_normal(50_000) ** 4
    values = np.float32(sign * values)
    low, high = mse_range(histogram_of(values))
    assert 0 in (low, high)

    def error(share):
        ends = sorted((0.0, sign * share * float(np.abs(values).max())))
        return np.mean((rounded(values, *ends) - values) ** 2)

    reached = np.mean((rounded(values, low, high) - values) ** 2)
    assert reached < 1.05 * min(error(share) for share in np.linspace(0.02, 1, 50))
    if draw == "exponential":
        assert reached < error(1) / 1.2


def test_mse_keeps_what_a_uniform_distribution_holds():
    values = np.random.default_rng(2).uniform(-3, 1, 50_000).astype(np.float32)
    np.testing.assert_allclose(mse_range(histogram_of(values)), (values.min(), values.max()), rtol=1e-6)


@pytest.fixture(scope="module")
def two_inputs():
    """Return a model with a heavy-tailed and a usual input, by name; samples; and its outputs."""
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(0)
    inputs = [keras.layers.Input((8, 16), name=name) for name in ("tailed", "usual")]
    tailed, usual = (keras.layers.Dense(4)(each) for each in inputs)  # joined first, they would share one scale
    source = keras_model.from_memory(keras.Model(inputs, keras.layers.Add()([tailed, usual])))
    normal = np.random.default_rng(0).standard_normal((2, 200, 8, 16)).astype(np.float32)
    x = {"tailed": normal[0] ** 5, "usual": normal[1]}
    (wanted,) = source.compute(x).values()
    return source, x, wanted


@pytest.fixture(scope="module")
def in_file(two_inputs, tmp_path_factory):
    """Return by calibration the median distance of int8 outputs from the model's, and the scale of the first input."""
    source, x, wanted = two_inputs
    found, steps = {}, []
    for calibration in ("min-max", "percentile", "mse"):
        path = tmp_path_factory.mktemp("calibration") / "model.tflite"
        path.write_bytes(
            convert.to_int8(source, x, "int8", calibration=calibration, on_step=lambda *step: steps.append(step))
        )
        scales = {each.name.split(":")[0].removeprefix("serving_default_"): each for each in litert.inputs(path)}
        outputs = litert.run(path, (x["tailed"], x["usual"])).real()
        found[calibration] = float(np.median(np.abs(outputs - wanted))), scales
    assert steps == [(i, 200) for i in range(1, 201)] + 2 * [(i, 400) for i in range(1, 401)]
    return found


def test_most_values_are_nearer_with_percentile(in_file):
    assert in_file["percentile"][0] < in_file["min-max"][0] / 1.05


@pytest.mark.parametrize(("calibration", "choose"), [("percentile", percentile_range), ("mse", mse_range)])
@pytest.mark.parametrize("name", ["tailed", "usual"])
def test_ranges_are_in_the_file(calibration, choose, name, in_file, two_inputs):
    low, high = choose(histogram_of(two_inputs[1][name]))
    assert in_file[calibration][1][name].scale == pytest.approx((high - low) / 255, rel=1e-4)
    if name == "tailed" and calibration == "percentile":
        assert in_file["min-max"][1][name].scale > 1.3 * in_file[calibration][1][name].scale


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "int8 files: add `int8=True`"), ({"int8": True, "activations": "int16"}, "int8 activations, not to int16")],
)
def test_calibration_needs_int8_activations(settings, words):
    with pytest.raises(SettingsError, match=f"`calibration.* applies to {words}"):
        ExportSettings(calibration="mse", **settings)
