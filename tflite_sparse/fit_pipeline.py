"""The stages of ``fit``: the most accurate file under a budget, or the smallest one within an accuracy gate."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tflite_sparse import delivery, encoder, pipeline, prune_pipeline, tuning
from tflite_sparse.accuracy_pipeline import Evaluation
from tflite_sparse.config import DEMO_DATA, ExportSettings, FitSettings
from tflite_sparse.conversion_pipeline import Converter
from tflite_sparse.errors import BudgetError, ModelError, SettingsError
from tflite_sparse.evaluation import masked_score, scoring
from tflite_sparse.files import publish, write_bytes
from tflite_sparse.fitting import candidates, choosing, pairing
from tflite_sparse.fitting.candidates import Candidate, Choice
from tflite_sparse.fitting.costs import Costs, Sizes, sizes_of
from tflite_sparse.fitting.workspace import Workspace
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planner import Target
from tflite_sparse.progress import Progress, Silent, Timed
from tflite_sparse.pruning import allocation, masks, repeatable, sensitivity, structure, training
from tflite_sparse.pruning.scan import Scan
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.report import model as report_model
from tflite_sparse.report.fit import FitKernel, FitReport, FitRound, FixedConstant
from tflite_sparse.sources import demo, keras_model, tensorflow_import, user_code
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import Kernel, SourceModel
from tflite_sparse.targets.micro import Micro

FIT_JSON, RECIPE, MODEL = "fit.json", "recipe.toml", "model.keras"

_UPDATES = 60  # of the masks in a training
_PRUNED_SHARE = 0.55  # of its steps, that the schedule takes by default
_LATER_ROUNDS = 4  # take this part of the epochs: little is left to prune
_TRIES = 8  # to bring the predicted file, in which constants share vectors, under the budget
_CLOSE_ENOUGH = 0.01  # of the bytes: where the search for the smallest file within a gate ends


def fit(
    model: Any = None,
    data: Any = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> FitReport:
    """Write the most accurate int8 file of a model that is within a budget of bytes, or the smallest within a gate.

    Each kernel gets its sparsity and block, or stays dense: by what it loses when it alone is masked, measured on a
    tenth of the training samples, and what it takes in the file, by the planner of the target. The model is then
    pruned to that plan while it trains, exported and weighed; a file that came out too large is pruned further. The
    test samples are used for the report only.

    Beside the files of :func:`tflite_sparse.export` the output folder gets ``fit.json``, ``recipe.toml``, the plan as
    ``prune --recipe`` takes it, and ``model.keras``, the pruned model. While the run goes on, what it has found lies in
    the folder ``unfinished`` there.

    Args:
        model: a path or a live Keras model, as for :func:`tflite_sparse.prune`; None: the demo network, or what
            ``builder`` returns, is trained first.
        data: as for :func:`tflite_sparse.export`, with labels. None: ``mnist-5k``.
        progress: who listens.
        **settings: the fields of :class:`tflite_sparse.config.FitSettings`: ``budget="100kB"``.

    Returns:
        The report; ``report.gates`` says whether budget, accuracy and verification are as they must be.

    Raises:
        BudgetError: no file of this model is as small; nothing was written.
        InputError: model, data, settings or output folder cannot be used.
        ConversionError: the converter failed.
    """
    return _Fit(FitSettings(**settings), Timed(progress or Silent())).run(model, data)


@dataclass(frozen=True)
class _Dense:
    """The model as it came, and what is known of it.

    Attributes:
        source: the model.
        path: where it lies.
        samples: fitted to it.
        costs: of its kernels in the file.
        candidates: of the kernels that are pruned.
        reasons: why others are not, by name.
    """

    source: KerasSource
    path: Path
    samples: Dataset
    costs: Costs
    candidates: list[Candidate]
    reasons: Mapping[str, str]

    def sizes(self, choice: Choice) -> Sizes:
        return self.costs.sizes({each.kernel.name: each.mask(choice[each.kernel.name]) for each in self.candidates})


@dataclass(frozen=True)
class _Pruned:
    """A plan that was carried out, and what came of it."""

    choice: Choice
    predicted: Sizes
    source: KerasSource
    path: Path
    sizes: Sizes
    epochs: int


@dataclass
class _Fit:
    settings: FitSettings
    progress: Timed
    rounds: list[FitRound] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def run(self, model: Any, data: Any) -> FitReport:
        settings = self.settings
        delivery.check_out(settings.out)
        blocks = [structure.parse(words) for words in settings.blocks]
        with self.progress.stage("load"):
            opened, is_new = self._open(model)
            source, _ = prune_pipeline.trainable(opened)
            samples = prune_pipeline.samples_for(source, DEMO_DATA if data is None else data, settings.seed)
        work = Workspace.open(settings.out, resume=settings.resume)
        identity = settings.model_dump(mode="json", exclude={"resume", "out"})
        work.check({**identity, **prune_pipeline.fingerprints(source, samples)})
        try:
            dense = self._measured(self._trained(source, samples, work, is_new=is_new), samples, blocks, work)
            floor, untouched = dense.sizes(choosing.lightest(dense.candidates)), dense.sizes(_untouched(dense))
            pruned = self._under_budget(dense, floor, work) if settings.gate is False else self._gated(dense, work)
        except BudgetError:
            work.undo()
            raise
        exported = pipeline.export_pruned(
            dense.source,
            pruned.source,
            samples,
            self._words(pruned),
            epochs=pruned.epochs,
            progress=self.progress,
            **self._export_settings(),
        )
        report = self._report(dense, pruned, exported, floor, untouched)
        self._deliver(report, pruned)
        work.remove()
        return report

    def _open(self, model: Any) -> tuple[SourceModel, bool]:
        """The model, and whether it is to be trained first."""
        settings = self.settings
        if model is not None:
            if settings.builder is not None:
                raise SettingsError("builder makes the model to train, and a MODEL was given: leave one of them out.")
            if isinstance(model, str | os.PathLike):
                return keras_model.open_model(Path(model), settings.custom_objects), False
            return keras_model.from_memory(model), False
        if settings.builder is None:
            keras = tensorflow_import.keras3()
            return KerasSource(demo.build(keras, settings.seed), keras, "demo CNN"), True
        file, separator, function = settings.builder.rpartition(":")
        if not separator or not file.endswith(".py"):
            raise ModelError(f"--builder takes FILE.py:FUNCTION, not {settings.builder!r}.")
        tensorflow_import.keras3().utils.set_random_seed(settings.seed)
        return keras_model.from_memory(user_code.call(Path(file), function, ModelError)), True

    def _trained(self, source: KerasSource, samples: Dataset, work: Workspace, *, is_new: bool) -> KerasSource:
        """The model to start from, as it lies on disk."""
        path = work.path("dense.keras")
        if not path.exists():
            if is_new:
                with self.progress.stage("train dense model") as on_step:
                    training.train_from_scratch(
                        source,
                        samples,
                        0.0,
                        seed=self.settings.seed,
                        epochs=self.settings.train_epochs,
                        on_step=on_step,
                    )
            _save(source, path)
        return self._reopened(path, source.name)

    def _reopened(self, path: Path, name: str) -> KerasSource:
        source = keras_model.open_model(path, self.settings.custom_objects)
        assert isinstance(source, KerasSource)  # it was written as one
        source.name = name
        return source

    def _measured(self, source: KerasSource, samples: Dataset, blocks: Sequence[Structure], work: Workspace) -> _Dense:
        """Convert the model, find its kernels in the file, scan and price them."""
        dense_file = work.path("dense.tflite")
        if not dense_file.exists():
            self._convert(source, samples, dense_file)
        constants = pairing.find(source.kernels(), serde.read(dense_file))
        costs = Costs(dense_file, constants, self._target)
        usual = masks.prunable_while_training(source.kernels())
        kernels = [kernel for kernel in usual if kernel.name in constants]
        reasons = dict.fromkeys(constants, "it is small, depthwise, or the first convolution")
        lost = [kernel.name for kernel in usual if kernel.name not in constants]
        if lost:
            self._warn(f"not recognised in the file, and left as they are: {', '.join(lost)}")
        scans = {block: self._scan(source, samples, kernels, block, work) for block in blocks}
        with self.progress.stage("price") as on_step:
            found = candidates.candidates(
                kernels, {block: scan for block, scan in scans.items() if scan is not None}, costs, on_step=on_step
            )
        return _Dense(source, work.path("dense.keras"), samples, costs, found, reasons)

    def _scan(
        self, source: KerasSource, samples: Dataset, kernels: Sequence[Kernel], block: Structure, work: Workspace
    ) -> Scan | None:
        """What each kernel with room for the block loses; None where none has. Done once, it is read from disk."""
        if block.sparsity is not None:
            raise SettingsError(f"blocks: {block} makes {block.sparsity:g} zeros, no more and no fewer: give blocks.")
        chosen = [kernel for kernel in kernels if candidates.blocks_for(kernel, [block])]
        if not chosen:
            return None
        path = work.path(f"scan-{block}.json")
        if path.exists():
            return Scan.model_validate_json(path.read_bytes())
        _, _, x, y = sensitivity.held_out(samples, seed=self.settings.seed)
        assert y is not None  # samples_for() asks for labels
        with self.progress.stage(f"scan {block}") as on_step:
            training.compile_for(source, samples, "sgd")  # the scan asks for its loss; nothing is trained
            found = sensitivity.scan(
                source,
                chosen,
                masked_score.evaluator(source, x, y),
                allocation.ALLOCATION_SPARSITIES,
                structure=block,
                on_step=on_step,
            )
        write_bytes(path, (found.model_dump_json(indent=2) + "\n").encode())
        return found

    def _under_budget(self, dense: _Dense, floor: Sizes, work: Workspace) -> _Pruned:
        """Plan, prune, weigh; where the file came out too large, tighten the plan and go on from there."""
        settings, budget = self.settings, self.settings.budget
        assert budget is not None  # one aim
        if floor.file_bytes > budget:
            raise BudgetError(_floor_words(dense, floor, budget))
        left, epochs, start, excess = dense.candidates, settings.epochs, dense.path, 0
        for number in range(1, settings.rounds + 1):
            choice, predicted = _plan(dense, left, budget - excess)
            done = self._carry_out(number, choice, predicted, dense, start, epochs, dense.samples, work)
            passed = done.sizes.file_bytes <= budget
            self._tell(done, number, passed=passed)
            if passed or number == settings.rounds:
                break
            excess += done.sizes.file_bytes - predicted.file_bytes
            left = [each.from_here(choice[each.kernel.name]) for each in dense.candidates]
            epochs, start = max(settings.epochs // _LATER_ROUNDS, min(settings.epochs, 1)), done.path
        return done

    def _gated(self, dense: _Dense, work: Workspace) -> _Pruned:
        """The smallest file within the gate on samples that are not trained on, found by halving the way back."""
        x, y, x_held, y_held = sensitivity.held_out(dense.samples, seed=self.settings.seed)
        held = Dataset(dense.samples.name, x, y, x_held, y_held)
        baseline = work.path("dense-float32.tflite")
        Converter(self._checked_export_settings(), held, self.progress).float32(dense.source, baseline)
        way = choosing.way_back(dense.candidates)
        sizes = {len(way) - 1: dense.sizes(way[-1])}
        tried: dict[int, tuple[_Pruned, bool]] = {}

        def passes(place: int) -> bool:
            if place not in tried:
                number = len(tried) + 1
                predicted = dense.sizes(way[place])
                done = self._carry_out(
                    number, way[place], predicted, dense, dense.path, self.settings.epochs, held, work
                )
                drop = self._drop(baseline, work.path(f"round-{number}.tflite"), held)
                passed = drop is not None and drop <= self.settings.allowed_drop
                self._tell(done, number, passed=passed, drop=drop)
                tried[place] = done, passed
            return tried[place][1]

        low, high = 0, len(way) - 1
        while low < high:
            middle = (low + high) // 2
            for place in (low, high):
                sizes.setdefault(place, dense.sizes(way[place]))
            if sizes[high].file_bytes - sizes[low].file_bytes <= _CLOSE_ENOUGH * sizes[high].file_bytes:
                break
            if passes(middle):
                high = middle
            else:
                low = middle + 1
        passes(high)
        return tried[high][0]

    def _drop(self, baseline: Path, file: Path, held: Dataset) -> float | None:
        scorer, (best, reached) = Evaluation(held, self.progress).scores(baseline, [(file, self.settings.target)])
        del scorer
        return None if best is None or reached is None else scoring.mean(best) - scoring.mean(reached)

    def _carry_out(
        self,
        number: int,
        choice: Choice,
        predicted: Sizes,
        dense: _Dense,
        start: Path,
        epochs: int,
        samples: Dataset,
        work: Workspace,
    ) -> _Pruned:
        """Prune the model at ``start`` to the plan and weigh what comes of it."""
        path = work.path(f"round-{number}.keras")
        pruned = {name: option for name, option in choice.items() if option.sparsity is not None}
        epochs = epochs if pruned else 0
        if not path.exists():
            if epochs:
                recipe = work.path(f"round-{number}.toml")
                steps = epochs * repeatable.steps(len(samples.x_train), self.settings.batch_size)
                write_bytes(recipe, _recipe(choice, steps).encode())
                found = prune_pipeline.prune(
                    start,
                    samples,
                    path,
                    progress=self.progress,
                    recipe=recipe,
                    epochs=epochs,
                    batch_size=self.settings.batch_size,
                    learning_rate=self.settings.learning_rate,
                    seed=self.settings.seed,
                    custom_objects=self.settings.custom_objects,
                    resume=work.has_checkpoint(path),
                )
                self.warnings += [sentence for sentence in found.warnings if sentence not in self.warnings]
            else:
                source = self._reopened(start, dense.source.name)
                for kernel in source.kernels():
                    if kernel.name in pruned:
                        option = pruned[kernel.name]
                        assert option.sparsity is not None
                        mask = masks.magnitude_mask(kernel.read(), option.sparsity, option.block, kernel.axes)
                        masks.apply_mask(kernel, mask)
                _save(source, path)
        source = self._reopened(path, dense.source.name)
        converted, file = work.path(f"round-{number}-dense.tflite"), work.path(f"round-{number}.tflite")
        self._convert(source, samples, converted)
        with self.progress.stage("encode") as on_step:
            choices = encoder.encode_file(converted, file, self._target(), on_step=on_step)
        constants = pairing.find(source.kernels(), serde.read(converted))
        sizes = sizes_of(file.stat().st_size, choices, constants)
        return _Pruned(choice, predicted, source, path, sizes, epochs)

    def _tell(self, done: _Pruned, number: int, *, passed: bool, drop: float | None = None) -> None:
        self.rounds.append(
            FitRound(
                number=number,
                epochs=done.epochs,
                predicted_bytes=done.predicted.file_bytes,
                file_bytes=done.sizes.file_bytes,
                held_out_drop=drop,
                passed=passed,
            )
        )
        lost = "" if drop is None else f", {drop:.4f} lost on held-out samples"
        self.progress.note(
            f"round {number}: {done.sizes.file_bytes:,} bytes, {done.predicted.file_bytes:,} predicted{lost}: "
            + ("within" if passed else "not within")
            + (" the gate" if self.settings.gate else f" {self.settings.budget:,}")
        )

    def _convert(self, source: KerasSource, samples: Dataset, path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            Converter(self._checked_export_settings(), samples, self.progress).int8(source, temporary)
            publish(temporary, path)

    def _target(self) -> Target:
        settings = self._checked_export_settings()
        if settings.target == "micro":
            return Micro(settings.micro_codec, settings.micro_min_saving)
        return tuning.target_for(settings.optimize)

    def _export_settings(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "int8": True,
            "io": settings.io,
            "target": settings.target,
            "calibration_samples": settings.calibration_samples,
            "max_accuracy_drop": settings.allowed_drop,
            "seed": settings.seed,
            "out": settings.out,
        }

    def _checked_export_settings(self) -> ExportSettings:
        return ExportSettings(**self._export_settings())

    def _words(self, pruned: _Pruned) -> str:
        aim = "an accuracy gate" if self.settings.gate else f"a budget of {self.settings.budget:,} bytes"
        return f"fitted to {aim} in {len(self.rounds)} rounds, {pruned.epochs} epochs in the last"

    def _warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
        self.progress.note(f"warning: {sentence}")

    def _report(
        self, dense: _Dense, pruned: _Pruned, exported: report_model.Report, floor: Sizes, untouched: Sizes
    ) -> FitReport:
        settings, models = self.settings, exported.models
        written = models.sparse_int8.file_bytes if models.sparse_int8 else pruned.sizes.file_bytes
        failures = list(exported.gates.failures)
        if settings.budget is not None and written > settings.budget:
            failures.append(
                f"budget: the file has {written:,} bytes, {written - settings.budget:,} too many after "
                f"{len(self.rounds)} rounds. Try a larger --budget, or more --rounds."
            )
        holds = {kernel.name: masks.sparsity_of([kernel]).share for kernel in pruned.source.kernels()}
        assert exported.accuracy is not None or models.sparse_int8 is None  # there are labels
        dense_accuracy = models.dense_float32.accuracy
        assert dense_accuracy is not None
        return FitReport(
            tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
            model=dense.source.name,
            data=dense.samples.name,
            settings=settings.model_dump(mode="json"),
            mode="gate" if settings.gate else "budget",
            budget_bytes=settings.budget,
            floor_bytes=floor.file_bytes,
            untouched_bytes=untouched.file_bytes,
            rest_bytes=untouched.rest_bytes,
            fixed=_fixed(dense, untouched),
            kernels=[
                FitKernel(
                    name=each.kernel.name,
                    type=each.kernel.owner,
                    shape=each.kernel.shape,
                    block=None if option.sparsity is None else str(option.block),
                    planned=option.sparsity,
                    sparsity=holds[each.kernel.name],
                    untouched_bytes=untouched.kernels[each.kernel.name],
                    predicted_bytes=pruned.predicted.kernels[each.kernel.name],
                    file_bytes=pruned.sizes.kernels.get(each.kernel.name, 0),
                    predicted_rise=option.rise,
                )
                for each in dense.candidates
                for option in [pruned.choice[each.kernel.name]]
            ],
            rounds=self.rounds,
            predicted_bytes=pruned.predicted.file_bytes,
            file_bytes=written,
            prediction_error=pruned.predicted.file_bytes / written - 1,
            metric=exported.accuracy.metric if exported.accuracy else "none",
            samples=dense.samples.test_samples,
            dense_accuracy=dense_accuracy,
            accuracy=models.sparse_int8.accuracy if models.sparse_int8 else None,
            gates=report_model.Gates(passed=not failures, failures=failures),
            warnings=self.warnings,
            seconds=self.progress.seconds,
        )

    def _deliver(self, report: FitReport, pruned: _Pruned) -> None:
        out = self.settings.out
        write_bytes(out / RECIPE, _recipe(pruned.choice, None).encode())
        write_bytes(out / MODEL, pruned.path.read_bytes())
        write_bytes(out / FIT_JSON, (report.model_dump_json(indent=2) + "\n").encode())


def _plan(dense: _Dense, left: Sequence[Candidate], budget: int) -> tuple[Choice, Sizes]:
    """The best choice whose predicted file is within the budget, or the smallest where none is."""
    lightest = choosing.lightest(left)
    rest = _rest(dense, dense.sizes(lightest))
    for _ in range(_TRIES):
        choice = choosing.under_budget(left, budget - rest)
        if choice is None:
            break
        sizes = dense.sizes(choice)
        if sizes.file_bytes <= budget:
            return choice, sizes
        rest += (
            sizes.file_bytes - budget
        )  # less is shared, or more is padded, than in the file that rest was taken from
    return lightest, dense.sizes(lightest)


def _rest(dense: _Dense, sizes: Sizes) -> int:
    """What a file takes beside the kernels that are pruned."""
    return sizes.file_bytes - sum(sizes.kernels[each.kernel.name] for each in dense.candidates)


def _untouched(dense: _Dense) -> Choice:
    return {each.kernel.name: each.options[0] for each in dense.candidates}


def _fixed(dense: _Dense, sizes: Sizes) -> list[FixedConstant]:
    pruned = {each.kernel.name for each in dense.candidates}
    kernels = [
        FixedConstant(name=name, bytes=size, reason=dense.reasons[name])
        for name, size in sizes.kernels.items()
        if name not in pruned
    ]
    return kernels + [
        FixedConstant(name=name, bytes=size, reason="it is no kernel that was recognised")
        for name, size in sizes.others.items()
    ]


def _floor_words(dense: _Dense, floor: Sizes, budget: int) -> str:
    fixed = sorted(_fixed(dense, floor), key=lambda each: -each.bytes)
    named = ", ".join(f"{each.name} {each.bytes:,}" for each in fixed[:3])
    pruned = floor.file_bytes - floor.rest_bytes - sum(each.bytes for each in fixed)
    return (
        f"budget = {budget:,} bytes cannot be met: the smallest file of {dense.source.name} has {floor.file_bytes:,}, "
        f"of which graph, biases and small constants take {floor.rest_bytes:,}, weights that are not pruned "
        f"{sum(each.bytes for each in fixed):,}{f' ({named})' if named else ''}, and {len(dense.candidates)} pruned "
        f"kernels, at up to {candidates.SPARSITIES[-1]:.0%} zeros, {pruned:,}.\n"
        "Take a larger budget, or a model with fewer or narrower layers."
    )


def _recipe(choice: Choice, steps: int | None) -> str:
    """The plan as a recipe; ``steps`` of the training, where they are known, give the frequency of the masks."""
    lines = ["version = 1"]
    if steps is not None:
        lines += ["", "[defaults]", f"frequency = {max(round(steps * _PRUNED_SHARE / _UPDATES), 1)}"]
    for name, option in choice.items():
        lines += ["", "[[rule]]", f"layers = {json.dumps(re.escape(name))}"]
        if option.sparsity is None:
            lines.append("skip = true")
        else:
            lines += [f"sparsity = {option.sparsity:g}", f'block = "{option.block}"', "skip = false"]
    return "\n".join(lines) + "\n"


def _save(source: KerasSource, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        source.model.save(temporary)
        publish(temporary, path)
