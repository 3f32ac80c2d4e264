"""Test pruning with 16-bit computation, and on several devices."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_net import build, following, make_data, watched_fit

from tflite_sparse.pruning.schedule import PolynomialSchedule

SCHEDULE = PolynomialSchedule(0.2, 0.8, 3, 15, 4)
ZEROS = [0, 0, *[819] * 4, *[2549] * 4, *[3186] * 4, *[3277] * 10]  # of the 4,096 weights of the second kernel


@pytest.fixture
def policy(keras):
    yield keras.mixed_precision.set_global_policy
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(keras, policy, name):
    policy(name)
    model, pruning = build(keras, keras.optimizers.Adam(5e-3)), following(SCHEDULE)
    assert hasattr(model.optimizer, "inner_optimizer") == (name == "mixed_float16")
    seen = watched_fit(model, make_data(), pruning)
    assert [np.count_nonzero(weights[1] == 0) for weights in seen] == ZEROS
    check_state(model, pruning)


def test_steps_that_are_skipped_for_their_overflow(keras, policy):
    """An overflowing gradient changes only the scale; masks are still updated."""
    policy("mixed_float16")
    scaled = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(5e-3), initial_scale=2.0**30)
    model, pruning = build(keras, scaled), following(SCHEDULE)
    before = model.get_weights()
    seen = watched_fit(model, make_data(), pruning)
    np.testing.assert_array_equal(seen[0][0], before[0])  # skipped
    assert [np.count_nonzero(weights[1] == 0) for weights in seen] == ZEROS
    check_state(model, pruning)


def check_state(model, pruning):
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    variables = inner.variables() if callable(inner.variables) else inner.variables
    slots = 0
    for mask in pruning.masks().values():
        for variable in variables:
            if tuple(variable.shape) == mask.shape:
                slots += 1
                assert not variable.numpy()[~mask].any()
                assert (variable.numpy()[mask] != 0).mean() > 0.5
    assert slots == 4
    assert not {"apply", "apply_gradients"} & set(vars(model.optimizer))


def test_weights_in_half_precision(keras):
    if keras.__version__[0] == "2":
        pytest.skip("Keras 2 trains such weights in its legacy optimizers only")
    model, pruning = build(keras, keras.optimizers.SGD(0.05), kernels={"dtype": "bfloat16"}), following(SCHEDULE)
    watched_fit(model, make_data(), pruning)
    for kernel in (each.kernel for each in pruning.plan.kernels):
        assert kernel.read().dtype.name == "bfloat16"
        assert np.count_nonzero(kernel.read() == 0) == round(0.8 * kernel.size)


@pytest.fixture(scope="module")
def on_two_devices():
    """Return what was found, by generation and kind, all in one process: it must be a fresh one."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "train_on_two_devices.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=here.parents[1],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mixed", "late"])
@pytest.mark.parametrize("generation", ["keras2", "keras3"])
def test_mirrored_on_two_devices(generation, kind, on_two_devices):
    assert on_two_devices[f"{generation} {kind}"] == {
        "replicas": 2,
        "rows": 0 if kind == "late" else 10,
        "zeros": [] if kind == "late" else ZEROS,
        "final_zeros": [round(0.8 * size) for size in (2048, 4096)],
        "slots": 4,
        "stray": 0,
        "copies_agree": True,
        "patched": [],
    }
