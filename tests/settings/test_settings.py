"""Test which settings are refused, and the messages."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.errors import InputError, SettingsError
from tflite_sparse.settings import EncodeSettings, ExportSettings, FitSettings, SweepSettings, VerifySettings


def test_defaults_do_nothing_extra():
    settings = ExportSettings()
    assert settings.sparsity is None
    assert settings.int8 is False
    assert settings.finetune_epochs == "auto"
    assert settings.io is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sparsity": 1.0}, "`sparsity=1.0`: .*less than 1"),
        ({"sparsity": -0.01}, "`sparsity=-0.01`"),
        ({"sparsity": float("nan")}, "`sparsity=nan`"),
        ({"sparsity": "much"}, "`sparsity='much'`"),
        ({"io": "uint8"}, "`io='uint8'`: .*int8.*int16.*float32"),
        ({"int8": True, "io": "int16"}, "`io='int16'` does not go with int8 activations"),
        ({"int8": True, "activations": "float32", "io": "int8"}, "`io='int8'` does not go with float32"),
        ({"activations": "int16"}, "add `int8=True`"),
        ({"int8": True, "activations": "int16", "target": "micro"}, "target litert, not to micro"),
        ({"finetune_epochs": -1}, "`finetune_epochs=-1`"),
        ({"finetune_epochs": 1.5}, "`finetune_epochs=1.5`"),
        ({"calibration_samples": 0}, "`calibration_samples=0`"),
        ({"verification_samples": 3}, "`verification_samples=3`"),
        ({"max_accuracy_drop": -0.01}, "`max_accuracy_drop=-0.01`"),
        ({"max_accuracy_drop": float("inf")}, "`max_accuracy_drop=inf`"),
        ({"seed": -1}, "`seed=-1`"),
        ({"seed": 2**31}, "`seed=2147483648`"),
        ({"metric": "speed"}, "`metric='speed'`: it takes auto, .* or FILE.py:FUNCTION"),
        ({"sparsety": 0.5}, "unknown setting 'sparsety': did you mean `sparsity`"),
        ({"sparsity": 2, "seed": -1}, "`sparsity=2`: .*; `seed=-1`: "),
    ],
)
def test_refuses(values, words):
    with pytest.raises(SettingsError, match=words) as caught:
        ExportSettings(**values)
    assert isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("metric", ["mse", "psnr"])
def test_a_sweep_refuses_scores_without_points(metric):
    with pytest.raises(SettingsError, match=f"`metric='{metric}'`: a sweep tells margins in points"):
        SweepSettings(metric=metric)


@pytest.mark.parametrize(
    "values",
    [
        {"sparsity": 0},
        {"sparsity": 0.9999},
        {"max_accuracy_drop": 0},
        {"max_accuracy_drop": 1},
        {"seed": 2**31 - 1},
        {"verification_samples": 4},
        {"calibration_samples": 1},
    ],
)
def test_takes_the_ends_of_a_range(values):
    settings = ExportSettings(**values)
    assert {name: getattr(settings, name) for name in values} == values


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (
            EncodeSettings,
            {"target": "ethos-u", "optimize": "latency"},
            "`optimize` applies to the target litert, micro or c",
        ),
        (EncodeSettings, {"target": "micro", "optimize": "latency"}, "`optimize` applies to `micro_kernels` sparse"),
        (
            EncodeSettings,
            {"target": "micro", "micro_cpu": "cortex-m4"},
            "`micro_cpu` applies to `micro_kernels` sparse",
        ),
        (
            EncodeSettings,
            {"target": "micro", "micro_kernels": "sparse", "micro_codec": "lut"},
            "`micro_codec` applies to `micro_kernels` tflm, not to sparse",
        ),
        (EncodeSettings, {"target": "ethos-u", "input_shapes": {"x": (1, 2)}}, "`input_shapes` applies to the target"),
        (EncodeSettings, {"c_array": True}, "`c_array` applies to the target micro, not to litert"),
        (VerifySettings, {"target": "micro", "threads": 2}, "`threads` applies to the target litert, not to micro"),
        (VerifySettings, {"target": "micro", "tolerance": 1}, "`tolerance` applies to the target litert"),
    ],
)
def test_a_setting_of_another_target(kind, values, words):
    with pytest.raises(SettingsError, match=words):
        kind(**values)
    assert kind(target="micro").target == "micro"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tfl_net", "those of the kernels"),
        ("string", "a header of C itself"),
        ("test", "CMake has a target of its own"),
    ],
)
def test_names_that_generated_c_cannot_have(name, words):
    with pytest.raises(SettingsError, match=words):
        EncodeSettings(target="c", name=name)
    assert EncodeSettings(target="c", name=f"a_{name}").name == f"a_{name}"


def test_a_path_may_be_text():
    assert ExportSettings(out="some/where").out == Path("some/where")


@pytest.mark.parametrize("name", list(ExportSettings.model_fields))
def test_frozen(name):
    settings = ExportSettings()
    before = getattr(settings, name)
    with pytest.raises(Exception, match=r"(?i)frozen"):
        setattr(settings, name, before)


@given(st.floats(allow_nan=True))
def test_sparsity_is_a_share_below_one(value):
    if 0 <= value < 1:
        assert ExportSettings(sparsity=value).sparsity == value
    else:
        with pytest.raises(SettingsError, match="sparsity"):
            ExportSettings(sparsity=value)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("100kB", 100_000),
        ("100KB", 100_000),
        ("100KiB", 102_400),
        ("1.5MB", 1_500_000),
        ("0.25 MiB", 262_144),
        ("100,000", 100_000),
        ("100_000 B", 100_000),
        (12345, 12345),
    ],
)
def test_a_budget_in_words(words, count):
    assert FitSettings(budget=words).budget == count


@pytest.mark.parametrize("words", ["", "kB", "100 kilobytes", "-5kB", "1e3", "0.2B", "100mb", "NaN"])
def test_malformed_budgets(words):
    with pytest.raises(SettingsError, match="budget"):
        FitSettings(budget=words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shared_values": 1}, "it takes auto or a whole number from 2 to 127"),
        ({"micro_kernels": "sparse"}, "`micro_kernels` applies to the target micro, not to litert"),
        ({"target": "micro", "micro_cpu": "cortex-m4"}, "`micro_cpu` applies to `micro_kernels` sparse, not to tflm"),
    ],
)
def test_refusals_of_fit(settings, words):
    with pytest.raises(SettingsError, match=words):
        FitSettings(budget="9kB", **settings)


def test_with_limits_alone_no_number_of_shared_values_is_chosen():
    with pytest.raises(SettingsError, match="limits alone do not count"):
        FitSettings(max_macs=1, shared_values="auto")
    for others in ({"budget": "9kB"}, {"gate": True}):
        assert FitSettings(max_macs=1, shared_values="auto", **others).shared_values == "auto"
    assert FitSettings(max_macs=1, shared_values=8).shared_values == 8
