"""Remove dead channels from the file that a target stores, where that makes its file smaller and changes no output."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.backends.protocol import Backend
from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.measurement import operators
from tflite_sparse.planning import decoder, encoder
from tflite_sparse.results.dead_channels import BeforeAfter, Channels, CutLayer, DeadChannels
from tflite_sparse.results.verification import VerificationReport
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.rewrites.dead_channels.cut import Cut
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.settings import TargetSettings
from tflite_sparse.verification import before_classes, engine
from tflite_sparse.verification.engine import EXACT, Tolerance
from tflite_sparse.verification.samples import Samples

IN_ANOTHER_ORDER = Tolerance(share_of_range=1e-5)
"""Allowed for float32, whose kernels sum in another order for another number of channels."""


_WITHOUT, _WITH = "the file without dead channels", "the dense file"


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A file to encode.

    Attributes:
        file: the source, or a dense file without its dead channels.
        channels: what became of them; None: there are none, or nobody asked.
    """

    file: Path
    channels: Channels | None = None


@dataclass(frozen=True, slots=True)
class Trimming:
    """Removes the dead channels of files.

    Attributes:
        settings: of the target.
        samples: that the file without them is compared on.
        input_shapes: of inputs with open sizes, by name.
        folder: for temporary files; the result lies there.
        progress: receives stages and notes.
        layer_of: returns the layer of a kernel by its name, as the Keras model calls it; empty if it is not known.
            None: no layer is known.
    """

    settings: TargetSettings
    samples: Samples
    input_shapes: Shapes | None
    folder: Path
    progress: Timed
    layer_of: Callable[[str], str] | None = None

    def run(self, source: Path) -> Trimmed:
        """Remove them, if that is asked for, makes the target's file smaller and passes the comparison.

        Raises:
            FlatbufferError: the source cannot be read.
        """
        if self.settings.keep_channels:
            return Trimmed(source)
        with self.progress.stage("look for dead channels"):
            model = serde.read(source)
            former = decoder.decode_model(model)
            whole = source
            if former.count:
                whole = self.folder / "all-channels.tflite"
                serde.write(model, whole, serde.archive_of(source))
            cut = removal.remove(model)
        if not cut.slices:
            return Trimmed(source)
        before = serde.read(whole)
        trimmed = self.folder / "without-dead-channels.tflite"
        serde.write(model, trimmed, serde.archive_of(source))
        found = Channels(dead=described(before, model, cut, self.layer_of), removed=False)
        if former.native:  # another form would round differently from the source
            return self._kept(
                source, found, "weights are stored for native sparse kernels, which round in their own way"
            )
        sizes = self._sizes(source, trimmed)
        if sizes is not None and sizes.after >= sizes.before:
            words = f"the file would take {sizes.after:,} bytes without them instead of {sizes.before:,}"
            return self._kept(source, found.model_copy(update={"file_bytes": sizes}), words)
        found = found.model_copy(update={"file_bytes": sizes, "arena_bytes": self._arenas(whole, trimmed)})
        try:
            verified = self._compare(whole, trimmed, cut)
        except ExecutionError as error:
            return self._kept(source, found, f"outputs cannot be compared: {str(error).rstrip('.')}")
        found = found.model_copy(update={"verification": verified})
        refusal = _refusal(verified, cut)
        if refusal is not None:
            return self._kept(source, found, refusal)
        return Trimmed(trimmed, found.model_copy(update={"removed": True}))

    @property
    def _backend(self) -> Backend:
        return backend(self.settings.target)

    def _kept(self, source: Path, found: Channels, reason: str) -> Trimmed:
        reason = reason.replace(f"{self.folder}/", "")
        self.progress.note(f"{found.dead.channels} dead channels stay: {reason}")
        return Trimmed(source, found.model_copy(update={"reason": reason}))

    def _sizes(self, source: Path, trimmed: Path) -> BeforeAfter:
        """Return the bytes of the target's smallest file with and without the channels."""
        target = self._backend.planned(self.settings.model_copy(update={"optimize": "size"}))
        archive = serde.archive_of(source)
        behind = 0 if archive is None else archive.nbytes
        found = []
        with self.progress.stage("compare sizes"):
            for path in (source, trimmed):
                model = serde.read(path)
                encoder.encode_model(model, target)
                found.append(min(len(serde.serialize(model)) + behind, path.stat().st_size))
        return BeforeAfter(before=found[0], after=found[1])

    def _arenas(self, whole: Path, trimmed: Path) -> BeforeAfter | None:
        """Return the dense files' arenas; None where the target has none, or its runtime refuses a file."""
        try:
            before, after = (self._backend.arena_bytes(path) for path in (whole, trimmed))
        except ExecutionError:
            return None  # the comparison tells what is wrong
        return None if before is None or after is None else BeforeAfter(before=before, after=after)

    def _compare(self, whole: Path, trimmed: Path, cut: Cut) -> VerificationReport:
        """Compare both dense files, with what stands in front of a final softmax as further outputs."""
        runtimes = self._backend.removal_runtimes(self.input_shapes)
        tolerance = EXACT if cut.is_exact else IN_ANOTHER_ORDER
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            one, two = Path(name) / "without.tflite", Path(name) / "with.tflite"
            before_classes.write(trimmed, one)
            before_classes.write(whole, two)
            try:
                found = engine.verify(
                    one, two, runtimes, self.samples, tolerance=tolerance, cut=cut, progress=self.progress
                )
            except ExecutionError as error:
                raise error.renamed(one, _WITHOUT).renamed(two, _WITH) from error
            content = found.model_dump_json()
            for path, words in ((one, _WITHOUT), (two, _WITH)):
                content = content.replace(json.dumps(str(path))[1:-1], words)
        return VerificationReport.model_validate_json(content).model_copy(update={"file": _WITHOUT, "against": _WITH})


