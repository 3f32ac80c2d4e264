"""The file for the target of an export, compared with the dense one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse import target_registry
from tflite_sparse.backends import check_outputs
from tflite_sparse.backends.dead_channels import Trimming
from tflite_sparse.backends.protocol import ExportJob
from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Timed
from tflite_sparse.conversion.layer_of import LayerNames, layer_of
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.planning import planner
from tflite_sparse.results.contract import Contract
from tflite_sparse.results.dead_channels import Channels
from tflite_sparse.results.export import Verification
from tflite_sparse.results.target_part import AnyTargetPart
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import Layer
from tflite_sparse.stages.convert import BASELINE_INT8
from tflite_sparse.stages.deliver import SPARSE
from tflite_sparse.verification import sentences


@dataclass(frozen=True)
class Exported:
    """The file for the target.

    Attributes:
        choices: how each constant is stored.
        verification: the comparison with the dense file, as the report shows it.
        failures: what is wrong with the file; it is delivered if there are none.
        part: what the report shows of the target.
        files: the target's extra files by name: contents, or where they lie.
        contract: inputs and outputs of the file, with code that runs it.
        channels: the dead channels of the dense file, and whether they went; None: there are none.
    """

    choices: list[planner.Choice]
    verification: Verification
    failures: list[str]
    part: AnyTargetPart | None
    files: Mapping[str, bytes | Path]
    contract: Contract
    channels: Channels | None


@dataclass(frozen=True, slots=True)
class Encoding:
    """Writes the file for the target of an export.

    Attributes:
        settings: of the export.
        progress: receives stages and notes.
    """

    settings: ExportSettings
    progress: Timed

    def run(
        self,
        dense: Path,
        sparse: Path,
        x: arrays.Arrays | None,
        samples: Dataset | None,
        contract: Contract,
        layers: Sequence[Layer] = (),
    ) -> Exported:
        """Encode and compare.

        Args:
            dense: the file whose weights are stored.
            sparse: what is written.
            x: test samples of the inputs of these files. None: random ones.
            samples: what class names are from, if there are any.
            contract: inputs and outputs of the dense file.
            layers: of the model that it was made of.

        Raises:
            ExecutionError: a runtime refused the dense file.
        """
        settings = self.settings
        drawn = check_outputs.samples_for(dense, x, settings)
        names = LayerNames(layers, signature.by_tensor(serde.read(dense)))
        trimming = Trimming(settings, drawn, None, sparse.parent, self.progress, names)
        trimmed = trimming.run(dense)
        job = ExportJob(
            source=trimmed.file,
            file=sparse,
            name=SPARSE,
            extra_files=target_registry.extra_files(settings.target, Path(SPARSE).stem, dict(settings)),
            baseline=dense.with_name(BASELINE_INT8) if settings.traits.compares_int8_baseline else None,
            x=x,
            samples=samples,
            contract=contract,
            settings=settings,
            progress=self.progress,
        )
        try:
            made = backend(settings.target).export(job)
        except ExecutionError as error:
            raise error.renamed(trimmed.file, dense) from error
        found = made.verification
        failures = sentences.failures(
            found.weights, found.runtimes, found.across, found.samples, lambda tensor: _with_layer(tensor, layers)
        )
        return Exported(
            made.choices,
            Verification.of(found, settings.traits.runtime),
            [f"verification: {failure}" for failure in failures],
            made.part,
            made.files,
            contract.model_copy(update={"snippets": made.snippets}),
            trimmed.channels,
        )


def _with_layer(tensor: str, layers: Sequence[Layer]) -> str:
    """A tensor of a file in a sentence, with the layer of the model where that is known."""
    found = layer_of([tensor], layers)
    return repr(tensor) if found is None else f"{tensor!r} of {found.in_words}"
