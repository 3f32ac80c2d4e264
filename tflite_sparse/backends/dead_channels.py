"""Remove dead channels from the file that a target stores, where that makes its file smaller and changes no output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.backends.channel_comparison import MOST_ATTEMPTS, Comparison, concerned, joined, refusal
from tflite_sparse.backends.protocol import Backend
from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.measurement import operators
from tflite_sparse.planning import decoder, encoder
from tflite_sparse.results.dead_channels import (
    BeforeAfter,
    Channels,
    CutLayer,
    DeadChannels,
    LeftChannels,
    RemainingChannels,
)
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.rewrites.dead_channels.cut import Cut, Staying
from tflite_sparse.runtime.input_shapes import Shapes
from tflite_sparse.settings import TargetSettings
from tflite_sparse.verification.samples import Samples


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
            return Trimmed(source, self._none(serde.read(whole), cut))
        if former.native:  # another form would round differently from the source
            reason = "weights are stored for native sparse kernels, which round in their own way"
            dead = described(serde.read(whole), model, cut, self.layer_of)
            return self._kept(source, Channels(dead=dead, removed=False, reason=reason))
        return self._removed(source, whole)

    def _removed(self, source: Path, whole: Path) -> Trimmed:
        """Remove and compare; where that fails, leave in the channels that it is about, and try again."""
        staying: Staying = {}
        left: list[LeftChannels] = []
        failures: list[Channels] = []
        for _ in range(MOST_ATTEMPTS):
            model = serde.read(whole)
            cut = removal.remove(model, staying)
            if not cut.slices:
                break
            serde.write(model, self._trimmed, serde.archive_of(source))
            before = serde.read(whole)
            found = self._compared(source, whole, cut, described(before, model, cut, self.layer_of))
            if not found.reason:
                return Trimmed(self._trimmed, found.model_copy(update={"removed": True, "left": left}))
            failures.append(found)
            more = {} if found.verification is None else concerned(found.verification, before, cut)
            if not more:
                break
            left += [
                LeftChannels(tensor=_name(before, key), channels=len(channels), reason=found.reason)
                for key, channels in more.items()
            ]
            staying = joined(staying, more)
        return self._kept(source, failures[0])

    def _none(self, whole: Model, cut: Cut) -> Channels | None:
        """Return the channels with weights of 0 that stay where none can go; None if there are none of these either."""
        return Channels(dead=described(whole, whole, cut, self.layer_of), removed=False) if cut.remaining else None

    def _compared(self, source: Path, whole: Path, cut: Cut, dead: DeadChannels) -> Channels:
        """Compare the file without the channels of a cut; the reason is empty if they can go."""
        found = Channels(dead=dead, removed=False, file_bytes=self._sizes(source, self._trimmed))
        sizes = found.file_bytes
        if sizes is not None and sizes.after >= sizes.before:
            words = f"the file would take {sizes.after:,} bytes without them instead of {sizes.before:,}"
            return found.model_copy(update={"reason": words})
        found = found.model_copy(update={"arena_bytes": self._arenas(whole, self._trimmed)})
        comparison = Comparison(self.settings.target, self.samples, self.input_shapes, self.folder, self.progress)
        try:
            verified = comparison.run(whole, self._trimmed, cut)
        except ExecutionError as error:
            return found.model_copy(update={"reason": f"outputs cannot be compared: {str(error).rstrip('.')}"})
        return found.model_copy(update={"verification": verified, "reason": refusal(verified, cut) or ""})

    @property
    def _trimmed(self) -> Path:
        return self.folder / "without-dead-channels.tflite"

    @property
    def _backend(self) -> Backend:
        return backend(self.settings.target)

    def _kept(self, source: Path, found: Channels) -> Trimmed:
        reason = found.reason.replace(f"{self.folder}/", "")
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
        merged=sum(bool(part.merged) for part in cut.slices),
        remaining=[
            RemainingChannels(
                name=each.kernel,
                layer="" if layer_of is None else layer_of(each.kernel),
                channels=each.channels,
                keeper=each.keeper,
                multiple=each.multiple,
            )
            for each in cut.remaining
        ],
    )


def _name(model: Model, key: tuple[int, int]) -> str:
    return text(list(graphs(model))[key[0]].tensor(key[1]).name)
