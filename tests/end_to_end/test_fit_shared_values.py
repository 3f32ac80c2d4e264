"""Test ``fit --shared-values`` for microcontrollers: the plan counts their bytes, and the file has them."""

import json

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.flatbuffer import serde
from tflite_sparse.pruning import recipe_file
from tflite_sparse.verification.weights import weights_of

pytestmark = pytest.mark.slow

BUDGET = 7_500
FAST = {"epochs": 0, "blocks": ("1x1",), "target": "micro", "max_accuracy_drop": 1.0}  # these are not about training


@pytest.fixture(scope="module")
def fitted(model3, digits, tmp_path_factory):
    """Report and folder by the setting; decoded into RAM, and computed on in flash."""
    found = {}
    for count, kernels in ((8, {}), ("auto", {"micro_kernels": "sparse", "micro_cpu": "cortex-m4"})):
        out = tmp_path_factory.mktemp(f"fit-{count}")
        report = tflite_sparse.fit(model3, digits, budget=BUDGET, shared_values=count, out=out, **kernels, **FAST)
        found[count] = report, out
    return found


def by_size(folder):
    """The weights of the dense file by their number."""
    return {values.size: values for values in weights_of(serde.read(folder / "dense-int8.tflite")).values()}


@pytest.mark.parametrize("count", [8, "auto"])
def test_the_file_is_as_large_as_planned_and_has_the_values_of_the_plan(fitted, count):
    report, out = fitted[count]
    assert report.gates.passed, report.gates.failures
    assert 0.93 * BUDGET < (out / "model.tflite").stat().st_size == report.file_bytes <= BUDGET
    assert abs(report.prediction_error) < 0.02
    kept = {size: len(np.unique(values[values != 0])) for size, values in by_size(out).items()}
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


def test_the_sparse_kernels_lie_beside_the_file(fitted):
    _, out = fitted["auto"]
    layouts = {tensor["layout"] for tensor in json.loads((out / "report.json").read_text())["tensors"]}
    assert any(layout.startswith("shared values") for layout in layouts), layouts
    assert (out / "micro" / "tflite_sparse_kernels.c").exists()
    assert not (fitted[8][1] / "micro").exists()


def test_the_recipe_of_the_plan_makes_the_same_weights(fitted, digits, tmp_path):
    _, out = fitted["auto"]
    assert recipe_file.read(out / "recipe.toml").shares_values
    report = tflite_sparse.export(
        out / "fitted.keras", digits, int8=True, recipe=out / "recipe.toml", keep_channels=True,
        pixels="0..1", max_accuracy_drop=1, finetune_epochs=0, out=tmp_path,
    )  # fmt: skip
    assert report.shared_values.asked == "by kernel"
    found, wanted = (by_size(folder) for folder in (tmp_path, out))
    assert found.keys() == wanted.keys()
    for size, values in found.items():
        np.testing.assert_array_equal(values, wanted[size])
