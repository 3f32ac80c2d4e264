"""Arm Ethos-U: the dense file, whose zeros the hardware decodes, and the same compiled by Vela."""

from __future__ import annotations

import shutil
from pathlib import Path

from tflite_sparse.backends import litert
from tflite_sparse.backends.protocol import Backend, ExportJob, FileJob, Made
from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ExecutionError, OutputError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph
from tflite_sparse.planning import decoder, planner
from tflite_sparse.planning.planner import Choice
from tflite_sparse.report.snippets import litert as litert_code
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.results.micro import EthosUFile, EthosUReport
from tflite_sparse.runtime import announced_shapes, vela
from tflite_sparse.settings import TargetSettings
from tflite_sparse.targets import ethos_u
from tflite_sparse.targets.form import Answer
from tflite_sparse.verification import engine
from tflite_sparse.verification.runtimes import Nowhere
from tflite_sparse.verification.samples import MadeUp

_NOT_COMPARED = "nothing here runs what Vela compiles"


class EthosU(Backend):
    """See :class:`tflite_sparse.backends.protocol.Backend`."""

    def planned(self, settings: TargetSettings) -> planner.Target:
        """See the protocol: every constant stays dense."""
        del settings
        return _left_dense

    def encode(self, job: FileJob) -> Made:
        """See the protocol."""
        (name,) = job.extra_files
        compiled = job.destination.with_name(name)
        if compiled.resolve() == job.source.resolve():
            raise OutputError(
                f"cannot write {compiled}: the compiled file would replace the source. Choose another -o."
            )
        choices = write_dense(job.source, job.file)
        refusal = announced_shapes.refusal(job.file)
        if refusal is not None:  # Vela plans memory from them
            raise ExecutionError(f"{job.source} is not for Arm Ethos-U: {refusal}.")
        verified = engine.verify(job.file, job.source, Nowhere(_NOT_COMPARED), MadeUp(0), progress=job.progress)
        if not verified.passed:
            return Made(choices, verified)
        made = job.folder / name
        part = compile_beside(job.file, made, job.settings.accelerator_config, job.progress)
        return Made(choices, verified, part, {name: made}, _code(job.contract, job.destination.name))

    def export(self, job: ExportJob) -> Made:
        """See the protocol: the dense file is compared in LiteRT, for nothing here runs what Vela compiles."""
        (name,) = job.extra_files
        with job.progress.stage("encode"):
            choices = write_dense(job.source, job.file)
        verified = litert.compare_with_dense(job, 0.0)
        made = job.file.with_name(name)
        accelerator = job.settings.accelerator_config
        part = compile_beside(job.file, made, accelerator, job.progress, baseline=job.baseline)
        return Made(choices, verified, part, {name: made}, _code(job.contract, job.name))


BACKEND = EthosU()


def write_dense(source: Path, destination: Path) -> list[Choice]:
    """Write the dense form of ``source``; return what was decided for each constant, which is nothing."""
    decoder.decode_file(source, destination)
    return planner.plan(serde.read(destination), _left_dense)


def compile_beside(
    path: Path, compiled: Path, accelerator: str, timed: Timed, *, baseline: Path | None = None
) -> EthosUReport:
    """Compile a dense file to ``compiled``, and ``baseline`` for comparison.

    Raises:
        ExecutionError: Vela is not installed, or refused a file.
        OutputError: ``compiled`` cannot be written.
    """
    warnings = ethos_u.warnings_for(serde.read(path), accelerator)
    for warning in warnings:
        timed.note(f"warning: {warning}")
    with scratch.folder() as work, timed.stage(f"compile for {accelerator}"):
        copy = work / "model.tflite"
        shutil.copyfile(path, copy)
        try:
            result = vela.compile_file(copy, folder=work, accelerator=accelerator)
            before = None
            if baseline is not None:
                before = _file(vela.compile_file(baseline, folder=work, accelerator=accelerator))
        except ExecutionError as error:
            raise error.renamed(copy, "the dense file") from error
        # Vela writes the model alone.
        serde.write_content(memoryview(result.path.read_bytes()), compiled, serde.archive_of(path))
    return EthosUReport(
        accelerator=accelerator, compiled=compiled.name, file=_file(result), baseline=before, warnings=warnings
    )


def _code(contract: Contract, file: str) -> dict[Language, str]:
    """Code for the file that Vela compiles, which LiteRT runs on a PC; what Vela yields runs on the chip alone."""
    return {"python": litert_code.snippets(contract, file)["python"]}


def _left_dense(graph: Graph, tensor_index: int, uses: object) -> Answer:
    del graph, tensor_index, uses
    return Answer((), "the hardware decodes dense weights itself, without loss")


def _file(result: vela.VelaResult) -> EthosUFile:
    return EthosUFile(
        flash_bytes=result.flash_bytes,
        sram_bytes=result.sram_bytes,
        dram_bytes=result.dram_bytes,
        encoded_weight_bytes=result.encoded_weight_bytes,
        estimated_cycles=result.estimated_cycles,
        inferences_per_second=result.inferences_per_second,
        left_to_cpu=list(result.left_to_cpu),
    )
