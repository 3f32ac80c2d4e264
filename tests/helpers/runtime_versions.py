"""Run files in any released runtime, in child processes: other wheels are unpacked into folders, not installed.

A child runs many jobs. If one crashes it, the rest go to a new child.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

LITERT, TENSORFLOW = "ai-edge-litert", "tensorflow"
OLDER = ("1.2.0", "1.4.0", "2.1.0", "2.1.6")
"""Supported versions of LiteRT in addition to the installed one."""

_CHILD = Path(__file__).with_name("runtime_child.py")
_SECONDS_WITHOUT_A_RESULT = 60


@dataclass(frozen=True)
class Runtime:
    """A runtime.

    Attributes:
        package: :data:`LITERT` or :data:`TENSORFLOW`.
        version: of the package.
        folder: first on the path of a child; None for the installed one.
    """

    package: str
    version: str
    folder: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels of :func:`run` that it has."""
        with_compiled_model = self.package == LITERT and _numbers(self.version) >= (1, 4)
        return ("default", "builtin", "compiled_model") if with_compiled_model else ("default", "builtin")


@dataclass(frozen=True)
class Job:
    """A file to run.

    Attributes:
        model: its content.
        calls: for each call a tuple of arrays, one for each input; the inputs are resized to them.
        kernels: ``default`` (with XNNPACK), ``builtin``, ``reference`` (both without) or ``compiled_model``.
        outputs: shape and dtype of each output, which CompiledModel does not tell.
    """

    model: bytes
    calls: tuple[tuple[np.ndarray, ...], ...]
    kernels: str
    outputs: tuple[tuple[tuple[int, ...], str], ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """The end of a job: the outputs of each call, a refusal as text, or a crash (neither)."""

    outputs: tuple[tuple[np.ndarray, ...], ...] | None = None
    refusal: str | None = None

    def same_outputs(self, other: Result) -> bool:
        """Return whether both ran and yield the same bits."""
        if self.outputs is None or other.outputs is None:
            return False
        return all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for mine, theirs in zip(self.outputs, other.outputs, strict=True)
            for a, b in zip(mine, theirs, strict=True)
        )


def installed() -> tuple[Runtime, Runtime]:
    """Return the installed LiteRT and TensorFlow."""
    return Runtime(LITERT, version(LITERT)), Runtime(TENSORFLOW, version(TENSORFLOW))


def unpack(number: str, cache: Path) -> Runtime:
    """Return a version of LiteRT in a folder of ``cache``; pip downloads it if it is missing.

    Raises:
        subprocess.CalledProcessError: pip failed.
    """
    folder = cache / f"{LITERT}-{number}"
    if not (folder / "ai_edge_litert").exists():
        requirement = f"{LITERT}=={number}"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check")
        subprocess.run([*pip, "--target", str(folder), requirement], check=True)
    return Runtime(LITERT, number, folder)


def run(runtime: Runtime, jobs: Sequence[Job]) -> list[Result]:
    """Run every job in ``runtime``."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-runtimes-") as name:
        while len(results) < len(jobs):
            folder = Path(name) / str(len(results))
            folder.mkdir()
            found = list(_results(runtime, jobs[len(results) :], folder))
            results += found
            if len(results) < len(jobs):
                results.append(Result())  # the job that crashed the child
    return results


def _results(runtime: Runtime, jobs: Sequence[Job], folder: Path) -> Iterator[Result]:
    """Yield the results up to the first crash, or to a job that does not end."""
    entries = []
    for number, job in enumerate(jobs):
        (folder / f"{number}.tflite").write_bytes(job.model)
        arrays = {f"{i}_{j}": array for i, call in enumerate(job.calls) for j, array in enumerate(call)}
        np.savez(folder / f"{number}.in.npz", **arrays)
        entries.append({"kernels": job.kernels, "calls": [len(call) for call in job.calls], "outputs": job.outputs})
    description = {"package": runtime.package, "path": str(runtime.folder or ""), "jobs": entries}
    (folder / "jobs.json").write_text(json.dumps(description))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(_CHILD), str(folder)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        with process:
            try:
                _wait(process, folder)
            finally:
                process.kill()
    if not (folder / "started").exists():
        raise RuntimeError(f"{runtime.name} cannot be imported: {(folder / 'log.txt').read_text()[-2000:]}")
    for number, job in enumerate(jobs):
        path = folder / f"{number}.json"
        if not path.exists():
            return
        refusal = json.loads(path.read_text())["refusal"]
        if refusal is not None:
            yield Result(refusal=refusal)
            continue
        with np.load(folder / f"{number}.out.npz") as stored:
            rows = (sorted(k for k in stored if k.startswith(f"{i}_")) for i in range(len(job.calls)))
            yield Result(tuple(tuple(stored[key] for key in row) for row in rows))


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the child ends, or has finished no job for a long time."""
    finished = -1
    while (count := len(list(folder.glob("[0-9]*.json")))) > finished:
        finished = count
        try:
            process.wait(_SECONDS_WITHOUT_A_RESULT)
        except subprocess.TimeoutExpired:
            continue
        return


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
