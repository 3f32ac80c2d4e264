"""Test ``fit --shared-values`` for microcontrollers: the plan counts their bytes, and the file has them."""

import json

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.flatbuffer import serde
from tflite_sparse.pruning import recipe_file
from tflite_sparse.verification.weights import weights_of

BUDGET = 7_500
FAST = {"epochs": 0, "blocks": ("1x1",), "target": "micro", "max_accuracy_drop": 1.0}  # these are not about training


@pytest.fixture(scope="module")
def fitted(model3, digits, tmp_path_factory):
    """Report and folder by the setting."""
    found = {}
    for count in (8, "auto"):
        out = tmp_path_factory.mktemp(f"fit-{count}")
        found[count] = tflite_sparse.fit(model3, digits, budget=BUDGET, shared_values=count, out=out, **FAST), out
    return found


@pytest.mark.parametrize("count", [8, "auto"])
def test_the_file_is_as_large_as_planned_and_has_the_values_of_the_plan(fitted, count):
    report, out = fitted[count]
    assert report.gates.passed, report.gates.failures
    assert (out / "model.tflite").stat().st_size == report.file_bytes <= BUDGET
    assert abs(report.prediction_error) < 0.02
    weights = weights_of(serde.read(out / "dense-int8.tflite")).values()
    kept = {each.size: len(np.unique(each[each != 0])) for each in weights}
    planned = {int(np.prod(kernel.shape)): kernel.values for kernel in report.kernels}
    assert planned
    for size, values in planned.items():
        assert kept[size] <= values if values is not None else kept[size] > 32
    exported = json.loads((out / "report.json").read_text())
    assert exported["verification"]["weights_bit_exact"]
    assert exported["accuracy"]["drop_by_sharing"] is not None
    assert {tensor["values"] for tensor in exported["shared_values"]["tensors"]} <= set(planned.values())


def test_the_number_is_that_of_the_setting_or_of_the_plan(fitted):
    assert {kernel.values for kernel in fitted[8][0].kernels} == {8}
    assert {kernel.values for kernel in fitted["auto"][0].kernels} <= {None, 8, 16, 32}


def test_the_recipe_of_the_plan_makes_the_same_file(fitted, digits, tmp_path):
    _, out = fitted["auto"]
    assert recipe_file.read(out / "recipe.toml").shares_values
    report = tflite_sparse.export(
        out / "fitted.keras", digits, int8=True, target="micro", recipe=out / "recipe.toml", keep_channels=True,
        max_accuracy_drop=1, finetune_epochs=0, out=tmp_path,
    )  # fmt: skip
    assert report.shared_values.asked == "by kernel"
    found, wanted = (weights_of(serde.read(folder / "dense-int8.tflite")) for folder in (tmp_path, out))
    assert found.keys() == wanted.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, wanted[name])
