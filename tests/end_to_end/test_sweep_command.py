"""Run ``tflite-sparse sweep`` from a builder and data to its report, on this machine and on a Ray cluster."""

import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import heed_sigint, run_cli
from tflite_sparse.base.progress import Silent, ignore_steps
from tflite_sparse.commands.sweep import command as sweep_command
from tflite_sparse.commands.sweep.point import Job, Place
from tflite_sparse.commands.sweep.point import run as run_point
from tflite_sparse.errors import DataError, InputError, SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.sweep import PointFile, SweepReport
from tflite_sparse.settings import SweepSettings

BUILDER = """
import keras

def net(width):
    return keras.Sequential([
        keras.Input((24,)),
        keras.layers.Dense(int(96 * width), activation="relu"),
        keras.layers.Dense(4),
    ])

def two(width):
    x = keras.Input((24,))
    return keras.Model(x, [keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)])

def right(outputs, labels):
    return outputs.argmax(-1) == labels

def wrong(width):
    return width
"""
SMALL = 0.25  # its kernels are too small to prune


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "nets.py").write_text(BUILDER)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((480, 24)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=(x @ generator.standard_normal((24, 4))).argmax(-1))
    return folder


def options(work, out, *more):
    nets, data = f"{work / 'nets.py'}:net", work / "data.npz"
    grid = ("--sparsity", "0,0.8", "--width", f"{SMALL},1", "--seeds", 1, "--epochs", 6)
    training = ("--batch-size", 32, "--learning-rate", 0.02)
    scored = ("--metric", f"{work / 'nets.py'}:right")
    return ("sweep", nets, "--data", data, *grid, *training, *scored, "--jobs", 2, "--out", out, "--quiet", *more)


@pytest.fixture(scope="module")
def first(work):
    """Run four points, of which one fails: the small model has nothing to prune."""
    return run_cli(*options(work, work / "out", "--json"))


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "points").glob("*.tflite")}


@pytest.mark.slow
def test_every_point_is_measured_and_the_failed_one_is_reported(work, first):
    assert first.code == 1
    report = SweepReport.model_validate(first.report)
    names = [point.name for point in report.points]
    assert names == [
        "width1-sparsity0-1x1-seed0",
        "width1-sparsity0.8-1x1-seed0",
        "width0.25-sparsity0-1x1-seed0",
        "width0.25-sparsity0.8-1x1-seed0",
    ]
    assert [point.measured is None for point in report.points] == [False, False, False, True]
    assert len(report.failures) == 1
    assert report.failures[0].startswith("width0.25-sparsity0.8-1x1-seed0: nothing to prune")
    assert SweepReport.model_validate_json((work / "out" / "sweep.json").read_bytes()) == report


@pytest.mark.slow
def test_what_is_reported_is_what_lies_on_the_disk(work, first):
    points = SweepReport.model_validate(first.report).measured
    assert len(points) == 3
    for point, measured in points:
        assert measured.metric == "right"
        path = work / "out" / "points" / f"{point.name}.tflite"
        assert path.stat().st_size == measured.file_bytes
        kept = PointFile.model_validate_json(path.with_suffix(".json").read_bytes())
        assert kept.point == point
        assert serde.read(path).subgraphs
        kernels = measured.weights
        assert kernels == 24 * int(96 * point.width) + int(96 * point.width) * 4
        pruned = 24 * 96 if point.sparsity else 0  # the last kernel is too small
        assert measured.nonzeros == pytest.approx(kernels - 0.8 * pruned, abs=0.02 * kernels)
        assert measured.file_bytes <= measured.dense_bytes
        assert measured.accuracy > 0.4  # of four classes
        assert measured.interval.low < measured.accuracy < measured.interval.high


@pytest.mark.slow
def test_pruned_channels_leave_the_file_of_a_point(work):
    settings = SweepSettings(sparsity=[0.5], block=["channel"], width=[1], seeds=1, epochs=6, batch_size=32)
    place = Place(1.0, 0.5, "channel", 0)
    measured, content = run_point(
        Job(place, settings, f"{work / 'nets.py'}:net", str(work / "data.npz"), 1), on_step=ignore_steps
    )
    assert measured.multiply_adds == measured.weights == 24 * 48 + 48 * 4
    assert len(content) == measured.file_bytes < measured.dense_bytes - 0.8 * (24 * 48 + 48 * 4)
    assert measured.accuracy > 0.4  # of four classes


