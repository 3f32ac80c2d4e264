"""``encode`` for TensorFlow Lite Micro: constants behind DECODE, checked in that runtime against the dense file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tflite_sparse import decoder, micro_code
from tflite_sparse.encoder import encode_file
from tflite_sparse.errors import VerificationError
from tflite_sparse.evaluation import exactness, probes
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import dtype_of, graphs, indices, shape_of
from tflite_sparse.planner import Choice
from tflite_sparse.progress import Timed
from tflite_sparse.report import verification as report
from tflite_sparse.report.micro import DECODER_FLASH_BYTES, TRADE, MicroReport
from tflite_sparse.report.verification import VerificationReport
from tflite_sparse.runtime import micro as runtime
from tflite_sparse.targets.micro import Micro, MicroCodec

_ALIGNMENT = 16


def encode(
    source: Path,
    destination: Path,
    *,
    codec: MicroCodec,
    least_saving_bytes: int,
    samples: int,
    seed: int,
    timed: Timed,
) -> tuple[list[Choice], VerificationReport, MicroReport]:
    """Write the ``.tflite`` at ``source``, dense or compressed in any way, for TensorFlow Lite Micro.

    Args:
        source: the file to read.
        destination: the file to write.
        codec: of all constants, or ``"auto"``.
        least_saving_bytes: constants that would save less stay dense.
        samples: how many random inputs are compared, beside three at the boundaries.
        seed: of these.
        timed: who listens.

    Raises:
        FlatbufferError: ``source`` cannot be read.
        ExecutionError: TensorFlow Lite Micro is installed and does not run the dense file.
        VerificationError: the new file is not what it must be.
    """
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        dense, back = Path(name) / "dense.tflite", Path(name) / "back.tflite"
        decoder.decode_file(source, dense)
        with timed.stage("encode") as on_step:
            choices = encode_file(dense, destination, Micro(codec, least_saving_bytes), on_step=on_step)
        with timed.stage("verify weights") as on_step:
            decoder.decode_file(destination, back)
            exactness.check_weights(back, dense, on_step=on_step)
            weights = exactness.compare_weights(back, dense)
        alternate = _alternate_bytes(destination)
        checks, count = _compare(destination, dense, alternate, samples, seed, timed)
        verified = report.VerificationReport(
            tool="",
            file=str(destination),
            against=str(source),
            samples=count,
            seed=seed,
            tolerance=0.0,
            weights=report.WeightsCheck(
                compared=weights.tensors, values=weights.values, equal=weights.equal, missing=[], different=[]
            ),
            runtimes=checks,
            passed=True,
            failures=[],
        )
        return choices, verified, _report(destination, dense, alternate, timed)


def _compare(
    encoded: Path, dense: Path, alternate: int, samples: int, seed: int, timed: Timed
) -> tuple[list[report.RuntimeCheck], int]:
    """Run both files, the encoded one with decoded weights in the arena and in a memory of their own.

    Raises:
        VerificationError: an output differs.
    """
    if not runtime.is_available():
        timed.note(f"outputs were not compared: {runtime.NAME} needs pip install 'tflite-sparse[micro]'")
        return [], 0
    inputs = probes.samples_for(runtime.inputs(dense), samples, seed, file=str(dense))
    with timed.stage(f"compare outputs: {runtime.NAME}"):
        expected = runtime.run_separately(dense, inputs)
        checks = []
        for memory, words in ((0, "weights decoded into the arena"), (alternate, "into a memory of their own")):
            found = runtime.run_separately(encoded, inputs, alternate_memory_bytes=memory)
            differences = exactness.differences(found, expected)
            if differences:
                raise VerificationError(
                    f"{runtime.NAME}, {words}: output {differences[0].name!r} differs on {differences[0].samples} of "
                    f"{len(inputs)} samples."
                )
            checks.append(
                report.RuntimeCheck(
                    name=f"{runtime.NAME}, {words}",
                    gate=True,
                    signature=None,
                    outputs_bit_exact=True,
                    within_tolerance=True,
                )
            )
            if alternate == 0:
                break
    return checks, len(inputs)


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
                    count = 1
                    for size in shape_of(graph.tensor(index)):
                        count *= size
                    sizes.append(count * dtype.itemsize)
                found.append(sizes)
    return found


def _alternate_bytes(path: Path) -> int:
    """The memory in which the weights of any one operator have room."""
    sums = [sum(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes) for sizes in _decoded_sizes(path)]
    return max(sums, default=0)


def _report(encoded: Path, dense: Path, alternate: int, timed: Timed) -> MicroReport:
    sizes = _decoded_sizes(encoded)
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
        cpp=micro_code.resolver(
            serde.read(encoded),
            "model",
            arena_bytes=arenas[2] or arenas[1] or 0,
            alternate_memory_bytes=alternate,
        ),
    )
