"""The stages of ``encode`` and ``decode``: one ``.tflite`` file in, another out. Nothing here needs TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from typing_extensions import Unpack

from tflite_sparse import target_registry
from tflite_sparse.backends import check_outputs as output_check
from tflite_sparse.backends.dead_channels import Trimming
from tflite_sparse.backends.protocol import FileJob
from tflite_sparse.backends.registry import backend
from tflite_sparse.base import child, cpu_clock, scratch
from tflite_sparse.base.atomic_files import make_folder, replacing
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress, Timed
from tflite_sparse.errors import ExecutionError, OutputError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import contract
from tflite_sparse.planning import decoder, sharing
from tflite_sparse.planning.in_report import tensor_of
from tflite_sparse.results.files import DecodingReport, EncodingReport
from tflite_sparse.results.target_part import as_field
from tflite_sparse.settings import AnyPath, DecodeOptions, DecodeSettings, EncodeOptions, EncodeSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.verification.samples import MadeUp
from tflite_sparse.version import TOOL


@takes(EncodeSettings, EncodeOptions)
def encode(
    source: AnyPath,
    destination: AnyPath,
    *,
    progress: Progress | None = None,
    **settings: Unpack[EncodeOptions],
) -> EncodingReport:
    """Write the ``.tflite`` at ``source`` as the smallest file that the target takes and that computes the same.

    The new file is read back, its weights are compared bit for bit with those of ``source``, and its outputs in each
    runtime of the target that is here, before it gets its name.

    Args:
        source: the file to read, dense or sparse already.
        destination: the file to write, all or nothing; may be ``source``. For targets that write folders also a folder.
        progress: receives stages and notes.
        **settings: see below.

    Raises:
        SettingsError: a setting is unknown or out of range, or an input shape does not fit.
        FlatbufferError: ``source`` cannot be read or is damaged.
        OutputError: ``destination`` cannot be written.
        ExecutionError: the runtime does not run ``source``; the new file was not delivered.
        VerificationError: the new file is not what it must be; it was not delivered.
    """
    source, destination = Path(source), Path(destination)
    checked = EncodeSettings(**settings)
    in_folder = checked.traits.writes_folder and destination.suffix != ".tflite"
    if in_folder:
        destination = destination / f"{checked.name}.tflite"
    extra_files = target_registry.extra_files(checked.target, destination.stem, dict(checked))
    if in_folder and destination.exists() and not any((destination.parent / name).exists() for name in extra_files):
        raise OutputError(
            f"{destination} lies there without the other files of this command and would be replaced: move it, set "
            "`name`, or give the path of a .tflite file."
        )
    if destination.name in extra_files:
        raise OutputError(
            f"cannot write {destination}: {checked.target} writes another file of this name. Call it *.tflite."
        )
    if len(set(extra_files)) < len(extra_files):
        raise OutputError(f"cannot write {destination}: two files beside it would have one name. Call it otherwise.")
    backend(checked.target).check_folder(destination.parent, extra_files)
    timed = Timed(chosen(progress))
    source_bytes = _size(source)
    promised = contract.of_model(serde.read(source))
    child.prepare()
    wanted = destination.parent if checked.traits.writes_folder else None
    with cpu_clock.started() as spent, _made(wanted), replacing(destination) as temporary, _folder() as folder:
        weights, shared = source, None
        if checked.shared_values is not None:
            weights = folder / "shared.tflite"
            with timed.stage("share values"):
                shared = sharing.in_report(checked.shared_values, sharing.write(source, weights, checked.shared_values))
        samples = MadeUp(checked.verification_samples, checked.seed)
        trimmed = Trimming(checked, samples, checked.input_shapes, folder, timed).run(weights)
        job = FileJob(source, trimmed.file, temporary, destination, extra_files, folder, promised, checked, timed)
        told = str(source) if shared is None else f"{source} with shared values"
        try:
            made = backend(checked.target).encode(job)
        except ExecutionError as error:
            raise error.renamed(trimmed.file, told).renamed(weights, told) from error
        against = made.verification.against.replace(str(trimmed.file), told).replace(str(weights), told)
        if trimmed.channels is not None and trimmed.channels.sums_in_another_order:
            against += " without its dead channels"  # with them other last bits are computed
        verified = made.verification.model_copy(update={"against": against})
        if not verified.passed:
            raise _not_delivered(verified.failures, temporary, destination)
        archive_bytes = _check_archive(source, temporary, destination)
        report = EncodingReport(
            tool=TOOL,
            source=str(source),
            destination=str(destination),
            settings=checked.model_dump(mode="json"),
            source_bytes=source_bytes,
            file_bytes=temporary.stat().st_size,
            archive_bytes=archive_bytes,
            tensors=[tensor_of(choice) for choice in made.choices],
            shared_values=shared,
            verification=verified.model_copy(update={"file": str(destination)}),
            channels=trimmed.channels,
            **as_field(made.part),
            contract=promised.model_copy(update={"snippets": made.snippets}),
            seconds=timed.seconds,
            cpu=spent(),
        )
        _publish({destination.parent / name: content for name, content in made.files.items()})
    return report


@contextlib.contextmanager
def _made(folder: Path | None) -> Iterator[None]:
    """Make a folder; remove what stays empty of it."""
    made = [] if folder is None else make_folder(folder)
    try:
        yield
    finally:
        for each in made:
            if not any(each.iterdir()):
                each.rmdir()


def _publish(files: Mapping[Path, bytes | Path]) -> None:
    """Write files, all of them or none: contents, or copies of files that lie elsewhere. Folders are made."""
    with contextlib.ExitStack() as stack:
        for path, content in files.items():
            make_folder(path.parent)
            temporary = stack.enter_context(replacing(path))
            temporary.write_bytes(content.read_bytes() if isinstance(content, Path) else content)


@takes(DecodeSettings, DecodeOptions)
def decode(
    source: AnyPath,
    destination: AnyPath,
    *,
    progress: Progress | None = None,
    **settings: Unpack[DecodeOptions],
) -> DecodingReport:
    """Write the ``.tflite`` at ``source`` as the dense file that it stands for.

    The new file is read back, its weights are compared bit for bit with those of ``source``, and its outputs in each
    runtime that runs ``source``, before it gets its name.

    Args:
        source: the file to read.
        destination: the file to write, all or nothing; may be ``source``.
        progress: receives stages and notes.
        **settings: see below.

    Raises:
        SettingsError: a setting is unknown or out of range, or an input shape does not fit.
        FlatbufferError: ``source`` cannot be read or is damaged.
        OutputError: ``destination`` cannot be written.
        ExecutionError: no runtime runs ``source``; the new file was not delivered.
        VerificationError: the new file is not what it must be; it was not delivered.
    """
    source, destination = Path(source), Path(destination)
    checked = DecodeSettings(**settings)
    timed = Timed(chosen(progress))
    child.prepare()
    source_bytes = _size(source)
    with replacing(destination) as temporary:
        with timed.stage("decode"):
            former = decoder.decode_file(source, temporary)
        verified = output_check.of_decoded(temporary, source, former, checked, timed)
        if not verified.passed:
            raise _not_delivered(verified.failures, temporary, destination)
        return DecodingReport(
            tool=TOOL,
            source=str(source),
            destination=str(destination),
            source_bytes=source_bytes,
            file_bytes=temporary.stat().st_size,
            archive_bytes=_check_archive(source, temporary, destination),
            constants=former.count,
            weights_checked=verified.weights.values,
            verification=verified.model_copy(update={"file": str(destination)}),
        )


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


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with scratch.folder() as work:
        yield work


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reading it will say what is wrong
