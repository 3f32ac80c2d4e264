"""The file for the target of an export, checked against the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tflite_sparse.backends import ethos_u as ethos_u_backend
from tflite_sparse.backends import micro as micro_backend
from tflite_sparse.backends import micro_cpp as micro_code
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import InputShapeError
from tflite_sparse.flatbuffer import signature
from tflite_sparse.planning import encoder, planner
from tflite_sparse.planning import fastest as tuning
from tflite_sparse.results import export as report_model
from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.runtime import litert, micro
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import class_names as description
from tflite_sparse.stages.convert import BASELINE_INT8
from tflite_sparse.stages.deliver import C_HEADER, C_SOURCE, COMPILED
from tflite_sparse.verification import engine, in_litert, probes
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.samples import MadeUp, Real


@dataclass(frozen=True)
class Made:
    """The file for the target: how its constants are stored, what the check found, and what comes with it."""

    choices: list[planner.Choice]
    verification: report_model.Verification
    failures: list[str]
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    files: Mapping[str, bytes | Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoding:
    """Writes the file for the target of an export.

    Attributes:
        settings: of the export.
        progress: receives stages and notes.
    """

    settings: ExportSettings
    progress: Timed

    def run(self, dense: Path, sparse: Path, x: arrays.Arrays | None, samples: Dataset | None) -> Made:
        """Encode and check.

        Args:
            dense: the file whose weights are stored.
            sparse: what is written.
            x: test samples of the inputs of these files. None: random ones.
            samples: what class names are from, if there are any.

        Raises:
            ExecutionError: a runtime refused the dense file.
        """
        settings = self.settings
        if settings.target == "micro":
            return self._encode_for_micro(dense, sparse)
        with self.progress.stage("encode") as on_step:
            if settings.target == "ethos-u":
                choices = ethos_u_backend.write_dense(dense, sparse)
            else:
                choices = encoder.encode_file(dense, sparse, tuning.target_for(settings.optimize), on_step=on_step)
                description.describe(sparse, dense, samples)
        verified, failures = self._verify(sparse, dense, x, tuning.allowed_difference(choices))
        if settings.target != "ethos-u":
            return Made(choices, verified, failures)
        compiled = sparse.with_name(COMPILED)
        baseline = dense.with_name(BASELINE_INT8)
        found = ethos_u_backend.compile_beside(
            sparse, compiled, settings.accelerator_config, self.progress, baseline=baseline
        )
        return Made(choices, verified, failures, ethos_u=found, files={COMPILED: compiled})

    def _encode_for_micro(self, dense: Path, sparse: Path) -> Made:
        settings = self.settings
        choices, verified, found = micro_backend.encode(
            dense,
            sparse,
            array_name=Path(C_HEADER).stem,
            codec=settings.micro_codec,
            least_saving_bytes=settings.micro_min_saving,
            samples=settings.verification_samples,
            seed=settings.seed,
            timed=self.progress,
        )
        written: dict[str, bytes | Path] = {}
        if settings.c_array:
            header, code = micro_code.c_array(sparse.read_bytes(), Path(C_HEADER).stem)
            written = {C_HEADER: header.encode(), C_SOURCE: code.encode()}
        failures = [f"verification: {failure}" for failure in verified.failures]
        return Made(choices, report_model.Verification.of(verified, micro.NAME), failures, micro=found, files=written)

    def _verify(
        self, sparse: Path, dense: Path, x: arrays.Arrays | None, share_of_range: float
    ) -> tuple[report_model.Verification, list[str]]:
        count, seed = self.settings.verification_samples, self.settings.seed
        ordered = None if x is None else arrays.ordered(x, signature.names_of(dense).inputs)
        made_up = MadeUp(count - probes.BOUNDARIES, seed)
        try:
            found = engine.verify(
                sparse,
                dense,
                LiteRTRuntimes(litert.ALL_KERNELS, at_once=litert.BATCH, across=False),
                made_up if ordered is None else Real(ordered, count, seed),
                tolerance=Tolerance(share_of_range=share_of_range),
                progress=self.progress,
            )
        except InputShapeError as error:
            cure = "Give data (--data), whose sizes are taken, or a fixed size in the model."
            raise InputShapeError(error.problem, cure) from error
        failures = [f"verification: {failure}" for failure in found.failures]
        return report_model.Verification.of(found, in_litert.NAME), failures
