"""TensorFlow Lite Micro: constants behind DECODE, compared in that runtime with the dense file."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.backends import micro_inspection
from tflite_sparse.backends.protocol import (
    Backend,
    Encoded,
    Exported,
    ExportJob,
    FileJob,
    Inspected,
    InspectedFile,
    Run,
    VerifyJob,
)
from tflite_sparse.base.progress import Progress, Silent, Timed
from tflite_sparse.codecs.names import MicroCodec
from tflite_sparse.errors import ExecutionError, OperatorRefusedError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import dtype_of, graphs, indices, shape_of
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file, encode_model
from tflite_sparse.planning.planner import Choice, Target
from tflite_sparse.report.text import across as across_words
from tflite_sparse.results import verification as report
from tflite_sparse.results.export import NOT_INSTALLED, Runtime, Verification
from tflite_sparse.results.micro import DECODER_FLASH_BYTES, TRADE, MicroReport
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.rewrites import select_v2
from tflite_sparse.runtime import announced_shapes, litert, micro_refusals
from tflite_sparse.runtime import micro as runtime
from tflite_sparse.settings import EncodeSettings, ExportSettings, TargetSettings
from tflite_sparse.targets.micro import Micro
from tflite_sparse.verification import across as side_by_side
from tflite_sparse.verification import compare_files as comparison
from tflite_sparse.verification import exactness, in_report, localise, probes

_MISSING = f"{runtime.NAME} needs pip install 'tflite-sparse[micro]'"
_NOT_MEASURED = "// The arena was not measured, tflite-micro is not installed: set kArenaBytes yourself.\n"


class TensorFlowLiteMicro(Backend):
    """See :class:`tflite_sparse.backends.protocol.Backend`."""

    def planned(self, settings: TargetSettings) -> Target:
        """See the protocol."""
        return Micro(settings.micro_codec, settings.micro_min_saving)

    def mend(self, model: Model) -> bool:
        """See the protocol."""
        return bool(select_v2.apply(model))

    def encode(self, job: FileJob) -> Encoded:
        """See the protocol."""
        choices, verified, part = self._encode(job, job.settings, Path(job.destination).stem)
        return Encoded(choices, verified, part, _array(job.file, job.extra_files) if verified.passed else {})

    def export(self, job: ExportJob) -> Exported:
        """See the protocol."""
        choices, verified, part = self._encode(job, job.settings, Path(job.name).stem)
        failures = [f"verification: {failure}" for failure in verified.failures]
        return Exported(choices, summary(verified), failures, part, _array(job.file, job.extra_files))

    def _encode(
        self, job: FileJob | ExportJob, settings: EncodeSettings | ExportSettings, array_name: str
    ) -> tuple[list[Choice], VerificationReport, MicroReport | None]:
        return encode(
            job.source,
            job.file,
            array_name=array_name,
            codec=settings.micro_codec,
            least_saving_bytes=settings.micro_min_saving,
            samples=settings.verification_samples,
            seed=settings.seed,
            timed=job.progress,
        )

    def runner(self, progress: Progress) -> Run:
        """See the protocol: where the runtime is not installed, LiteRT runs the decoded file.

        The weights are the same; kernels may round in another way.
        """
        if runtime.is_available():
            return runtime.run
        progress.note(f"{runtime.NAME} is not installed: accuracy is that of LiteRT, decoded")
        return _run_decoded

    def verify(self, job: VerifyJob) -> VerificationReport:
        """See the protocol."""
        check_available()
        return verify(job.file, job.against, samples=job.samples, seed=job.seed, progress=job.progress)

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


def _array(file: Path, names: tuple[str, ...]) -> dict[str, bytes | Path]:
    """The file as a C++ array, under the names of its header and its source; nothing where no names are given."""
    if not names:
        return {}
    code = micro_code.c_array(file.read_bytes(), Path(names[0]).stem)
    return {name: text.encode() for name, text in zip(names, code, strict=True)}


def _run_decoded(path: Path, *arguments: Any, **options: Any) -> litert.Outputs:
    decoded = path.with_name("decoded.tflite")
    decoder.decode_file(path, decoded)
    return litert.run(decoded, *arguments, **options)


def encode(
    source: Path,
    destination: Path,
    *,
    array_name: str,
    codec: MicroCodec,
    least_saving_bytes: int,
    samples: int,
    seed: int,
    timed: Timed,
) -> tuple[list[Choice], VerificationReport, MicroReport | None]:
    """Write the ``.tflite`` at ``source``, dense or compressed in any way, for TensorFlow Lite Micro.

    Args:
        source: the file to read.
        destination: the file to write.
        array_name: of the file as a C++ array.
        codec: of all constants, or ``"auto"``.
        least_saving_bytes: constants that would save less stay dense.
        samples: how many random inputs are compared, beside three at the boundaries.
        seed: of these.
        timed: receives stages and notes.

    Raises:
        FlatbufferError: ``source`` cannot be read.
        ExecutionError: TensorFlow Lite Micro is installed and does not run the dense file, or its shapes are not true.
    """
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        dense, back = Path(name) / "dense.tflite", Path(name) / "file.tflite"
        decoder.decode_file(source, dense)
        _check_operators(dense, source)
        _check_shapes(dense, source)
        with timed.stage("encode") as on_step:
            choices = encode_file(dense, destination, Micro(codec, least_saving_bytes), on_step=on_step)
        try:
            decoder.decode_file(destination, back)
            verified = _verified(_Pair(destination, dense, back, dense), samples, seed, timed)
            found = _report(destination, dense, array_name, timed) if verified.passed else None
        except ExecutionError as error:
            raise error.renamed(dense, source) from error
    return choices, verified.model_copy(update={"against": str(source)}), found


def check_available() -> None:
    """Refuse to go on where the runtime cannot be asked.

    Raises:
        ExecutionError: it is not installed.
    """
    if not runtime.is_available():
        raise ExecutionError(f"{runtime.NAME} is not installed here: pip install 'tflite-sparse[micro]'.")


def verify(
    file: Path, against: Path, *, samples: int = 16, seed: int = 0, progress: Progress | None = None
) -> VerificationReport:
    """Compare a file for TensorFlow Lite Micro with the dense one that it stands for, in that runtime.

    The dense one is compared with itself in LiteRT as well: a fault that both files share shows there.

    Args:
        file: the file in question, compressed or not.
        against: the file that says how it must be.
        samples: how many random inputs are run, after three at the boundaries.
        seed: of these.
        progress: receives stages and notes.

    Raises:
        FlatbufferError: a file cannot be read.
        ExecutionError: the runtime is installed and does not run ``against``; or the shapes that a file announces are
            not true, so that it would compute garbage.
        VerificationError: ``file`` is sparse in LiteRT's format.
    """
    progress = progress or Silent()
    if any(tensor.sparsity is not None for graph in graphs(serde.read(file)) for tensor in graph.subgraph.tensors):
        raise VerificationError(
            f"{file} is not for {runtime.NAME}: its sparse tensors are LiteRT's, it would compute garbage. "
            "Decode it first, or encode it with `target='micro'`."
        )
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        back, dense = Path(name) / "file.tflite", Path(name) / "against.tflite"
        for path, decoded in ((file, back), (against, dense)):
            decoder.decode_file(path, decoded)
            _check_shapes(decoded, path)
        return _verified(_Pair(file, against, back, dense), samples, seed, progress)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A file and the one that says how it must be, and the decoded form of each."""

    file: Path
    against: Path
    back: Path
    dense: Path


