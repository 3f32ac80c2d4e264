"""The whole model as C99: sparse operators planned as for the sparse kernels, and the calls around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflite_sparse.backends import c_inspection, c_instructions, c_report, in_c, in_micro
from tflite_sparse.backends.in_c import CRuntimes
from tflite_sparse.backends.in_micro import MicroRuntimes
from tflite_sparse.backends.protocol import Backend, ExportJob, FileJob, Inspected, InspectedFile, Made, Run
from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Progress
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.errors import ExecutionError, OutputError
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.planning.planner import Target
from tflite_sparse.report.snippets import standalone_c as c_code
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.results.instructions import CountedFile
from tflite_sparse.rewrites import select_v2
from tflite_sparse.runtime import litert, micro
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.settings import EncodeSettings, ExportSettings, TargetSettings
from tflite_sparse.standalone_c import cmake, header
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.target_registry import C_KERNELS
from tflite_sparse.verification import engine
from tflite_sparse.verification.runtimes import Runtimes
from tflite_sparse.verification.samples import MadeUp
from tflite_sparse.version import TOOL


class StandaloneC(Backend):
    """See :class:`tflite_sparse.backends.protocol.Backend`."""

    def planned(self, settings: TargetSettings) -> Target:
        """See the protocol."""
        return in_c.planned(settings.micro_cpu, settings.optimize)

    def check_folder(self, folder: Path, extra_files: Sequence[str]) -> None:
        """See the protocol: what does not say that it was made by this program stays."""
        for name in extra_files:
            path = folder / name
            if name not in C_KERNELS and path.is_file() and not header.made_line(path):
                cure = "choose another folder" if name == cmake.NAME else "set `name`"
                raise OutputError(f"{path} is not by tflite-sparse and would be replaced: move it, or {cure}.")

    def mend(self, model: Model) -> bool:
        """See the protocol."""
        return bool(select_v2.apply(model))

    def encode(self, job: FileJob) -> Made:
        """See the protocol."""
        return _made(job, job.settings, job.given.name)

    def export(self, job: ExportJob) -> Made:
        """See the protocol."""
        return _made(job, job.settings, job.name)

    def runner(self, progress: Progress) -> Run:
        """See the protocol: TensorFlow Lite Micro on the dense form, which outputs were compared with to the bit."""
        if micro.is_available():
            return _run_decoded_in_micro
        progress.note(f"{micro.NAME} is not installed: accuracy is that of LiteRT, decoded")
        return _run_decoded_in_litert

    def runtimes(self, threads: int, input_shapes: Shapes | None) -> Runtimes:
        """See the protocol."""
        del threads, input_shapes
        in_c.check_available()
        return CRuntimes()

    def inspect(self, file: InspectedFile) -> Inspected:
        """See the protocol."""
        return c_inspection.inspect(file)

    def snippets(self, file: InspectedFile, contract: Contract) -> dict[Language, str]:
        """See the protocol: with the names of the C beside the file, else as if its own name were that of the model."""
        return c_code.snippets(contract, header.prefix_beside(file.path))

    def count(self, path: Path, cpu: MicroCpu) -> CountedFile:
        """See the protocol."""
        return c_instructions.count(path, cpu)


BACKEND = StandaloneC()


def _made(job: FileJob | ExportJob, settings: EncodeSettings | ExportSettings, name: str) -> Made:
    """Encode the source of a job for the sparse kernels, make C of it, and compare it with the dense form.

    Args:
        job: the job.
        settings: of the job.
        name: of the file that the C files say they were made from.

    Raises:
        FlatbufferError: the source cannot be read.
        ExecutionError: it has an operator that generated C does not have, or its shapes are not true.
    """
    samples = MadeUp(settings.verification_samples, settings.seed)
    with scratch.folder() as folder:
        dense = folder / "dense.tflite"
        decoder.decode_file(job.source, dense)
        try:
            in_micro.refuse_untrue_shapes(dense, job.source)
            naming = _naming(settings.name, name, job.contract)
            in_c.generated(dense, naming, settings.micro_cpu)  # told before the work if it cannot be
            with job.progress.stage("encode") as on_step:
                choices = encode_file(
                    dense, job.file, in_c.planned(settings.micro_cpu, settings.optimize), on_step=on_step
                )
            runtimes = CRuntimes(settings.micro_cpu, MicroRuntimes(check_shapes=False))
            verified = engine.verify(job.file, dense, runtimes, samples, progress=job.progress)
            verified = verified.model_copy(update={"against": str(job.source)})
            if not verified.passed:
                return Made(choices, verified)
            sources = in_c.generated(job.file, naming, settings.micro_cpu)
            part = c_report.part(sources, job.file, dense, settings.micro_cpu, job.progress)
        except ExecutionError as error:
            raise error.renamed(dense, job.source) from error
    code = c_code.snippets(job.contract, settings.name)
    return Made(choices, verified, part, dict(sources.files), code)


def _naming(prefix: str, source: str, contract: Contract) -> Naming:
    tool = TOOL
    return Naming(prefix, tool, source, tuple(contract.labels))


def _run_decoded_in_micro(path: Path, *arguments: Any, **options: Any) -> litert.Outputs:
    return micro.run(_decoded(path), *arguments, **options)


def _run_decoded_in_litert(path: Path, *arguments: Any, **options: Any) -> litert.Outputs:
    return litert.run(_decoded(path), *arguments, **options)


def _decoded(path: Path) -> Path:
    decoded = path.with_name("decoded.tflite")
    decoder.decode_file(path, decoded)
    return decoded
