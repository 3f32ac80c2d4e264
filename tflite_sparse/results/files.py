"""The reports of commands that make one ``.tflite`` file from another: typed, versioned. Sizes are bytes."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.contract import Contract
from tflite_sparse.results.cpu import Cpu
from tflite_sparse.results.dead_channels import Channels
from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.results.part import Part
from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.results.target_part import TargetPart
from tflite_sparse.results.tensor import Tensor
from tflite_sparse.results.verification import VerificationReport


class EncodingReport(Part):
    """The report of ``encode``.

    Attributes:
        source: the file that was read.
        destination: the file that was written.
        source_bytes: size of the source.
        settings: of the run.
        file_bytes: size of the new file.
        archive_bytes: part of both sizes: the archive of associated files after the model.
        tensors: one entry for each constant of rank 2 or more, in file order.
        shared_values: what sharing values did to the weights; None: nothing was asked for.
        verification: the comparison of the new file, read back from disk, with the source, or with the source after
            sharing values.
        channels: the dead channels of the source, and whether they went; None: there are none, or they were to stay.
        micro: costs of the file, for the target micro.
        ethos_u: the same for the target ethos-u.
        target_part: the same for other targets.
        contract: inputs and outputs of the new file.
        seconds: wall time of each stage.
        cpu: CPU time of each process until the report was made.
    """

    version: Literal[1] = 1
    tool: str
    source: str
    destination: str
    settings: dict[str, object]
    source_bytes: int
    file_bytes: int
    archive_bytes: int = 0
    tensors: list[Tensor]
    shared_values: SharedValues | None = None
    verification: VerificationReport
    channels: Channels | None = None
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    target_part: TargetPart | None = None
    contract: Contract | None = None
    seconds: dict[str, float]
    cpu: Cpu | None = None


class DecodingReport(Part):
    """The report of ``decode``.

    Attributes:
        archive_bytes: as in :class:`EncodingReport`.
        constants: number of sparse constants.
        weights_checked: number of weights compared with the source's.
        verification: the comparison of the new file, read back from disk, with the source.
    """

    version: Literal[1] = 1
    tool: str
    source: str
    destination: str
    source_bytes: int
    file_bytes: int
    archive_bytes: int = 0
    constants: int
    weights_checked: int
    verification: VerificationReport