def _verified(pair: _Pair, samples: int, seed: int, progress: Progress) -> VerificationReport:
    file, against, dense = pair.file, pair.against, pair.dense
    with progress.stage("compare weights") as on_step:
        weights = exactness.compare_weights(pair.back, dense, on_step=on_step)
    if not runtime.is_available():
        progress.note(f"outputs were not compared: {_MISSING}")
        return comparison.report_of(file, against, weights, [], [], samples=0, seed=seed, not_compared=_MISSING)
    inputs = probes.samples_for(runtime.inputs(against), samples, seed, file=str(against))
    with progress.stage(f"compare outputs: {runtime.NAME}"):
        expected = runtime.run_separately(against, inputs)
        checks = _compare(file, against, inputs, expected)
    across = side_by_side.micro_beside_litert(dense, inputs, expected, progress)
    failures = [failure for check in checks for failure in _failures(check, len(inputs))]
    if across.explained is False:
        failures.append(across_words.in_words(across, "the dense file"))
    return comparison.report_of(
        file, against, weights, checks, failures, samples=len(inputs), seed=seed, across=[across]
    )


def _check_operators(dense: Path, source: Path) -> None:
    model = serde.read(dense)
    missing = micro_refusals.missing(model, micro_code.unsupported(model))
    if missing:
        raise OperatorRefusedError(
            f"{source}: {runtime.NAME} does not have {'; nor '.join(map(str, missing))}.",
            tuple(each.tensors for each in missing),
        )


def _check_shapes(dense: Path, source: Path) -> None:
    refusal = announced_shapes.refusal(dense)
    if refusal is not None:
        raise ExecutionError(f"{source} is not for {runtime.NAME}: {refusal}.")


