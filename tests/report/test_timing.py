"""Test the times of a command: summed by task, on the terminal, and in JSON."""

from helpers import tiny_models
from helpers.tools import run_cli
from tflite_sparse.base.child import Spent
from tflite_sparse.base.cpu_clock import summed
from tflite_sparse.report.text import timings as timing_tables
from tflite_sparse.results.cpu import ChildCpu


def test_children_are_gathered_by_task_in_the_order_of_their_first_runs():
    spent = [Spent("b:run", 0.25), Spent("a:run", 1.0), Spent("b:run", 0.5)]
    found = summed(2.0, spent)
    assert found.own_seconds == 2.0
    assert found.children == [
        ChildCpu(task="b:run", runs=2, seconds=0.75),
        ChildCpu(task="a:run", runs=1, seconds=1.0),
    ]


def test_tables_end_with_their_sums():
    assert timing_tables.stages({"read": 0.5, "encode": 1.25}).rows == (
        ("read", "0.50"),
        ("encode", "1.25"),
        ("all stages", "1.75"),
    )
    assert timing_tables.processes(summed(2.0, [Spent("a:run", 1.0), Spent("a:run", 0.5)])).rows == (
        ("this process", "", "2.00"),
        ("a:run", "2", "1.50"),
        ("all processes", "", "3.50"),
    )


def test_encode_tells_its_stages_and_the_processes_that_ran_the_files(tmp_path):
    source, out = tmp_path / "in.tflite", tmp_path / "out.tflite"
    source.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    run = run_cli("encode", source, "-o", out, "--timings", "--quiet")
    assert run.code == 0
    quiet, told = run_cli("encode", source, "-o", out, "--quiet"), run_cli("encode", source, "-o", out, "--json")
    assert "CPU time" not in quiet.stdout
    tasks = {each["task"]: each["runs"] for each in told.report["cpu"]["children"]}
    assert tasks["runtime.litert:run_separately_here"] == 6  # two files in three runtimes
    rows = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines() if line.strip()}
    for task, runs in tasks.items():
        assert rows[task][0] == str(runs)
    for stage in told.report["seconds"]:
        assert f"\n {stage} " in run.stdout
    assert {"encode", "compare weights"} <= set(told.report["seconds"])
