"""Compare InceptionV3 and MobileNet with the sizes of Zhu and Gupta 2017, and measure memory of exporting InceptionV3.

python benchmarks/paper_sizes.py [--results FILE]
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click
import numpy as np
import psutil

import contenders
import results
from architecture_models import ARCHITECTURES
from models import EVERY_KERNEL
from tflite_sparse.sources.source_model import SourceModel

_HEADING = "Sizes beside the paper"
_SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.9, 0.95)
_SAMPLES = 4
_SECONDS_BETWEEN_LOOKS = 0.05
_MOST_GIGABYTES = 6.0

# Millions of non-zero parameters, recalled from tables 1 and 2 of the paper.
_PAPER = {
    "inception-v3": {0.0: 27.1, 0.5: 13.6, 0.75: 6.8, 0.875: 3.3},
    "mobilenet-v1": {0.0: 4.21, 0.5: 2.13, 0.75: 1.09, 0.9: 0.46, 0.95: 0.25},
}

_EXPORT = f"""
import sys, tempfile
import keras, numpy as np, tflite_sparse
keras.utils.set_random_seed(1)
model = keras.applications.InceptionV3(weights=None)
samples = np.random.default_rng(1).standard_normal((10, 299, 299, 3), np.float32)
with tempfile.TemporaryDirectory() as folder:
    tflite_sparse.export(model, samples, sparsity=0.875, int8=True, calibration_samples={_SAMPLES}, out=folder)
"""


@click.command()
@results.results_option("architectures")
def main(path: Path) -> None:
    """Encode both models at each sparsity, export one, and record the result; fail if memory exceeds the target."""
    rows = [_row(key, sparsity) for key in _PAPER for sparsity in _SPARSITIES]
    click.echo("memory of an export of InceptionV3", err=True)
    gigabytes = _export_gigabytes()
    results.write_section(path, _HEADING, _section(rows, gigabytes))
    if gigabytes > _MOST_GIGABYTES:
        sys.exit(1)


def _row(key: str, sparsity: float) -> tuple[str, ...]:
    click.echo(f"{key} at {sparsity:g}", err=True)
    recipe = ARCHITECTURES[key]
    source = recipe.make(sparsity)
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as name:
        dense = (
            contenders.convert_float32(source, Path(name)),
            contenders.convert_int8(source, recipe.samples(source, _SAMPLES), Path(name)),
        )
        sizes = [contenders.encode(each, Path(name)).path.stat().st_size for each in dense]
    paper = _PAPER[key].get(sparsity)
    quoted = "-" if paper is None else f"{paper:.2f}"
    return recipe.title, f"{sparsity:.1%}", quoted, f"{_nonzeros(source) / 1e6:.2f}", *(f"{size:,}" for size in sizes)


def _nonzeros(source: SourceModel) -> int:
    """Count trainable parameters without the zeros of kernels; zeros of other variables count."""
    variables = source.model.trainable_weights  # type: ignore[attr-defined]
    total = sum(int(np.prod(variable.shape)) for variable in variables)
    return total - sum(kernel.size - int(np.count_nonzero(kernel.read())) for kernel in source.kernels())


def _export_gigabytes() -> float:
    """Return the peak of the summed proportional set sizes of an export's processes."""
    peak, ended = 0, threading.Event()
    process = subprocess.Popen([sys.executable, "-c", _EXPORT], stderr=subprocess.DEVNULL)

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(process.pid)
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            peak = max(peak, _bytes_of(root))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status = process.wait()
    finally:
        ended.set()
        watcher.join()
    if status:
        raise RuntimeError(f"the export ended with status {status}")
    return peak / 1e9


def _bytes_of(root: psutil.Process) -> int:
    try:
        return sum(int(each.memory_full_info().pss) for each in (root, *root.children(recursive=True)))
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):  # it has just ended
        return 0


def _section(rows: list[tuple[str, ...]], gigabytes: float) -> str:
    headings = (
        "model",
        "zeros",
        "paper, non-zeros (millions)",
        "ours, non-zeros (millions)",
        "ours, float32 (bytes)",
        "ours, int8 (bytes)",
    )
    lines = [headings, ("---", *["---:"] * (len(headings) - 1)), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    verdict = "pass" if gigabytes <= _MOST_GIGABYTES else "FAIL"
    return f"""## {_HEADING}

{datetime.date.today().isoformat()}; {results.machine()}.
Random weights, zeros by magnitude in {EVERY_KERNEL}, depthwise kernels dense.
The paper's numbers are those of Zhu and Gupta (2017), recalled and not checked against its text.
Reproduce: `python benchmarks/paper_sizes.py`

{table}

At 50 % zeros an int8 file stays dense: an index of one byte for each value kept takes what the zeros would save.

- {verdict}: exporting InceptionV3 (87.5 % zeros, int8, {_SAMPLES} calibration samples) in at most
  {_MOST_GIGABYTES:g} GB: {gigabytes:.2f} GB, the peak of all processes together
  (proportional set size, sampled every 50 ms)"""


if __name__ == "__main__":
    main()
