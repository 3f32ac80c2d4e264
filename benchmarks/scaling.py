"""Compare two Ray workers with one on this machine: a sweep on a local cluster of each size.

python benchmarks/scaling.py [--epochs N] [--results FILE]

Each machine of the cluster is bound to a core of its own. Otherwise a single one would use two: TensorFlow uses more
than one core although its operators have one thread (1.4 in the training of an LSTM). The cores must otherwise be idle:
the script records the load before it starts.
"""

from __future__ import annotations

import datetime
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import ray
from ray.cluster_utils import Cluster

import results
from results import Verdict
from tflite_sparse.commands.sweep.command import sweep

_HEADING = "Two Ray workers against one"
_TARGET = 1.7
_POINTS = {"sparsity": (0.5, 0.75, 0.875, 0.95), "width": (1.0,), "seeds": 2}
_OBJECT_STORE_BYTES = 200_000_000


@click.command()
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True, help="Of each point, on mnist-5k.")
@results.results_option("sweeps")
def main(epochs: int, path: Path) -> None:
    """Time the same eight points on one machine of one core, and on two."""
    load = os.getloadavg()[0]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise click.ClickException("two cores are needed, one for each machine")
    seconds = []
    for workers in (1, 2):
        seconds.append(_seconds(cores[:workers], epochs))
        click.echo(f"machines of one core: {workers}; {seconds[-1]:.0f} s")
    ratio = seconds[0] / seconds[1]
    verdict = Verdict(f"two workers at least {_TARGET} times as fast as one", f"{ratio:.2f}", ratio >= _TARGET)
    section = (
        f"## {_HEADING}\n\n"
        f"{datetime.date.today().isoformat()}; {results.machine()}; ray {ray.__version__}; load average before: "
        f"{load:.1f}.\nEight points of the built-in network at width 1 on mnist-5k, {epochs} epochs each, on a local "
        f"cluster of one and of two machines, each bound to a core: {seconds[0]:.0f} s and {seconds[1]:.0f} s.\n"
        f"Reproduce: `python benchmarks/scaling.py --epochs {epochs}`\n\n- {verdict.in_words()}"
    )
    click.echo(section)
    results.write_section(path, _HEADING, section)


def _seconds(cores: Sequence[int], epochs: int) -> float:
    """Time a cluster with a machine on each core. This process and its children run on the first core."""
    sizes = {"num_cpus": 1, "object_store_memory": _OBJECT_STORE_BYTES}
    head, *others = cores
    os.sched_setaffinity(0, {head})
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **sizes})
    try:
        for core in others:
            os.sched_setaffinity(0, {core})  # inherited by processes started next
            cluster.add_node(**sizes)
            os.sched_setaffinity(0, {head})
        with tempfile.TemporaryDirectory(prefix="tflite-sparse-benchmark-") as folder:
            started = time.monotonic()
            report = sweep(None, "mnist-5k", epochs=epochs, ray_address=cluster.address, out=Path(folder), **_POINTS)
            seconds = time.monotonic() - started
    finally:
        ray.shutdown()
        cluster.shutdown()
    if report.failures:
        raise click.ClickException("; ".join(report.failures))
    return seconds - report.seconds["check"]


if __name__ == "__main__":
    main()
