"""TensorFlow Lite Micro: constants behind DECODE, compared in that runtime with the dense file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflite_sparse.backends import in_micro, micro_app, micro_cpp, micro_inspection, micro_kernels
from tflite_sparse.backends.in_micro import MicroRuntimes
from tflite_sparse.backends.micro_app import Arenas
from tflite_sparse.backends.protocol import Backend, ExportJob, FileJob, Inspected, InspectedFile, Made, Run
from tflite_sparse.base import scratch
from tflite_sparse.base.progress import Progress
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE
from tflite_sparse.codecs.streams.names import SPARSE, TFLM
from tflite_sparse.errors import ExecutionError, OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import custom_operators
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file, encode_model
from tflite_sparse.planning.planner import Target
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.rewrites import select_v2
from tflite_sparse.runtime import litert, micro_operators, micro_refusals
from tflite_sparse.runtime import micro as runtime
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.settings import EncodeSettings, ExportSettings, TargetSettings
from tflite_sparse.targets import micro_costs
from tflite_sparse.targets.micro import Micro
from tflite_sparse.targets.sparse_micro import SparseMicro
from tflite_sparse.verification import engine
from tflite_sparse.verification.runtimes import Runtimes
from tflite_sparse.verification.samples import MadeUp


class TensorFlowLiteMicro(Backend):
    """See :class:`tflite_sparse.backends.protocol.Backend`."""

    def planned(self, settings: TargetSettings) -> Target:
        """See the protocol."""
        return _target(settings)

    def check_folder(self, folder: Path, extra_files: Sequence[str]) -> None:
        """See the protocol: an app that the user wrote stays."""
        micro_app.check_app(folder, extra_files)

    def mend(self, model: Model) -> bool:
        """See the protocol."""
        return bool(select_v2.apply(model))

    def encode(self, job: FileJob) -> Made:
        """See the protocol."""
        return _made(job, job.settings, job.destination.name)

    def export(self, job: ExportJob) -> Made:
        """See the protocol."""
        return _made(job, job.settings, job.name)

    def runner(self, progress: Progress) -> Run:
        """See the protocol: where the runtime is not installed, LiteRT runs the decoded file.

        The weights are the same; kernels may round in another way.
        """
        if runtime.is_available():
            return runtime.run
        progress.note(f"{runtime.NAME} is not installed: accuracy is that of LiteRT, decoded")
        return _run_decoded

    def runtimes(self, threads: int, input_shapes: Shapes | None) -> Runtimes:
        """See the protocol."""
        del threads, input_shapes
        in_micro.check_available()
        return MicroRuntimes()

    def removal_runtimes(self, input_shapes: Shapes | None) -> Runtimes:
        """See the protocol."""
        return MicroRuntimes(check_shapes=False) if runtime.is_available() else super().removal_runtimes(input_shapes)

    def arena_bytes(self, file: Path) -> int | None:
        """See the protocol: with decoded weights where they take less RAM."""
        memory = Arenas.of(file).least
        return None if memory.arena_bytes is None else memory.arena_bytes + memory.decoded_bytes

    def inspect(self, file: InspectedFile) -> Inspected:
        """See the protocol."""
        return micro_inspection.inspect(file)

    def encoded_bytes(self, file: InspectedFile, found: Inspected) -> int | None:
        """See the protocol."""
        if not found.takes_file:
            return None
        model = serde.read(file.path)
        decoder.decode_model(model)
        encode_model(model, self.planned(TargetSettings()), keep_refused=False)
        return len(serde.serialize(model))

    def snippets(self, file: InspectedFile, contract: Contract) -> dict[Language, str]:
        """See the protocol: with the arena that takes less RAM, measured here, and the array that lies beside."""
        has_kernels = CUSTOM_CODE in custom_operators(file.model)
        is_alone = not file.path.with_suffix(".h").exists()
        array = micro_kernels.ARRAY_STEM if has_kernels and is_alone else file.path.stem
        return micro_app.code(file.path, contract, array, file.path.name, Arenas.of(file.path))


BACKEND = TensorFlowLiteMicro()


def _target(settings: TargetSettings) -> Target:
    if settings.micro_kernels == SPARSE:
        return SparseMicro(settings.micro_cpu, settings.optimize)
    return Micro(settings.micro_codec, settings.micro_min_saving)


def _other(settings: TargetSettings) -> Target:
    """The target of the other form."""
    kernels = TFLM if settings.micro_kernels == SPARSE else SPARSE
    return _target(TargetSettings(target=settings.target, micro_kernels=kernels))


def _made(job: FileJob | ExportJob, settings: EncodeSettings | ExportSettings, name: str) -> Made:
    """Encode the source of a job, dense or compressed in any way, and compare it with its dense form.

    Args:
        job: the job.
        settings: of the job.
        name: of the ``.tflite`` file, and without its suffix of the file as a C++ array.

    Raises:
        FlatbufferError: the source cannot be read.
        ExecutionError: TensorFlow Lite Micro is installed and does not run the dense file, or its shapes are not true.
    """
    if settings.micro_kernels == SPARSE and runtime.is_available():
        micro_operators.library()  # which is compiled to run the file; told now if it cannot be
    samples = MadeUp(settings.verification_samples, settings.seed)
    with scratch.folder() as work:
        dense = work / "dense.tflite"
        decoder.decode_file(job.source, dense)
        _check_operators(dense, job.source)
        in_micro.refuse_untrue_shapes(dense, job.source)
        with job.progress.stage("encode") as on_step:
            choices = encode_file(dense, job.file, _target(settings), on_step=on_step)
        try:
            verified = engine.verify(job.file, dense, MicroRuntimes(check_shapes=False), samples, progress=job.progress)
            verified = verified.model_copy(update={"against": str(job.source)})
            if not verified.passed:
                return Made(choices, verified)
            with job.progress.stage("measure arenas"):
                arenas = Arenas.of(job.file, micro_costs.of(settings.micro_cpu).pixels_at_once)
            beside = [name for name in job.extra_files if not micro_kernels.is_source(name)]
            has_kernels = len(beside) < len(job.extra_files)
            array = micro_kernels.ARRAY_STEM if has_kernels and not beside else Path(name).stem
            snippets = micro_app.code(job.file, job.contract, array, name, arenas)
            with job.progress.stage("count instructions"):
                on_cpu = micro_kernels.report(
                    job.file, dense, settings.micro_cpu, settings.micro_kernels, _other(settings)
                )
            part = micro_app.report(job.file, dense, arenas, snippets.get("c++", ""), on_cpu, job.progress)
        except ExecutionError as error:
            raise error.renamed(dense, job.source) from error
    files = micro_app.files(job.file, beside, part.cpp)
    if has_kernels:
        app = micro_app.code(job.file, job.contract, micro_kernels.ARRAY_STEM, name, arenas).get("c++", "")
        files |= micro_kernels.sources(job.file.read_bytes(), app)
    return Made(choices, verified, part, files, snippets)


def _run_decoded(path: Path, *arguments: Any, **options: Any) -> litert.Outputs:
    decoded = path.with_name("decoded.tflite")
    decoder.decode_file(path, decoded)
    return litert.run(decoded, *arguments, **options)


def _check_operators(dense: Path, source: Path) -> None:
    model = serde.read(dense)
    missing = micro_refusals.missing(model, micro_cpp.unsupported(model))
    if missing:
        raise OperatorRefusedError(
            f"{source}: {runtime.NAME} does not have {'; nor '.join(map(str, missing))}.",
            tuple(each.tensors for each in missing),
        )
