"""The file for the target of an export, compared with the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tflite_sparse import target_registry
from tflite_sparse.backends.protocol import Exported, ExportJob
from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Timed
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages.convert import BASELINE_INT8
from tflite_sparse.stages.deliver import SPARSE


@dataclass(frozen=True, slots=True)
class Encoding:
    """Writes the file for the target of an export.

    Attributes:
        settings: of the export.
        progress: receives stages and notes.
    """

    settings: ExportSettings
    progress: Timed

    def run(self, dense: Path, sparse: Path, x: arrays.Arrays | None, samples: Dataset | None) -> Exported:
        """Encode and compare.

        Args:
            dense: the file whose weights are stored.
            sparse: what is written.
            x: test samples of the inputs of these files. None: random ones.
            samples: what class names are from, if there are any.

        Raises:
            ExecutionError: a runtime refused the dense file.
        """
        settings = self.settings
        job = ExportJob(
            source=dense,
            file=sparse,
            name=SPARSE,
            extra_files=target_registry.extra_files(settings.target, Path(SPARSE).stem, dict(settings)),
            baseline=dense.with_name(BASELINE_INT8) if settings.traits.compares_int8_baseline else None,
            x=x,
            samples=samples,
            settings=settings,
            progress=self.progress,
        )
        return backend(settings.target).export(job)