def summary(verified: VerificationReport) -> Verification:
    """What a check found in the form of an export's report."""
    return Verification(
        weights_bit_exact=verified.weights.equal == verified.weights.compared,
        outputs_bit_exact=bool(verified.runtimes) and all(check.outputs_bit_exact for check in verified.runtimes),
        samples=verified.samples,
        across=verified.across,
        runtimes=[
            Runtime(name=check.name, outputs_bit_exact=check.outputs_bit_exact, largest_difference=_largest(check))
            for check in verified.runtimes
        ]
        or [Runtime(name=runtime.NAME, outputs_bit_exact=None, largest_difference=None, unavailable=NOT_INSTALLED)],
    )


def _largest(check: report.RuntimeCheck) -> float:
    return max((each.largest_difference or 0.0 for each in check.differences), default=0.0)


def _compare(
    file: Path, against: Path, inputs: list[probes.Sample], expected: litert.SeparateOutputs
) -> list[report.RuntimeCheck]:
    """Run a file with decoded weights in the arena and in a memory of their own.

    Where the outputs are the same for every sample, what lies inside is compared as well, on the last one.
    """
    varies = comparison.vary(expected)
    alternate = _alternate_bytes(file)
    memories = [(0, "weights decoded into the arena"), (alternate, "into a memory of their own")] if alternate else []
    checks = []
    for memory, words in memories or [(0, "nothing decoded")]:
        check = report.RuntimeCheck(
            name=f"{runtime.NAME}, {words}",
            gate=True,
            signature=None,
            outputs_bit_exact=False,
            within_tolerance=False,
        )
        run = partial(runtime.run_separately, alternate_memory_bytes=memory)
        try:
            found = run(file, inputs)
            exactness.check_count(file, found, expected)
        except ExecutionError as error:
            checks.append(check.model_copy(update={"refused": str(error)}))
            continue
        differences = [in_report.difference(each) for each in exactness.differences(found, expected)]
        inside = None if varies else localise.first_difference_in(run, file, against, inputs[-1])
        parts = bool(differences) or (inside is not None and inside.tensor is not None)
        exact = {"outputs_bit_exact": not differences, "within_tolerance": not parts, "outputs_vary": varies}
        first = None if inside is None else in_report.first(inside, len(inputs) - 1)
        checks.append(check.model_copy(update={**exact, "differences": differences, "first_difference": first}))
    return checks


def _failures(check: report.RuntimeCheck, samples: int) -> list[str]:
    sentences = [
        f"{check.name}: output {each.output!r} ({each.index}) differs on {each.samples} of {samples} samples"
        for each in check.differences
    ]
    if check.refused is not None:
        sentences.append(f"{check.name}: {check.refused}")
    return sentences + comparison.first_to_differ(check)


def _decoded_sizes(path: Path) -> list[list[int]]:
    """For each DECODE of a file, the bytes of what it yields."""
    found = []
    for graph in graphs(serde.read(path)):
        for operator in graph.operators:
            if graph.operator_name(operator) == micro_code.DECODE:
                sizes = []
                for index in indices(operator.outputs):
                    dtype = dtype_of(graph.tensor(index))
                    assert dtype is not None  # the codecs take numbers only
                    sizes.append(math.prod(shape_of(graph.tensor(index))) * dtype.itemsize)
                found.append(sizes)
    return found


def _alternate_bytes(path: Path) -> int:
    """The memory in which the weights of any one operator have room."""
    alignment = runtime.ARENA_ALIGNMENT
    sums = [sum(-(-size // alignment) * alignment for size in sizes) for sizes in _decoded_sizes(path)]
    return max(sums, default=0)


def _report(encoded: Path, dense: Path, array_name: str, timed: Timed) -> MicroReport:
    sizes, alternate = _decoded_sizes(encoded), _alternate_bytes(encoded)
    arenas: tuple[int | None, int | None, int | None] = (None, None, None)
    if runtime.is_available():
        with timed.stage("measure arenas"):
            arenas = (
                runtime.arena(dense),
                runtime.arena(encoded),
                runtime.arena(encoded, alternate_memory_bytes=alternate),
            )
    return MicroReport(
        flash_saved_bytes=dense.stat().st_size - encoded.stat().st_size,
        decoder_flash_bytes=DECODER_FLASH_BYTES if sizes else 0,
        arena_dense_bytes=arenas[0],
        arena_decoded_bytes=arenas[1],
        arena_with_alternate_bytes=arenas[2],
        alternate_memory_bytes=alternate,
        largest_decoded_bytes=max((size for each in sizes for size in each), default=0),
        decoded_bytes_per_invoke=sum(map(sum, sizes)),
        statement=TRADE if sizes else "Nothing is decoded: the file is dense.",
        cpp=_NOT_MEASURED * (arenas[0] is None)
        + micro_code.resolver(
            serde.read(encoded),
            array_name,
            arena_bytes=arenas[2] or arenas[1] or 0,
            alternate_memory_bytes=alternate,
        ),
    )
