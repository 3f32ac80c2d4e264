"""Dead channels of a file: what could go, what went, and how it was checked. Sizes are bytes."""

from __future__ import annotations

from tflite_sparse.results.part import Part
from tflite_sparse.results.verification import VerificationReport


class BeforeAfter(Part):
    """A number with all channels, and without the dead ones."""

    before: int
    after: int

    @property
    def share(self) -> float:
        """What is left of it, in [0, 1]; 1 of nothing."""
        return self.after / self.before if self.before else 1.0


class CutLayer(Part):
    """An operator with a kernel that reads or yields dead channels.

    Attributes:
        name: of the tensor that holds its kernel.
        layer: that of its layer in the Keras model; empty if it is not known.
        operator: its kind in the schema.
        outputs: its output channels.
        inputs: the channels that it reads.
    """

    name: str
    layer: str = ""
    operator: str
    outputs: BeforeAfter
    inputs: BeforeAfter


class RemainingChannels(Part):
    """Output channels of a kernel that have weights of 0 and stay.

    Attributes:
        name: of the tensor that holds the kernel.
        layer: that of its layer in the Keras model; empty if it is not known.
        channels: how many.
        keeper: the kind of the operator that keeps them, or what else does.
        multiple: of the channels, that the keeper keeps so that built-in kernels round no channel in another way; 0: it
            keeps them for another reason.
    """

    name: str
    layer: str = ""
    channels: int
    keeper: str
    multiple: int = 0


class DeadChannels(Part):
    """The dead channels of a dense file.

    Attributes:
        layers: what goes, in execution order; empty: there are none.
        multiply_adds: of one run, with all weights.
        dense_bytes: of the file, dense.
        is_exact: whether every runtime that rounds by the rules computes the same bits: files with int8 activations.
            float32 kernels may sum in another order.
        merged: number of kernels in which weights for channels of one value were added up.
        remaining: channels with weights of 0 that no analysis lets go, by kernel in execution order.
    """

    layers: list[CutLayer]
    multiply_adds: BeforeAfter
    dense_bytes: BeforeAfter
    is_exact: bool
    merged: int = 0
    remaining: list[RemainingChannels] = []

    @property
    def channels(self) -> int:
        """Number of output channels that go."""
        return sum(layer.outputs.before - layer.outputs.after for layer in self.layers)


class LeftChannels(Part):
    """Dead channels that a failed comparison is about, and that stay where others went.

    Attributes:
        tensor: name of their activation.
        channels: how many.
        reason: what failed.
    """

    tensor: str
    channels: int
    reason: str


class Channels(Part):
    """What became of the dead channels.

    Attributes:
        dead: those of the source; if some are left, the others.
        removed: whether they went; False also if none can go.
        reason: why they stay; empty if they went, or if none can go.
        left: those that stay where others went.
        file_bytes: of the new file; None if it was not worked out because the channels stay for another reason.
        arena_bytes: of the dense file in TensorFlow Lite Micro; None for other targets or without the runtime.
        verification: the dense file without the channels compared with that with them; None: not compared.
    """

    dead: DeadChannels
    removed: bool
    reason: str = ""
    left: list[LeftChannels] = []
    file_bytes: BeforeAfter | None = None
    arena_bytes: BeforeAfter | None = None
    verification: VerificationReport | None = None

    @property
    def sums_in_another_order(self) -> bool:
        """Whether channels went and a runtime computes other last bits without them, as float32 kernels do."""
        checks = [] if self.verification is None else self.verification.runtimes
        return self.removed and any(check.outputs_bit_exact is False for check in checks)
