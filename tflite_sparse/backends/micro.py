"""``encode`` for TensorFlow Lite Micro: constants behind DECODE, checked in that runtime against the dense file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tflite_sparse.backends import in_micro
from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.backends.in_micro import MicroRuntimes
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ExecutionError, OperatorRefusedError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.planning.planner import Choice
from tflite_sparse.results.micro import DECODER_FLASH_BYTES, TRADE, MicroReport
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import micro as runtime
from tflite_sparse.runtime import micro_refusals
from tflite_sparse.targets.micro import Micro, MicroCodec
from tflite_sparse.verification import engine
from tflite_sparse.verification.samples import MadeUp

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
        dense = Path(name) / "dense.tflite"
        decoder.decode_file(source, dense)
        _check_operators(dense, source)
        in_micro.refuse_untrue_shapes(dense, source)
        with timed.stage("encode") as on_step:
            choices = encode_file(dense, destination, Micro(codec, least_saving_bytes), on_step=on_step)
        try:
            verified = engine.verify(
                destination, dense, MicroRuntimes(check_shapes=False), MadeUp(samples, seed), progress=timed
            )
            found = _report(destination, dense, array_name, timed) if verified.passed else None
        except ExecutionError as error:
            raise error.renamed(dense, source) from error
    return choices, verified.model_copy(update={"against": str(source)}), found


def _check_operators(dense: Path, source: Path) -> None:
    model = serde.read(dense)
    missing = micro_refusals.missing(model, micro_code.unsupported(model))
    if missing:
        raise OperatorRefusedError(
            f"{source}: {runtime.NAME} does not have {'; nor '.join(map(str, missing))}.",
            tuple(each.tensors for each in missing),
        )


def _report(encoded: Path, dense: Path, array_name: str, timed: Timed) -> MicroReport:
    model = serde.read(encoded)
    sizes = in_micro.decoded_sizes(model)
    alternate = in_micro.alternate_bytes(sizes)
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
            model,
            array_name,
            arena_bytes=arenas[2] or arenas[1] or 0,
            alternate_memory_bytes=alternate,
        ),
    )