@pytest.mark.slow
def test_documents_beside_the_report(work, first):
    text = (work / "out" / "sweep.md").read_text("utf-8")
    assert "FAILED width0.25-sparsity0.8" in text
    assert "## At equal file bytes" in text
    ET.parse(work / "out" / "sweep.svg")
    page = (work / "out" / "report.html").read_text("utf-8")
    assert "FAILED" not in page  # failures have a section of their own
    assert "width0.25-sparsity0.8" in page


@pytest.mark.slow
def test_resume_does_the_missing_points_alone_and_gives_the_same_bytes(work, first, tmp_path):
    out = shutil.copytree(work / "out", tmp_path / "out")
    before = files(out)
    gone = "width1-sparsity0.8-1x1-seed0"
    for path in (out / "points").glob(f"{gone}.*"):
        path.unlink()
    kept = out / "points" / "width1-sparsity0-1x1-seed0.json"
    stamp = kept.stat().st_mtime_ns
    again = run_cli(*options(work, out, "--json", "--resume"))
    assert again.code == 1
    assert files(out) == before
    assert kept.stat().st_mtime_ns == stamp
    one, other = (SweepReport.model_validate(run.report) for run in (first, again))
    assert [point.measured for point in one.points] == [point.measured for point in other.points]
    assert one.comparisons == other.comparisons


@pytest.mark.slow
def test_resume_with_other_settings_is_refused(work, first):
    run = run_cli(*options(work, work / "out", "--resume", "--epochs", 7))
    assert run.code == 2
    assert "was made with epochs = 6, this sweep has 7" in run.stderr
    again = run_cli(*options(work, work / "out"))
    assert again.code == 2
    assert "go on with --resume" in again.stderr


@pytest.mark.slow
def test_a_failed_point_with_other_settings_does_not_prevent_a_resume(work, first, tmp_path):
    out = shutil.copytree(work / "out", tmp_path / "out")
    for path in (out / "points").glob("*"):
        if path.name != "width0.25-sparsity0.8-1x1-seed0.json":
            path.unlink()
    again = run_cli(*options(work, out, "--resume", "--epochs", 1, "--width", "1", "--sparsity", "0", "--json"))
    assert again.code == 0, again.stderr
    assert [point["name"] for point in again.report["points"]] == ["width1-sparsity0-1x1-seed0"]


@pytest.mark.slow
def test_an_interrupted_sweep_leaves_its_points_and_nothing_else(work, tmp_path):
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    arguments = options(work, out, "--sparsity", "0", "--width", "1", "--seeds", 4, "--jobs", 1)
    program = Path(sys.executable).with_name("tflite-sparse")
    with subprocess.Popen(
        [program, *(str(each) for each in arguments if each != "--quiet")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        preexec_fn=heed_sigint,
    ) as running:
        said = iter(running.stderr.readline, "")
        next(line for line in said if line.startswith("1 of 4: "))
        running.send_signal(signal.SIGINT)
        rest = "".join(said)
    assert running.returncode == 130
    assert f"1 of 4 points are done, in {out / 'points'}: go on with --resume" in rest
    assert len(files(out)) == 1
    assert not [path for path in temporary.iterdir() if path.name.startswith("tflite-sparse-")]
    rebuilt = run_cli("report", out)
    assert rebuilt.code == 2
    assert "go on with --resume of sweep" in rebuilt.stderr


class StoppedError(Exception):
    """Raised by the progress below."""


class StopsAtAWarning(Silent):
    """Ends the run at the first warning."""

    def note(self, text):
        if text.startswith("warning: "):
            raise StoppedError(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": (0.8,)}, "no small dense models to compare: put 0 among"),
        ({"sparsity": (0.0,)}, "no large sparse models to compare"),
        ({"resume": True}, "holds no points to go on from"),
    ],
)
def test_a_sweep_without_a_result_is_refused_before_the_work(work, tmp_path, settings, message):
    with pytest.raises(StoppedError, match=message):
        tflite_sparse.sweep(
            f"{work / 'nets.py'}:net", work / "data.npz", out=tmp_path / "out", progress=StopsAtAWarning(), **settings
        )
    assert not (tmp_path / "out").exists()