def described(before: Model, after: Model, cut: Cut, layer_of: Callable[[str], str] | None = None) -> DeadChannels:
    """Describe what a cut removes.

    Args:
        before: the dense model.
        after: the same without its dead channels.
        cut: what was removed.
        layer_of: as in :class:`Trimming`.
    """
    counts = [sum(each.multiply_adds or 0 for each in operators.of_model(model)) for model in (before, after)]
    sizes = [len(serde.serialize(model)) for model in (before, after)]
    layers = [
        CutLayer(
            name=layer.kernel,
            layer="" if layer_of is None else layer_of(layer.kernel),
            operator=layer.operator,
            outputs=BeforeAfter(before=layer.outputs[0], after=layer.outputs[1]),
            inputs=BeforeAfter(before=layer.inputs[0], after=layer.inputs[1]),
        )
        for layer in cut.layers
    ]
    return DeadChannels(
        layers=layers,
        multiply_adds=BeforeAfter(before=counts[0], after=counts[1]),
        dense_bytes=BeforeAfter(before=sizes[0], after=sizes[1]),
        is_exact=cut.is_exact,
    )


def _refusal(found: VerificationReport, cut: Cut) -> str | None:
    """Return why a comparison does not prove that nothing changed; None if it does."""
    if found.failures:
        return "; ".join(failure.rstrip(".") for failure in found.failures)
    checks = [check for check in found.runtimes if check.outputs_bit_exact is not None]
    if not checks:
        return "no runtime here runs the file"
    apart = [check.where for check in checks if not check.outputs_bit_exact]
    if apart and cut.is_exact:
        return f"outputs are not equal bit for bit in {', '.join(apart)}"
    if not any(check.outputs_vary for check in checks):
        return f"the outputs are the same on all {found.samples} samples, so that their equality proves nothing"
    if cut.predicted and (found.constants is None or not found.constants.compared):
        return "no runtime here yields the constants of the channels"
    return None
