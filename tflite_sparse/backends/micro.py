"""``encode`` for TensorFlow Lite Micro: constants behind DECODE, checked in that runtime against the dense file."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.base import extras
from tflite_sparse.base.progress import Progress, Silent, Timed
from tflite_sparse.errors import ExecutionError, OperatorRefusedError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import dtype_of, graphs, indices, shape_of
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.planning.planner import Choice
from tflite_sparse.report.text import across as across_words
from tflite_sparse.results import verification as report
from tflite_sparse.results.export import NOT_INSTALLED, Runtime, Verification
from tflite_sparse.results.micro import DECODER_FLASH_BYTES, TRADE, MicroReport
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import announced_shapes, litert, micro_refusals
from tflite_sparse.runtime import micro as runtime
from tflite_sparse.targets.micro import Micro, MicroCodec
from tflite_sparse.verification import across as side_by_side
from tflite_sparse.verification import compare_files as comparison
from tflite_sparse.verification import exactness, in_report, localise, probes

_MISSING = f"{runtime.NAME} is not installed here (extra micro)"
_NOT_MEASURED = "// The arena was not measured, tflite-micro is not installed: set kArenaBytes yourself.\n"


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
        raise ExecutionError(f"{_MISSING}: {extras.install_command('micro')}")


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
            "Decode it first, or encode it with --target micro."
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
        progress.note(f"outputs were not compared: {_MISSING}: {extras.install_command('micro')}")
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
