"""TensorFlow Lite Micro: constants behind DECODE, compared in that runtime with the dense file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tflite_sparse.backends import in_micro, micro_inspection, micro_kernels
from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.backends.in_micro import MicroRuntimes
from tflite_sparse.backends.protocol import Backend, ExportJob, FileJob, Inspected, InspectedFile, Made, Run
from tflite_sparse.base.progress import Progress, Timed
from tflite_sparse.codecs.streams.names import SPARSE, TFLM
from tflite_sparse.errors import ExecutionError, OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file, encode_model
from tflite_sparse.planning.planner import Target
from tflite_sparse.results.micro import DECODER_FLASH_BYTES, IN_PLACE, TRADE, MicroReport
from tflite_sparse.rewrites import select_v2
from tflite_sparse.runtime import litert, micro_operators, micro_refusals
from tflite_sparse.runtime import micro as runtime
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.settings import EncodeSettings, ExportSettings, TargetSettings
from tflite_sparse.targets.micro import Micro
from tflite_sparse.targets.sparse_micro import SparseMicro
from tflite_sparse.verification import engine
from tflite_sparse.verification.runtimes import Runtimes
from tflite_sparse.verification.samples import MadeUp

_NOT_MEASURED = "// The arena was not measured, tflite-micro is not installed: set kArenaBytes yourself.\n"


class TensorFlowLiteMicro(Backend):
    """See :class:`tflite_sparse.backends.protocol.Backend`."""

    def planned(self, settings: TargetSettings) -> Target:
        """See the protocol."""
        return _target(settings)

    def mend(self, model: Model) -> bool:
        """See the protocol."""
        return bool(select_v2.apply(model))

    def encode(self, job: FileJob) -> Made:
        """See the protocol."""
        return _made(job, job.settings, job.destination.stem)

    def export(self, job: ExportJob) -> Made:
        """See the protocol."""
        return _made(job, job.settings, Path(job.name).stem)

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


BACKEND = TensorFlowLiteMicro()


def _target(settings: TargetSettings) -> Target:
    if settings.micro_kernels == SPARSE:
        return SparseMicro(settings.micro_cpu, settings.optimize)
    return Micro(settings.micro_codec, settings.micro_min_saving)


def _files(file: Path, names: tuple[str, ...], part: MicroReport) -> dict[str, bytes | Path]:
    """The files beside a file that are asked for: it as a C++ array, the sparse kernels and lines for an app."""
    content, model = file.read_bytes(), serde.read(file)
    found = micro_kernels.sources(content, model, part.arena_decoded_bytes or 0)
    beside = [name for name in names if name not in found]
    if beside:
        code = micro_code.c_array(content, Path(beside[0]).stem)
        found |= {name: text.encode() for name, text in zip(beside, code, strict=True)}
    return {name: found[name] for name in names}


def _made(job: FileJob | ExportJob, settings: EncodeSettings | ExportSettings, array_name: str) -> Made:
    """Encode the source of a job, dense or compressed in any way, and compare it with its dense form.

    Args:
        job: the job.
        settings: of the job.
        array_name: of the file as a C++ array.

    Raises:
        FlatbufferError: the source cannot be read.
        ExecutionError: TensorFlow Lite Micro is installed and does not run the dense file, or its shapes are not true.
    """
    if settings.micro_kernels == SPARSE:
        micro_operators.library()  # which is compiled to run the file; told now if it cannot be
    samples = MadeUp(settings.verification_samples, settings.seed)
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        dense = Path(name) / "dense.tflite"
        decoder.decode_file(job.source, dense)
        _check_operators(dense, job.source)
        in_micro.refuse_untrue_shapes(dense, job.source)
        with job.progress.stage("encode") as on_step:
            choices = encode_file(dense, job.file, _target(settings), on_step=on_step)
        try:
            verified = engine.verify(job.file, dense, MicroRuntimes(check_shapes=False), samples, progress=job.progress)
            part = _report(job.file, dense, array_name, settings, job.progress) if verified.passed else None
        except ExecutionError as error:
            raise error.renamed(dense, job.source) from error
    files = {} if part is None else _files(job.file, job.extra_files, part)
    return Made(choices, verified.model_copy(update={"against": str(job.source)}), part, files)


def _run_decoded(path: Path, *arguments: Any, **options: Any) -> litert.Outputs:
    decoded = path.with_name("decoded.tflite")
    decoder.decode_file(path, decoded)
    return litert.run(decoded, *arguments, **options)


def _check_operators(dense: Path, source: Path) -> None:
    model = serde.read(dense)
    missing = micro_refusals.missing(model, micro_code.unsupported(model))
    if missing:
        raise OperatorRefusedError(
            f"{source}: {runtime.NAME} does not have {'; nor '.join(map(str, missing))}.",
            tuple(each.tensors for each in missing),
        )


def _report(encoded: Path, dense: Path, array_name: str, settings: TargetSettings, timed: Timed) -> MicroReport:
    model = serde.read(encoded)
    sizes = in_micro.decoded_sizes(model)
    alternate = in_micro.alternate_bytes(sizes)
    arenas: tuple[int | None, int | None, int | None] = (None, None, None)
    if runtime.is_available():
        with timed.stage("measure arenas"):
            decoded = runtime.arena(encoded)
            own = runtime.arena(encoded, alternate_memory_bytes=alternate) if alternate else decoded
            arenas = (runtime.arena(dense), decoded, own)
    is_sparse = settings.micro_kernels == SPARSE
    other = TargetSettings(target=settings.target, micro_kernels=TFLM if is_sparse else SPARSE)
    with timed.stage("count instructions"):
        on_cpu = micro_kernels.report(
            encoded, dense, settings.micro_cpu, settings.micro_kernels, _target(other), sum(map(sum, sizes))
        )
    statement = TRADE if sizes else "Nothing is decoded: the file is dense."
    return MicroReport(
        flash_saved_bytes=dense.stat().st_size - encoded.stat().st_size,
        decoder_flash_bytes=DECODER_FLASH_BYTES if sizes else 0,
        arena_dense_bytes=arenas[0],
        arena_decoded_bytes=arenas[1],
        arena_with_alternate_bytes=arenas[2],
        alternate_memory_bytes=alternate,
        largest_decoded_bytes=max((size for each in sizes for size in each), default=0),
        decoded_bytes_per_invoke=sum(map(sum, sizes)),
        statement=IN_PLACE if is_sparse else statement,
        kernels=settings.micro_kernels,
        on_cpu=on_cpu,
        cpp=_NOT_MEASURED * (arenas[0] is None)
        + micro_code.resolver(
            model,
            micro_kernels.ARRAY_STEM if is_sparse else array_name,
            arena_bytes=arenas[2] or arenas[1] or 0,
            alternate_memory_bytes=alternate,
        ),
    )
