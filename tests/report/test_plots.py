"""Test plots: legible files, the same bytes for the same numbers, and no global state."""

import subprocess
import sys

import numpy as np
import pytest

from tflite_sparse.errors import OutputError
from tflite_sparse.report.page import plots
from tflite_sparse.report.text.sensitivity import KernelScan, Point, Scan

SCAN = Scan(
    model="net",
    baseline_metric=0.9,
    baseline_loss=0.3,
    kernels=tuple(
        KernelScan(
            name=f"net/layer{i}/kernel",
            type="Dense",
            shape=(10, 10),
            weights=100,
            block="1x1",
            held=0.0,
            points=tuple(Point(asked=s, sparsity=s, metric=0.8, loss=0.3 + i * s) for s in (0.5, 0.9)),
        )
        for i in range(14)
    ),
)
STEPS = np.arange(100)


def draw(name, path):
    if name == "sensitivity":
        plots.sensitivity(SCAN, path)
    else:
        plots.schedule(STEPS, np.clip(STEPS / 50, 0, 0.875), np.linspace(1e-3, 0, 100), path)


@pytest.mark.parametrize("name", ["sensitivity", "schedule"])
@pytest.mark.parametrize(("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_the_same_bytes_each_time(tmp_path, name, suffix, magic):
    paths = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for path in paths:
        draw(name, path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(magic)
    assert first == second
    assert sorted(tmp_path.iterdir()) == paths


def test_the_legend_names_those_that_suffer_most(tmp_path):
    draw("sensitivity", tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert "net/layer13/kernel" in text
    assert "net/layer2/kernel" in text
    assert "net/layer1/kernel" not in text
    assert "loss on held-out samples" in text


def test_a_kernel_that_a_mask_emptied_can_be_drawn(tmp_path):
    empty = SCAN.kernels[0].model_copy(update={"points": (Point(asked=0.99, sparsity=1.0, metric=0.1, loss=2.0),)})
    plots.sensitivity(SCAN.model_copy(update={"kernels": (empty,)}), tmp_path / "plot.svg")
    assert "inf" not in (tmp_path / "plot.svg").read_text().replace("info", "")


def test_another_ending(tmp_path):
    with pytest.raises(OutputError, match=r"ends in \.svg or \.png"):
        draw("schedule", tmp_path / "plot.jpg")
    assert not list(tmp_path.iterdir())


def test_neither_pyplot_nor_a_backend_is_chosen(tmp_path):
    program = (
        "import sys, pathlib, numpy as np\n"
        "from tflite_sparse.report.page import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.schedule(np.arange(3), np.zeros(3), np.ones(3), pathlib.Path(sys.argv[1]))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "plot.svg"], check=True)
    assert (tmp_path / "plot.svg").stat().st_size > 1000
