"""The reports of commands that make one ``.tflite`` file of another: typed, versioned. Sizes are bytes."""

from __future__ import annotations

from typing import Any, Literal

from tflite_sparse.results.cpu import Cpu
from tflite_sparse.results.export import Tensor
from tflite_sparse.results.micro import EthosUReport, MicroReport
from tflite_sparse.results.part import Part
from tflite_sparse.results.target_part import TargetPart
from tflite_sparse.results.verification import VerificationReport


class EncodingReport(Part):
    """What ``encode`` did.

    Attributes:
        source: the file that was read.
        destination: the file that was written.
        source_bytes: size of the former.
        settings: of the run.
        file_bytes: size of the new file.
        archive_bytes: what an archive of associated files behind the model takes of either size; the rest is the model.
        tensors: one entry for each constant of rank 2 or more, in file order.
        verification: the comparison of the new file, read back from disk, with the source.
        micro: of the target micro, what the file costs there.
        ethos_u: of the target ethos-u, the same.
        target_part: of other targets, the same.
        seconds: how long each stage took.
        cpu: CPU time of each process until the report was made.
    """

    version: Literal[1] = 1
    tool: str
    source: str
    destination: str
    settings: dict[str, Any]
    source_bytes: int
    file_bytes: int
    archive_bytes: int = 0
    tensors: list[Tensor]
    verification: VerificationReport
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    target_part: TargetPart | None = None
    seconds: dict[str, float]
    cpu: Cpu | None = None


class DecodingReport(Part):
    """What ``decode`` did.

    Attributes:
        archive_bytes: as :class:`EncodingReport` has it.
        constants: how many were sparse.
        weights_checked: how many weights were compared with the source's.
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
