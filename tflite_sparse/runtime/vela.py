"""Compile files with Vela, Arm's compiler for Ethos-U, run as a program, and read its estimates."""

from __future__ import annotations

import csv
import importlib.util
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.base import extras, scratch
from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.errors import ExecutionError, one_line

NAME = "Vela"

_KIB = 1024
_LEFT_TO_CPU = re.compile(
    r"^Warning \(supported operators\) operator: (.+), ofm: '(.*)'\s+^Reason: (.+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class VelaResult:
    """A compiled file. Memory, cycles and speed are Vela's estimates for the part on the NPU.

    Attributes:
        path: the compiled file.
        accelerator: target of the compilation.
        system_config: the assumed memory system, Vela's default for the accelerator.
        flash_bytes: of flash memory, on and off the chip.
        sram_bytes: of SRAM.
        dram_bytes: of DRAM, where the default of larger accelerators keeps weights.
        original_weight_bytes: before compression.
        encoded_weight_bytes: compressed, as the NPU reads them.
        estimated_cycles: for one inference.
        inferences_per_second: None if nothing runs on the NPU.
        left_to_cpu: each operator that the NPU does not take, with the reason.
    """

    path: Path
    accelerator: str
    system_config: str
    flash_bytes: int
    sram_bytes: int
    dram_bytes: int
    original_weight_bytes: int
    encoded_weight_bytes: int
    estimated_cycles: int
    inferences_per_second: float | None
    left_to_cpu: tuple[str, ...]


def is_available() -> bool:
    """Return whether the package ``ethos-u-vela`` is installed."""
    return importlib.util.find_spec("ethosu") is not None


def compile_file(
    path: Path, *, folder: Path, accelerator: str = "ethos-u55-128", timeout_seconds: int = 600
) -> VelaResult:
    """Compile a dense int8 file; write ``folder / (its name + "_vela.tflite")``.

    Args:
        path: the ``.tflite`` file.
        folder: of the compiled file.
        accelerator: a value of ``--accelerator-config`` in ``vela --help``.
        timeout_seconds: time limit of the compilation.

    Raises:
        ExecutionError: Vela is not installed, refuses the file or the accelerator, crashes, or takes too long.
        OutputError: the compiled file cannot be written.
    """
    if not is_available():
        raise ExecutionError(f"{NAME} is not installed: {extras.install_command('ethos-u')}")
    with scratch.folder() as written:
        log = _run(path, accelerator, written, timeout_seconds)
        summary = _summary(path, written)
        target = folder / f"{path.stem}_vela.tflite"
        write_bytes(target, (written / target.name).read_bytes())
    return _result(path, target, accelerator, summary, log)


def _run(path: Path, accelerator: str, folder: Path, timeout_seconds: int) -> str:
    # In its own folder, because ``-m`` would import modules of the current one.
    arguments = [str(path.resolve()), "--accelerator-config", accelerator, "--output-dir", str(folder)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ethosu.vela", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise ExecutionError(f"{NAME} did not finish {path} within {timeout_seconds} s.") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = lines[-1].strip()[:300] if lines else f"status {done.returncode}"
        raise ExecutionError(f"{NAME} refuses {path}: {why}")
    return done.stdout + done.stderr


def _summary(path: Path, folder: Path) -> dict[str, str]:
    found = sorted(folder.glob("*_summary_*.csv"))
    if len(found) != 1:
        raise ExecutionError(f"{NAME} wrote {len(found)} summaries for {path} instead of 1.")
    with found[0].open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if len(rows) != 1:
        raise ExecutionError(f"{NAME}'s summary of {path} has {len(rows)} rows instead of 1.")
    return rows[0]


def _result(path: Path, target: Path, accelerator: str, summary: dict[str, str], log: str) -> VelaResult:
    def kib(*columns: str) -> int:
        return round(sum(float(summary[column]) for column in columns) * _KIB)

    try:
        speed = float(summary["inferences_per_second"])
        return VelaResult(
            path=target,
            accelerator=accelerator,
            system_config=summary["system_config"],
            flash_bytes=kib("on_chip_flash_memory_used", "off_chip_flash_memory_used"),
            sram_bytes=kib("sram_memory_used"),
            dram_bytes=kib("dram_memory_used"),
            original_weight_bytes=int(summary["total_original_weights"]),
            encoded_weight_bytes=int(summary["total_npu_encoded_weights"]),
            estimated_cycles=round(float(summary["cycles_total"])),
            inferences_per_second=speed if math.isfinite(speed) else None,
            left_to_cpu=tuple(f"{kind} {output!r}: {why}" for kind, output, why in _LEFT_TO_CPU.findall(log)),
        )
    except (KeyError, ValueError) as error:
        raise ExecutionError(f"{NAME}'s summary of {path} is not as expected: {one_line(error)}") from error
