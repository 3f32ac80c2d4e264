"""Keep the intermediate results of a run on disk, so that it can resume."""

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
        folder: its path.
        fresh: the outermost folder that was made for it.
    """

    folder: Path
    fresh: Path

    @classmethod
    def open(cls, out: Path, *, resume: bool) -> Workspace:
        """Make the folder, or reuse the one of an interrupted run.

        Raises:
            OutputError: it cannot be made; or there is one and ``resume`` is False.
        """
        folder = out / _FOLDER
        if folder.exists() and not resume:
            raise OutputError(
                f"{folder} holds the results of an interrupted run: go on with `resume=True`, or delete it."
            )
        fresh = next((path for path in (*reversed(folder.parents), folder) if not path.exists()), folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make folder {folder}: {error.strerror or error}.") from error
        return cls(folder, fresh)

    def check(self, identity: dict[str, object]) -> None:
        """Store the inputs and settings of the run, or compare them with those of an interrupted one.

        Raises:
            InputError: they differ.
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
                    f"{self.folder} belongs to a run with {key} = {found.get(key)}, not {wanted.get(key)}: go on "
                    "with the same, or delete it."
                )

    def path(self, name: str) -> Path:
        """Return the path of a result."""
        return self.folder / name

    def has_checkpoint(self, path: Path) -> bool:
        """Return whether the training for ``path`` was interrupted."""
        return path_beside(path).exists()

    def remove(self) -> None:
        """Delete the folder after the results have been delivered."""
        shutil.rmtree(self.folder)

    def undo(self) -> None:
        """Delete the folder if it holds nothing worth keeping, and the folders made for it."""
        self.remove()
        for folder in self.folder.parents:
            if folder == self.fresh.parent or any(folder.iterdir()):
                break
            folder.rmdir()