def test_a_metric_that_cannot_be_used_is_told_before_the_work(work, tmp_path):
    nets = work / "nets.py"
    with pytest.raises(DataError, match="has no function 'absent'"):
        tflite_sparse.sweep(f"{nets}:net", work / "data.npz", metric=f"{nets}:absent", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_leaves_no_folder(work, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SettingsError, match="no Ray cluster answers there"):
        tflite_sparse.sweep(f"{work / 'nets.py'}:net", work / "data.npz", ray_address="auto", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        ("nets.py", "is no MODEL-BUILDER"),
        ("absent.py:net", "no such Python file"),
        ("nets.py:absent", "has no function 'absent'"),
        ("nets.py:wrong", "returned no Keras model"),
        ("nets.py:two", "one input and one output"),
    ],
)
def test_builders_that_cannot_be_used(work, tmp_path, builder, message):
    with pytest.raises(InputError, match=message):
        sweep_command.sweep(str(work / builder), work / "data.npz", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_built_in_network_takes_images(work, tmp_path):
    with pytest.raises(DataError, match="built-in network takes images"):
        tflite_sparse.sweep(data=work / "data.npz", out=tmp_path / "out")


def test_settings_that_cannot_be_used(work, tmp_path):
    with pytest.raises(SettingsError, match="`block='2:4'`: a sweep sets the sparsity"):
        tflite_sparse.sweep(data=work / "data.npz", block=("2:4",), out=tmp_path)
    with pytest.raises(SettingsError, match=r"0.5 is given twice"):
        SweepSettings(sparsity=(0, 0.5, 0.5))
    assert run_cli("sweep", "--data", "digits", "--sparsity", "0;0.5").code == 2


def names(**settings):
    return [place.name for place in sweep_command.places(SweepSettings(**settings))]


def test_the_grid():
    both = {"sparsity": (0, 0.9), "width": (0.5, 1), "block": ("1x1", "1x16"), "seeds": 1, "seed": 7}
    families = [
        "width1-sparsity0-1x1-seed7",
        "width1-sparsity0.9-1x1-seed7",
        "width1-sparsity0.9-1x16-seed7",
        "width0.5-sparsity0-1x1-seed7",
    ]
    assert names(**both, grid="families") == families
    assert names(**both) == [*families, "width0.5-sparsity0.9-1x1-seed7", "width0.5-sparsity0.9-1x16-seed7"]
    assert len(names()) == 4 * 6 * 3


class KillsAMachine:
    """Removes a machine of the cluster when the first point is done."""

    def __init__(self, cluster, machine):
        self._cluster, self._machine = cluster, machine
        self.killed_at = None

    def note(self, text):
        if " of " in text and self.killed_at is None:
            self.killed_at = text
            self._cluster.remove_node(self._machine, allow_graceful=False)

    def stage(self, name):
        return Silent().stage(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_ray_cluster_that_loses_a_machine_yields_every_point(work, tmp_path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    sizes = {"object_store_memory": 100_000_000}
    # Ray else takes a quarter of a minute to notice a lost machine. One that is slow to answer stays, as by default.
    noticing = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": noticing, **sizes}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        listener = KillsAMachine(cluster, cluster.add_node(num_cpus=1, **sizes))
        report = tflite_sparse.sweep(
            f"{work / 'nets.py'}:net",
            work / "data.npz",
            width=(1.0,),
            sparsity=(0.0, 0.8),
            seeds=2,
            epochs=2,
            batch_size=32,
            ray_address=cluster.address,
            out=tmp_path / "out",
            progress=listener,
        )
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert listener.killed_at is not None
    assert report.failures == []
    assert len(report.measured) == 4
    assert len(files(tmp_path / "out")) == 4
