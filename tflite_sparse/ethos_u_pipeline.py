"""``encode`` for Arm Ethos-U: the dense file, whose zeros the hardware decodes, and the same compiled by Vela."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tflite_sparse import comparison, decoder, planner
from tflite_sparse.files import publish, temporary_name_beside
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph
from tflite_sparse.planner import Choice
from tflite_sparse.progress import Timed
from tflite_sparse.report.micro import EthosUFile, EthosUReport
from tflite_sparse.report.verification import VerificationReport
from tflite_sparse.runtime import vela
from tflite_sparse.targets import ethos_u
from tflite_sparse.targets.form import Answer


def encode(
    source: Path, temporary: Path, destination: Path, accelerator: str, timed: Timed
) -> tuple[list[Choice], VerificationReport, EthosUReport]:
    """Write the dense form of ``source`` to ``temporary``, compile it, and put that beside ``destination``.

    Raises:
        FlatbufferError: ``source`` cannot be read.
        ExecutionError: Vela is not installed, or refused the file.
        OutputError: the compiled file cannot be written.
    """
    decoder.decode_file(source, temporary)
    model = serde.read(temporary)
    warnings = ethos_u.warnings_for(model, accelerator)
    for warning in warnings:
        timed.note(f"warning: {warning}")
    compiled = destination.with_name(f"{destination.stem}_vela.tflite")
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        copy = Path(name) / destination.name
        copy.write_bytes(temporary.read_bytes())
        with timed.stage(f"compile for {accelerator}"):
            result = vela.compile_file(copy, folder=Path(name), accelerator=accelerator)
        beside = temporary_name_beside(compiled)
        beside.write_bytes(result.path.read_bytes())
        publish(beside, compiled)
    with timed.stage("verify weights"):
        verified = comparison.verify(temporary, source, kernels=())
    report = EthosUReport(
        accelerator=accelerator, compiled=str(compiled), file=_file(result), baseline=None, warnings=warnings
    )
    return planner.plan(model, _left_dense), verified, report


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
