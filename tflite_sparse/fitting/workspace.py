"""What a run has found so far, on disk, so that an interrupted one can go on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.errors import InputError, OutputError
from tflite_sparse.pruning.checkpoint import path_beside

_FOLDER, _IDENTITY = "unfinished", "identity.json"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder ``unfinished`` in the output folder: one file for each result.

    Attributes:
        folder: where they lie.
        fresh: the outermost folder that was made for it.
    """

    folder: Path
    fresh: Path

    @classmethod
    def open(cls, out: Path, *, resume: bool) -> Workspace:
        """Make it, or go on in the one that an interrupted run left.

        Raises:
            OutputError: it cannot be made; or there is one and ``resume`` is False.
        """
        folder = out / _FOLDER
        if folder.exists() and not resume:
            raise OutputError(f"{folder} is what an interrupted run found: go on with `resume=True`, or delete it.")
        fresh = next((path for path in (*reversed(folder.parents), folder) if not path.exists()), folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make folder {folder}: {error.strerror or error}.") from error
        return cls(folder, fresh)

    def check(self, identity: dict[str, object]) -> None:
        """Remember what the run is about, or compare it with what an interrupted one was.

        Raises:
            InputError: it was about something else.
        """
        path = self.folder / _IDENTITY
        wanted = json.loads(json.dumps(identity))
        if not path.exists():
            write_bytes(path, (json.dumps(wanted, indent=2) + "\n").encode())
            return
        found = json.loads(path.read_bytes())
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                raise InputError(
                    f"{self.folder} is of a run with {key} = {found.get(key)}, not {wanted.get(key)}: go on with the "
                    "same, or delete it."
                )

    def path(self, name: str) -> Path:
        """Where a result lies, or will."""
        return self.folder / name

    def has_checkpoint(self, path: Path) -> bool:
        """Whether the training that yields ``path`` was interrupted."""
        return path_beside(path).exists()

    def remove(self) -> None:
        """The run is over: the results have been delivered."""
        shutil.rmtree(self.folder)

    def undo(self) -> None:
        """Nothing was found that is worth keeping: leave the disk as it was."""
        self.remove()
        for folder in self.folder.parents:
            if folder == self.fresh.parent or any(folder.iterdir()):
                break
            folder.rmdir()
