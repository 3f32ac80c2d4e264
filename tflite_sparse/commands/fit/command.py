"""The stages of ``fit``: the most accurate file under a budget, or the smallest one within an accuracy gate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import Unpack

from tflite_sparse import target_registry
from tflite_sparse.backends.registry import backend
from tflite_sparse.base import extras
from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress, Timed
from tflite_sparse.commands import prunable
from tflite_sparse.commands import report as pages
from tflite_sparse.commands.export import AlreadyPruned, export_pruned
from tflite_sparse.commands.fit import in_report, sharing
from tflite_sparse.commands.fit.dense import Dense
from tflite_sparse.commands.fit.limits import ChannelLimits
from tflite_sparse.commands.fit.rounds import Carried, Rounds, export_settings, held_out, opened, save
from tflite_sparse.commands.scan import scan_kernels
from tflite_sparse.errors import BudgetError, ModelError, OutputError, SettingsError
from tflite_sparse.fitting import candidates, choosing, kernels_in_file, plan_file
from tflite_sparse.fitting.costs import Costs
from tflite_sparse.fitting.workspace import Workspace
from tflite_sparse.flatbuffer import serde
from tflite_sparse.pruning import allocation, masks, structure, training
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.report.text import baseline as baseline_words
from tflite_sparse.report.text import fit as fit_words
from tflite_sparse.report.text.alternatives import against_sharing
from tflite_sparse.results.export import Gates, Report
from tflite_sparse.results.fit import FitReport
from tflite_sparse.results.scan import Scan
from tflite_sparse.scoring import user_metric
from tflite_sparse.settings import ANY_DROP, DEMO_DATA, ExportSettings, FitOptions, FitSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources import demo, keras_model, tensorflow_import, weights_only
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import Kernel, SourceModel
from tflite_sparse.stages import baseline as baselines
from tflite_sparse.stages import deliver
from tflite_sparse.stages import pixels as pixel_stage
from tflite_sparse.stages.baseline import Found
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.deliver import FIT_JSON, SPARSE, SWEEP_JSON
from tflite_sparse.stages.load import check_path, check_paths, origin_of, split_words

RECIPE, FITTED = "recipe.toml", "fitted.keras"


@takes(FitSettings, FitOptions)
def fit(
    model: object = None,
    data: object = None,
    *,
    progress: Progress | None = None,
    **settings: Unpack[FitOptions],
) -> FitReport:
    """Write the most accurate int8 file of a model that is within a budget of bytes, or the smallest within a gate.

    Each kernel gets its sparsity and block, or stays dense: by what it loses when it alone is masked, measured on a
    tenth of the training samples, and what it takes in the file, by the planner of the target. Under limits on
    multiply-adds, arena or latency whole channels go first. The model is then pruned to that plan while it trains,
    converted and measured; a file that came out too large or too slow is pruned further. The test samples are used for
    the report only.

    Beside the files of :func:`tflite_sparse.export` the output folder gets ``fit.json``, ``recipe.toml``, the plan as
    ``prune --recipe`` takes it, and ``fitted.keras``, the pruned model. While the run goes on, what it has found lies
    in the folder ``unfinished`` there.

    Args:
        model: a path or a live Keras model, as for :func:`tflite_sparse.export`; None: the demo network, or what
            ``builder`` returns, is trained first.
        data: as for :func:`tflite_sparse.export`, with labels. None: ``mnist-5k``.
        progress: receives stages and notes.
        **settings: see below; ``budget="100kB"`` or ``gate=True``, limits such as ``max_macs=1_000_000``, or both.

    Returns:
        The report; ``report.gates`` says whether budget, accuracy and verification are as they must be.

    Raises:
        BudgetError: no file of this model is as small, or within the limits; nothing was written.
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: model, data, settings or output folder cannot be used.
        ConversionError: the converter failed.
    """
    extras.require_keras("fit")
    return _Fit(FitSettings(**settings), Timed(chosen(progress))).run(model, data)


@dataclass
class _Fit:
    settings: FitSettings
    progress: Timed

    def run(self, model: object, data: object) -> FitReport:
        settings = self.settings
        self._check_out(model)
        check_paths(model, data)
        check_path(settings.baseline)
        metric = user_metric.named(settings.metric)  # one that cannot be loaded is told before the work
        blocks = [_block(words) for words in settings.blocks]
        tensorflow_import.start(self.progress)
        with self.progress.stage("load"):
            given, is_new = self._open(model)
            if len(given.inputs()) != 1 or len(given.outputs()) != 1:
                raise ModelError(
                    f"fit works on models with one input and one output; {given.name} has {len(given.inputs())} and "
                    f"{len(given.outputs())}. Try prune with `allocate=True`, then export."
                )
            source, _ = prunable.trainable(given)
            samples = prunable.samples_for(source, DEMO_DATA if data is None else data, settings.seed, settings.pixels)
            unpruned = Found()
            if not is_new:
                pixel_stage.checked(source, samples, settings.pixels, self.progress)
                if samples.is_split:
                    self.progress.warn(split_words(samples))
                unpruned = baselines.find(model, source, ExportSettings(**export_settings(settings)), self.progress)
            samples = replace(samples, is_split=False)  # told above; what is trained here does not know the test part
            training.compile_for(source, samples, "sgd")  # labels that do not fit are told before anything is written
        work = Workspace.open(settings.out, resume=settings.resume)
        about = settings.model_dump(mode="json", exclude={"resume", "out"})
        work.check({**about, **prunable.fingerprints(source, samples)})
        converter = Converter(ExportSettings(**export_settings(settings)), samples, self.progress).in_form_of(source)
        rounds = Rounds(settings, work, self.progress, metric, converter)
        path = self._dense(source, samples, work, is_new=is_new)
        opened_source = opened(path, source.name, settings.custom_objects)
        whole = self._known(opened_source, path, unpruned, samples, blocks, rounds)
        dense = self._within_limits(whole, rounds)
        floor = dense.sizes(choosing.lightest(dense.candidates))
        if settings.budget is not None and floor.file_bytes > settings.budget:
            work.undo()
            raise BudgetError(in_report.floor_words(dense, floor, settings.budget))
        carried = rounds.within_gate(dense) if settings.gate else rounds.under_budget(dense)
        pruned = AlreadyPruned(
            dense=whole.source,
            origin=origin_of(model),
            unpruned=unpruned,
            source=carried.source,
            converted=carried.converted,
            words=self._words(carried, rounds),
            epochs=carried.epochs,
            curve=carried.curve,
            shared=carried.shared,
            only_channels=not settings.is_sized,
        )
        exported = export_pruned(
            pruned,
            samples,
            lambda found: self._completed(found, carried, rounds),
            progress=self.progress,
            **export_settings(settings),
        )
        report = in_report.report(settings, whole, carried, rounds, exported, floor, self.progress.seconds)
        self._deliver(report, carried)
        work.remove()
        return report

    def _check_out(self, model: object) -> None:
        """Find out before the work whether the result can be written."""
        out = self.settings.out
        names = target_registry.extra_files(self.settings.target, Path(SPARSE).stem, dict(self.settings))
        deliver.check_folder(out, names=(*deliver.ALL_FILES, *names))
        backend(self.settings.target).check_folder(out, names)
        deliver.check_no_result_of((SWEEP_JSON,), out)
        fitted = out / FITTED
        if isinstance(model, str | os.PathLike) and fitted.exists() and Path(model).exists() and fitted.samefile(model):
            raise OutputError(f"{model} would be replaced by what is made of it: choose another `out`.")

    def _open(self, model: object) -> tuple[SourceModel, bool]:
        """The model, and whether it is to be trained first."""
        settings = self.settings
        if model is not None:
            if settings.builder is not None:
                raise SettingsError("builder makes the model to train, and a MODEL was given: leave one of them out.")
            if isinstance(model, str | os.PathLike):
                return keras_model.open_model(Path(model), settings.custom_objects), False
            return keras_model.from_memory(model), False
        if settings.baseline is not None:
            raise SettingsError("`baseline` is what a given `model` was made of, and none was given: leave it out.")
        keras = tensorflow_import.keras3()
        if settings.builder is None:
            return KerasSource(demo.build(keras, settings.seed), keras, "demo CNN"), True
        keras.utils.set_random_seed(settings.seed)
        return keras_model.from_memory(weights_only.built_by(settings.builder)), True

    def _dense(self, source: KerasSource, samples: Dataset, work: Workspace, *, is_new: bool) -> Path:
        """Where the model to start from lies, trained if it is new."""
        path = work.path("dense.keras")
        if path.exists():
            return path
        if is_new:
            epochs, seed = self.settings.train_epochs, self.settings.seed
            with self.progress.stage("train dense model") as on_step:
                # The gate is judged on samples that the model must not know by heart.
                known = held_out(samples, seed) if self.settings.gate else samples
                training.train_from_scratch(source, known, 0.0, seed=seed, epochs=epochs, on_step=on_step)
        save(source, path)
        return path

    def _known(
        self,
        source: KerasSource,
        path: Path,
        unpruned: Found,
        samples: Dataset,
        blocks: Sequence[Structure],
        rounds: Rounds,
    ) -> Dense:
        """Convert the model, find its kernels in the file, scan them, and price them if all channels stay."""
        converted = rounds.work.path("dense.tflite")
        if not converted.exists():
            rounds.convert(source, samples, converted)
        constants = kernels_in_file.find(source.kernels(), serde.read(converted))
        usual = masks.prunable_while_training(source.kernels()) if self.settings.is_sized else []
        kernels = [kernel for kernel in usual if kernel.name in constants]
        if len(kernels) < len(usual):
            lost = ", ".join(kernel.name for kernel in usual if kernel.name not in constants)
            self.progress.warn(f"not recognised in the file, and left as they are: {lost}")
        scans = {block: self._scan(source, samples, kernels, block, rounds.work) for block in blocks}
        asked = self.settings.shared_values
        costs = Costs(
            converted,
            constants,
            rounds.target,
            lambda file, dense: rounds.finish(file, dense, samples),
            shared_values=asked if isinstance(asked, int) else None,
        )
        able = [kernel for kernel in kernels if costs.can_share(kernel.name)]
        counts = sharing.counts(self.settings, source, samples, able, rounds.work, self.progress)
        done = {block: scan for block, scan in scans.items() if scan is not None}
        found: list[candidates.Candidate] = []
        if not self.settings.limits:
            with self.progress.stage("price") as on_step:
                found = candidates.candidates(kernels, done, costs, counts, on_step=on_step)
        return Dense(source, path, unpruned, samples, costs, found, kernels, done, counts)

    def _within_limits(self, whole: Dense, rounds: Rounds) -> Dense:
        """The model without the channels that go for the limits; their kernels are priced."""
        if not self.settings.limits:
            return whole
        try:
            rounds.limits = ChannelLimits.of(whole, self.settings, rounds.work, self.progress)
        except BudgetError:
            rounds.work.undo()
            raise
        return rounds.limits.within(self.settings.limits)

    def _scan(
        self, source: KerasSource, samples: Dataset, kernels: Sequence[Kernel], block: Structure, work: Workspace
    ) -> Scan | None:
        """What each kernel with room for the block loses; None where none has. Done once, it is read from disk."""
        chosen = [kernel for kernel in kernels if candidates.has_room(kernel, block)]
        if not chosen:
            return None
        path = work.path(f"scan-{block}.json")
        if path.exists():
            return Scan.model_validate_json(path.read_bytes())
        found = scan_kernels(
            source,
            samples,
            dict.fromkeys(chosen, block),
            allocation.ALLOCATION_SPARSITIES,
            self.settings.seed,
            self.progress,
            f"scan {block}",
        )
        write_bytes(path, (found.model_dump_json(indent=2) + "\n").encode())
        return found

    def _words(self, carried: Carried, rounds: Rounds) -> str:
        aim, count = fit_words.aim(self.settings), len(rounds.done)
        return f"fitted to {aim} in {count} round{'s' * (count > 1)}, the last of {carried.epochs} epochs"

    def _completed(self, exported: Report, carried: Carried, rounds: Rounds) -> Report:
        """The report of the export with the gates and the warnings of the whole run."""
        settings, written = self.settings, in_report.written(exported, carried)
        failures = list(exported.gates.failures)
        if settings.budget is not None and written > settings.budget:
            failures.append(
                f"budget: the file has {written:,} bytes, {written - settings.budget:,} too many after "
                f"{len(rounds.done)} rounds. Try more --rounds, or a larger --budget"
            )
        failures += [
            fit_words.beyond(name, carried.used[name], settings, len(rounds.done))
            for name, limit in settings.limits.items()
            if carried.used[name] > limit
        ]
        if exported.accuracy is not None and exported.accuracy.drop > settings.allowed_drop:
            more_values = against_sharing(exported.accuracy).rstrip(".")
            failures.append(
                f"accuracy: {exported.accuracy.metric} dropped by {exported.accuracy.drop:.4f} on the test samples, "
                f"more than --max-accuracy-drop {settings.allowed_drop:g}. Try more --epochs, or "
                f"{fit_words.remedies(settings)}" + (f". {more_values}" if more_values else "")
            )
        baseline, unjudged = exported.baseline, []
        if baseline is not None and not baseline.is_unpruned and settings.allowed_drop < ANY_DROP:
            unjudged.append(baseline_words.not_judged(baseline))
        warnings = dict.fromkeys([*self.progress.warnings, *rounds.warnings, *exported.warnings])
        return exported.model_copy(update={"gates": Gates.of(failures, unjudged), "warnings": list(warnings)})

    def _deliver(self, report: FitReport, carried: Carried) -> None:
        out, dense = self.settings.out, carried.dense
        text = plan_file.text(carried.choice, dense.source.kernels(), channels=dense.channels)
        write_bytes(out / RECIPE, text.encode())
        write_bytes(out / FITTED, carried.path.read_bytes())
        write_bytes(out / FIT_JSON, (report.model_dump_json(indent=2) + "\n").encode())
        pages.rebuild_report(out)


def _block(words: str) -> Structure:
    block = structure.parse(words)
    if block.sparsity is not None:
        raise SettingsError(
            f"blocks: {block} makes {block.sparsity:g} zeros, no more and no fewer: give outputs x inputs."
        )
    return block
