"""Sparse convolutions and the pools behind them, computed together, beside TensorFlow Lite Micro."""

import dataclasses

import numpy as np
import pytest

from helpers import generated_c, tiny_models
from helpers.int8_nets import Net
from tflite_sparse.backends import c_instructions
from tflite_sparse.codecs.streams.kernels import STRIP_KERNELS, Kernel
from tflite_sparse.runtime import cortex_m, micro
from tflite_sparse.targets import micro_costs

pytestmark = generated_c.needed


def net(*, few_values=False):
    """Odd and even sides, a stride of 2, activations that are narrower than int8; strips of eight and fewer columns."""
    made = Net((19, 26, 3), few_values=few_values, batches=2).conv(24, (3, 3), relu=few_values)
    made.max_pool(relu6=True).conv(72, (3, 3), 1, same=False).max_pool()
    return made.conv(17, (2, 3), per_channel=False).max_pool().dense(10)


WITH_POOL, ROW_BY_ROW = ("tfls_run", True), ("tfls_run_max_pool", False)
COMPUTED = {
    # CPU, aim, few values: the kernel of convolutions, and how those are computed that a pool is joined with
    ("cortex-m0", "size", False): (Kernel.PIXEL_DELTA8, 3 * [WITH_POOL]),
    ("cortex-m3", "size", True): (Kernel.PIXEL_SHARED, [WITH_POOL]),
    ("generic", "size", False): (Kernel.PIXEL_DELTA8, 2 * [ROW_BY_ROW]),
    ("cortex-m4", "size", True): (Kernel.PAIR_SHARED, [ROW_BY_ROW]),
    ("cortex-m4", "latency", False): (Kernel.STRIP_DELTA8, [WITH_POOL]),
}


@pytest.mark.parametrize(("cpu", "aim", "few_values"), sorted(COMPUTED))
def test_outputs_are_those_of_the_dense_file(cpu, aim, few_values, tmp_path):
    kernel, joined = COMPUTED[cpu, aim, few_values]
    model = net(few_values=few_values).finished()
    steps = generated_c.sparse(model, cpu, aim).program.steps
    found = [(call.function, call.pools) for step in steps for call in step.calls if step.kernel == kernel]
    assert found[: len(joined)] == joined
    wrong, arena, micro_arena = generated_c.differences(model, tmp_path, cpu=cpu, aim=aim)
    assert wrong == 0
    assert arena < micro_arena


@pytest.mark.parametrize("kernel", sorted(STRIP_KERNELS))
def test_every_kernel_of_strips(kernel, tmp_path, monkeypatch):
    """The planner has no other."""
    costs = micro_costs.of("cortex-m4", "standalone")
    alone = dataclasses.replace(costs, kernels={kernel: costs.kernels[kernel]})
    monkeypatch.setattr(micro_costs, "of", lambda *_: alone)
    model = Net((11, 18, 4), few_values=True).conv(16, (3, 3)).max_pool().conv(7, (2, 5)).max_pool().finished()
    steps = generated_c.sparse(model, "cortex-m4").program.steps
    assert [(step.kernel, call.pools) for step in steps for call in step.calls] == 2 * [(kernel, True)]
    assert generated_c.differences(model, tmp_path)[0] == 0


@pytest.mark.skipif(not cortex_m.is_available(), reason="compiler or emulator is not installed")
@pytest.mark.parametrize(("cpu", "aim"), [("cortex-m0", "size"), ("cortex-m4", "latency"), ("cortex-m55", "size")])
def test_emulated_cpus_compute_the_same(cpu, aim, tmp_path):
    dense = tmp_path / "dense.tflite"
    model = net().finished()
    dense.write_bytes(tiny_models.to_bytes(model))
    sources = generated_c.sparse(model, cpu, aim)
    rng = np.random.default_rng(3)
    samples = [c_instructions.sample(sources, rng) for _ in range(2)]
    found = c_instructions.emulated(sources, cpu, samples)
    wanted = micro.run_separately(dense, samples).rows
    assert all(np.array_equal(ours[0], theirs[0]) for ours, theirs in zip(found.rows, wanted, strict=True))
