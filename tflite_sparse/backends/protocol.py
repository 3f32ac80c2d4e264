"""What a target does: the protocol of a backend, what a backend is given and what it returns.

The facts that are needed before a backend is loaded stand in :mod:`tflite_sparse.target_registry`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tflite_sparse.base.progress import Progress, Timed
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.errors import ExecutionError
from tflite_sparse.planning import planner
from tflite_sparse.results.contract import Contract, Language
from tflite_sparse.results.inspection import RuntimeAnswer
from tflite_sparse.results.instructions import CountedFile
from tflite_sparse.results.target_part import AnyTargetPart
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.runtimes import Runtimes

if TYPE_CHECKING:  # not imported by every command on files
    from tflite_sparse.flatbuffer.types import Model
    from tflite_sparse.settings import EncodeSettings, ExportSettings, TargetSettings
    from tflite_sparse.sources import arrays
    from tflite_sparse.sources.dataset import Dataset

Run = Callable[..., litert.Outputs]
"""Runs a file on samples, with the arguments of :func:`tflite_sparse.runtime.litert.run`."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file that ``encode`` makes of another one.

    Attributes:
        given: the file that was asked for.
        source: the file to read, dense or sparse already: ``given``, or what an earlier stage made of it.
        file: where the new file is written; it gets its name when all checks have passed.
        destination: that name.
        extra_files: names of the files that are to be made beside it, in the order of the registry.
        folder: for temporary files; it outlives the result.
        contract: inputs and outputs of the source, which are those of the new file.
        settings: of the run.
        progress: receives stages and notes.
    """

    given: Path
    source: Path
    file: Path
    destination: Path
    extra_files: tuple[str, ...]
    folder: Path
    contract: Contract
    settings: EncodeSettings
    progress: Timed


@dataclass(frozen=True, slots=True, eq=False)
class ExportJob:
    """The file for the target of an export, made of the dense file.

    Attributes:
        source: the dense file whose weights are stored.
        file: where the new file is written. Its folder is for temporary files as well and outlives the result.
        name: the name that it gets in the end.
        extra_files: names of the files that are to be made beside it, in the order of the registry.
        baseline: the dense int8 file of the model before pruning, for targets that compare with it.
        x: test samples of the inputs of these files. None: random ones.
        samples: what class names are from. None: there are none.
        contract: inputs and outputs of the source, which are those of the new file.
        settings: of the export.
        progress: receives stages and notes.
    """

    source: Path
    file: Path
    name: str
    extra_files: tuple[str, ...]
    baseline: Path | None
    x: arrays.Arrays | None
    samples: Dataset | None
    contract: Contract
    settings: ExportSettings
    progress: Timed


@dataclass(frozen=True)
class Made:
    """What a target made of a job.

    Attributes:
        choices: how each constant is stored.
        verification: the comparison of the new file with its source.
        part: what the report of the run shows of the target.
        files: the extra files by name: contents, or where they lie.
        snippets: code that runs the file, by language.
    """

    choices: list[planner.Choice]
    verification: VerificationReport
    part: AnyTargetPart | None = None
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    snippets: Mapping[Language, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class InspectedFile:
    """A file that ``inspect`` shows.

    Attributes:
        path: where it lies.
        model: the same, parsed. It is not changed.
        model_bytes: its size without an archive of associated files behind the model.
        input_shapes: of inputs with open sizes, by name, as far as they are given.
    """

    path: Path
    model: Model
    model_bytes: int
    input_shapes: Shapes | None


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the runtimes of a target say of a file.

    Attributes:
        answers: one for each runtime.
        takes_file: whether they load the file, or where it is sparse for another target, what ``encode`` makes of it.
    """

    answers: list[RuntimeAnswer]
    takes_file: bool


class Backend(Protocol):
    """A target's object: ``BACKEND`` of its module in the registry is an instance of a subclass.

    The methods that only some targets need have a body here.
    """

    @abstractmethod
    def planned(self, settings: TargetSettings) -> planner.Target:
        """The forms of constants that the runtime takes, as the planner asks for them; for one model."""

    @abstractmethod
    def encode(self, job: FileJob) -> Made:
        """Write the file of ``encode`` and compare it with its source.

        Raises:
            FlatbufferError: the source cannot be read.
            ExecutionError: a runtime or a compiler refused the source.
            OutputError: a file cannot be written.
        """

    @abstractmethod
    def export(self, job: ExportJob) -> Made:
        """Write the file of ``export`` and compare it with the dense one.

        Raises:
            ExecutionError: a runtime or a compiler refused the dense file.
        """

    def check_folder(self, folder: Path, extra_files: Sequence[str]) -> None:
        """Find out before the work whether a file that the user wrote would be replaced.

        Args:
            folder: where the files go.
            extra_files: names of the files that are to be made beside the ``.tflite`` file.

        Raises:
            OutputError: one would.
        """
        del folder, extra_files

    def mend(self, model: Model) -> bool:
        """Replace operators of a converted dense model that the runtime does not have; return whether any was."""
        del model
        return False

    def finish(self, file: Path, dense: Path, samples: Dataset | None) -> None:
        """Write into an encoded file what an export adds to it beside the constants, such as class names."""
        del file, dense, samples

    def runner(self, progress: Progress) -> Run:
        """What runs the target's files to score them: LiteRT, unless the target has a runtime of its own here.

        Args:
            progress: gets a note where the files run in another runtime than the target's.
        """
        del progress
        return litert.run

    def runtimes(self, threads: int, input_shapes: Shapes | None) -> Runtimes:
        """The runtimes that ``verify`` compares two files in.

        Args:
            threads: of interpreters.
            input_shapes: of inputs with open sizes, by name.

        Raises:
            ExecutionError: there is none here.
        """
        del threads, input_shapes
        raise ExecutionError("outputs cannot be compared: nothing here runs the files of this target.")

    def removal_runtimes(self, input_shapes: Shapes | None) -> Runtimes:
        """The runtimes in which a dense file is compared with itself without its dead channels.

        Args:
            input_shapes: of inputs with open sizes, by name.
        """
        return LiteRTRuntimes(input_shapes=input_shapes, default_must_run=False, across=False)

    def arena_bytes(self, file: Path) -> int | None:
        """The memory that the runtime plans for activations and decoded weights; None where it is not known here.

        Raises:
            ExecutionError: the runtime refuses the file.
        """
        del file
        return None

    def count(self, path: Path, cpu: MicroCpu) -> CountedFile:
        """The instructions of one inference of a file by operator; for targets that count them.

        Raises:
            FlatbufferError: the file cannot be read.
            ExecutionError: it is not for the target, or cannot be run.
        """
        del cpu
        raise ExecutionError(f"{path}: instructions are not counted for this target.")

    def inspect(self, file: InspectedFile) -> Inspected | None:
        """Load a file in the target's runtimes; None where nothing here has one."""
        del file
        return None

    def encoded_bytes(self, file: InspectedFile, found: Inspected) -> int | None:
        """The bytes of the model in a file as ``encode`` would write it; None where ``encode`` would refuse it.

        Args:
            file: the file.
            found: what :meth:`inspect` returned for it.
        """
        del file, found
        return None

    def snippets(self, file: InspectedFile, contract: Contract) -> Mapping[Language, str]:
        """Code that runs a file which the target's runtimes load, by language; none where there is no such code.

        Args:
            file: the file.
            contract: its inputs and outputs.
        """
        del file, contract
        return {}
