"""LiteRT: the smallest or the fastest sparse file, compared in each of LiteRT's runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tflite_sparse.backends import check_outputs, class_names
from tflite_sparse.backends.protocol import Backend, ExportJob, FileJob, Inspected, InspectedFile, Made
from tflite_sparse.errors import ExecutionError, InputShapeError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import decoder, encoder, fastest, planner
from tflite_sparse.report.snippets import litert as litert_code
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.results.inspection import RuntimeAnswer
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.input_shapes import Shapes, needed
from tflite_sparse.settings import TargetSettings
from tflite_sparse.targets import litert as target
from tflite_sparse.verification import engine
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.runtimes import Runtimes

if TYPE_CHECKING:  # not imported by every command on files
    from tflite_sparse.sources.dataset import Dataset


class LiteRT(Backend):
    """See :class:`tflite_sparse.backends.protocol.Backend`."""

    def planned(self, settings: TargetSettings) -> planner.Target:
        """See the protocol."""
        return fastest.target_for(settings.optimize)

    def finish(self, file: Path, dense: Path, samples: Dataset | None) -> None:
        """See the protocol: class names."""
        class_names.describe(file, dense, samples)

    def encode(self, job: FileJob) -> Made:
        """See the protocol."""
        reference = _reference(job)
        loads = reference == job.source
        with job.progress.stage("encode") as on_step:
            choices = encoder.encode_file(
                job.source, job.file, self.planned(job.settings), keep_refused=loads, on_step=on_step
            )
        share = fastest.allowed_difference(choices)
        verified = check_outputs.of_encoded(job.file, reference, job.settings, share, job.progress)
        name = str(job.source) if loads else f"{job.source} (decoded)"
        code = litert_code.snippets(job.contract, job.destination.name)
        return Made(choices, verified.model_copy(update={"against": name}), snippets=code)

    def export(self, job: ExportJob) -> Made:
        """See the protocol."""
        with job.progress.stage("encode") as on_step:
            choices = encoder.encode_file(job.source, job.file, self.planned(job.settings), on_step=on_step)
            self.finish(job.file, job.source, job.samples)
        verified = compare_with_dense(job, fastest.allowed_difference(choices))
        return Made(choices, verified, snippets=litert_code.snippets(job.contract, job.name))

    def runtimes(self, threads: int, input_shapes: Shapes | None) -> Runtimes:
        """See the protocol."""
        return LiteRTRuntimes(threads=threads, input_shapes=input_shapes)

    def inspect(self, file: InspectedFile) -> Inspected:
        """See the protocol: each of LiteRT's runtimes loads the file in a process of its own."""
        shapes = None
        try:
            shapes = needed(file.path, file.input_shapes)
        except InputShapeError as error:
            names = [litert.NAMES[kernels] for kernels in litert.ALL_KERNELS]
            answers = [RuntimeAnswer(name=name, loads=None, reason=str(error)) for name in names]
            return Inspected(answers, takes_file=True)
        except ExecutionError:
            pass  # of the refusal below, each runtime gives its own reason
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as pool:  # each waits for a process of its own
            refusals = list(pool.map(lambda kernels: litert.refusal(file.path, kernels, shapes), litert.ALL_KERNELS))
        answers = [
            RuntimeAnswer(name=litert.NAMES[kernels], loads=refusal is None, reason=refusal)
            for kernels, refusal in zip(litert.ALL_KERNELS, refusals, strict=True)
        ]
        return Inspected(answers, takes_file=answers[0].loads is not False)

    def encoded_bytes(self, file: InspectedFile, found: Inspected) -> int:
        """See the protocol."""
        model = serde.read(file.path)
        # As `encode` does it: what is sparse and refused becomes dense.
        keeps = found.takes_file or not decoder.is_sparse(model)
        encoder.encode_model(model, target.answer, keep_refused=keeps)
        encoded = len(serde.serialize(model))
        return min(encoded, file.model_bytes) if keeps else encoded

    def snippets(self, file: InspectedFile, contract: Contract) -> Mapping[Language, str]:
        """See the protocol."""
        return litert_code.snippets(contract, file.path.name)


BACKEND = LiteRT()


def compare_with_dense(job: ExportJob, share_of_range: float) -> VerificationReport:
    """Compare the file of an export with the dense one in LiteRT's runtimes: every weight, and outputs on samples.

    Args:
        job: the export's.
        share_of_range: by how much outputs may differ.
    """
    samples = check_outputs.samples_for(job.source, job.x, job.settings)
    try:
        return engine.verify(
            job.file,
            job.source,
            LiteRTRuntimes(litert.ALL_KERNELS, at_once=litert.BATCH, across=False),
            samples,
            tolerance=Tolerance(share_of_range=share_of_range),
            progress=job.progress,
        )
    except InputShapeError as error:
        cure = "Give `data`, whose sizes are taken, or a fixed size in the model."
        raise InputShapeError(error.problem, cure) from error


def _reference(job: FileJob) -> Path:
    """What the new file is compared with: the source, or its dense form if it is sparse in a way that is refused."""
    source, dense = job.source, job.folder / "dense.tflite"
    with job.progress.stage("read"):
        if not decoder.is_sparse(serde.read(source)):
            return source
        try:
            shapes = needed(source, job.settings.input_shapes)
        except ExecutionError:
            return source  # comparing the outputs will tell what is wrong
        refusal = litert.refusal(source, "default", shapes)
        if refusal is None:
            return source
        decoder.decode_file(source, dense)
        if litert.refusal(dense, "default", shapes) is not None:
            return source  # the reason lies elsewhere
    job.progress.note(
        f"LiteRT's default interpreter does not load {source}: {refusal.rstrip('.')}. What it refuses becomes dense."
    )
    return dense
