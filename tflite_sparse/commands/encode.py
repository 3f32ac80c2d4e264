"""The stages of ``encode`` and ``decode``: one ``.tflite`` file in, another out. Nothing here needs TensorFlow."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tflite_sparse.backends import ethos_u as ethos_u_backend
from tflite_sparse.backends import micro as micro_backend
from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.base import child, cpu_clock
from tflite_sparse.base.atomic_files import replacing, write_bytes
from tflite_sparse.base.progress import Progress, Silent, Timed
from tflite_sparse.errors import ExecutionError, OutputError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import decoder
from tflite_sparse.planning import fastest as tuning
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.planning.in_report import tensor_of
from tflite_sparse.planning.planner import Choice
from tflite_sparse.results.files import DecodingReport, EncodingReport
from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import input_shapes
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.settings import DecodeSettings, EncodeSettings
from tflite_sparse.stages import check_outputs as output_check

_ARRAY_SUFFIXES = (".h", ".cc")


def encode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **settings: object,
) -> EncodingReport:
    """Write the ``.tflite`` at ``source`` as the smallest file that LiteRT takes and that computes the same.

    The new file is read back, its weights are compared bit for bit with those of ``source``, and its outputs in each
    of LiteRT's runtimes (micro: in that one; ethos-u: not at all), before it gets its name.

    Args:
        source: the file to read, dense or sparse already.
        destination: the file to write, all or nothing; may be ``source``.
        progress: receives stages and notes.
        **settings: the fields of :class:`tflite_sparse.settings.EncodeSettings`.

    Raises:
        SettingsError: a setting is unknown or out of range, or an input shape does not fit.
        FlatbufferError: ``source`` cannot be read or is damaged.
        OutputError: ``destination`` cannot be written.
        ExecutionError: the runtime does not run ``source``; the new file was not delivered.
        VerificationError: the new file is not what it must be; it was not delivered.
    """
    source, destination = Path(source), Path(destination)
    checked = EncodeSettings(**settings)
    if checked.c_array and destination.suffix in _ARRAY_SUFFIXES:
        raise OutputError(f"cannot write {destination}: the C array would replace it. Call it *.tflite.")
    timed = Timed(progress or Silent())
    source_bytes = _size(source)
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    child.prepare()
    with cpu_clock.started() as spent, replacing(destination) as temporary:
        if checked.target == "litert":
            choices, verified = _for_litert(source, temporary, checked, timed)
        elif checked.target == "micro":
            choices, verified, micro = micro_backend.encode(
                source,
                temporary,
                array_name=destination.stem,
                codec=checked.micro_codec,
                least_saving_bytes=checked.micro_min_saving,
                samples=checked.verification_samples,
                seed=checked.seed,
                timed=timed,
            )
        else:
            choices, verified, ethos_u = ethos_u_backend.encode(
                source, temporary, destination, checked.accelerator_config, timed
            )
        if not verified.passed:
            raise _not_delivered(verified.failures, temporary, destination)
        archive_bytes = _check_archive(source, temporary, destination)
        report = EncodingReport(
            tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
            source=str(source),
            destination=str(destination),
            settings=checked.model_dump(mode="json"),
            source_bytes=source_bytes,
            file_bytes=temporary.stat().st_size,
            archive_bytes=archive_bytes,
            tensors=[tensor_of(choice) for choice in choices],
            verification=verified.model_copy(update={"file": str(destination)}),
            micro=micro,
            ethos_u=ethos_u,
            seconds=timed.seconds,
            cpu=spent(),
        )
        if checked.c_array:
            _write_array(temporary.read_bytes(), destination)
    return report


def _write_array(content: bytes, destination: Path) -> None:
    """Write ``content`` as C++ beside ``destination``, both files or none."""
    names = [destination.with_suffix(suffix) for suffix in _ARRAY_SUFFIXES]
    with replacing(names[0]) as header, replacing(names[1]) as source:
        for path, code in zip((header, source), micro_code.c_array(content, destination.stem), strict=True):
            write_bytes(path, code.encode())


def _for_litert(
    source: Path, temporary: Path, settings: EncodeSettings, timed: Timed
) -> tuple[list[Choice], VerificationReport]:
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as folder:
        reference = _reference(source, Path(folder) / "dense.tflite", settings, timed)
        with timed.stage("encode") as on_step:
            loads = reference == source
            chosen = tuning.target_for(settings.optimize)
            choices = encode_file(source, temporary, chosen, keep_refused=loads, on_step=on_step)
        verified = output_check.of_encoded(temporary, reference, settings, tuning.allowed_difference(choices), timed)
        return choices, verified.model_copy(update={"against": _name(reference, source)})


def decode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **settings: object,
) -> DecodingReport:
    """Write the ``.tflite`` at ``source`` as the dense file that it stands for.

    The new file is read back, its weights are compared bit for bit with those of ``source``, and its outputs in each
    runtime that runs ``source``, before it gets its name.

    Args:
        source: the file to read.
        destination: the file to write, all or nothing; may be ``source``.
        progress: receives stages and notes.
        **settings: the fields of :class:`tflite_sparse.settings.DecodeSettings`.

    Raises:
        SettingsError: a setting is unknown or out of range, or an input shape does not fit.
        FlatbufferError: ``source`` cannot be read or is damaged.
        OutputError: ``destination`` cannot be written.
        ExecutionError: no runtime runs ``source``; the new file was not delivered.
        VerificationError: the new file is not what it must be; it was not delivered.
    """
    source, destination = Path(source), Path(destination)
    checked = DecodeSettings(**settings)
    timed = Timed(progress or Silent())
    child.prepare()
    source_bytes = _size(source)
    with replacing(destination) as temporary:
        with timed.stage("decode"):
            former = decoder.decode_file(source, temporary)
        verified = output_check.of_decoded(temporary, source, former, checked, timed)
        if not verified.passed:
            raise _not_delivered(verified.failures, temporary, destination)
        return DecodingReport(
            tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
            source=str(source),
            destination=str(destination),
            source_bytes=source_bytes,
            file_bytes=temporary.stat().st_size,
            archive_bytes=_check_archive(source, temporary, destination),
            constants=former.count,
            weights_checked=verified.weights.values,
            verification=verified.model_copy(update={"file": str(destination)}),
        )


def _reference(source: Path, dense: Path, settings: EncodeSettings, timed: Timed) -> Path:
    """What the new file is compared with: the source, or its dense form if it is sparse in a way that is refused."""
    with timed.stage("read"):
        if not decoder.is_sparse(serde.read(source)):
            return source
        try:
            shapes = input_shapes.needed(source, settings.input_shapes)
        except ExecutionError:
            return source  # comparing the outputs will tell what is wrong
        refusal = runtime.refusal(source, "default", shapes)
        if refusal is None:
            return source
        decoder.decode_file(source, dense)
        if runtime.refusal(dense, "default", shapes) is not None:
            return source  # the reason lies elsewhere
    timed.note(
        f"LiteRT's default interpreter does not load {source}: {refusal.rstrip('.')}. What it refuses becomes dense."
    )
    return dense


def _name(reference: Path, source: Path) -> str:
    return str(source) if reference == source else f"{source} (decoded)"


def _check_archive(source: Path, temporary: Path, destination: Path) -> int:
    """Read the archive of associated files back from the new file; return its bytes, 0 if ``source`` has none.

    Raises:
        VerificationError: it is not what ``source`` has.
    """
    wanted, found = serde.archive_of(source), serde.archive_of(temporary)
    if wanted is None:
        return 0
    if found is None or found.behind(0) != wanted.behind(0):  # but for where it lies
        raise _not_delivered([f"the archive behind the model is not that of {source}"], temporary, destination)
    return wanted.nbytes


def _not_delivered(failures: Sequence[str], temporary: Path, destination: Path) -> VerificationError:
    found = "; ".join(failure.rstrip(".") for failure in failures).replace(str(temporary), "the new file")
    return VerificationError(f"{found}. {destination} was not written.")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reading it will say what is wrong
