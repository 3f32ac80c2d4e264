"""Frozen, typed settings that refuse unknown keys and values out of range."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field

from tflite_sparse import target_registry
from tflite_sparse.codecs.names import AUTO, MicroCodec
from tflite_sparse.errors import SettingsError
from tflite_sparse.target_registry import DEFAULT_TARGET, TARGETS, FittedTarget, Target

DEFAULT_OUT = Path("tflite-sparse-out")
DEFAULT_SWEEP_OUT = Path("tflite-sparse-sweep")
DEMO_SPARSITY = 0.875
DEMO_DATA = "mnist-5k"
DEFAULT_DROP = 0.01
ANY_DROP = 1e9
"""An accuracy gate that every drop passes; that of the metrics mse and psnr may be more than 1."""

Optimize = Literal["size", "latency"]
Alternatives = Literal["auto", "all", "none"]
Activations = Literal["int8", "int16", "float32"]
Calibration = Literal["min-max", "percentile", "mse"]
DenseScales = Literal["per-channel", "per-tensor"]
Recurrent = Literal["auto", "loop", "unroll", "step"]
Sparsity = Annotated[float, Field(ge=0, lt=1)]

METRICS = ("auto", "top1", "top5", "mse", "psnr", "auc")
"""Beside ``path/to/module.py:function``."""

_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _in_bytes(value: Any) -> Any:
    """``"100kB"`` as 100,000; numbers pass."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)", value.strip())
    if found is None or found[2] not in _UNITS:
        raise ValueError(
            f"expected bytes, as 100kB, 100KiB, 1.5MB or 100000; units are {', '.join(filter(None, _UNITS))}"
        )
    return int(float(found[1].replace(",", "").replace("_", "")) * _UNITS[found[2]])


Bytes = Annotated[int, pydantic.BeforeValidator(_in_bytes), Field(ge=1)]
"""A number of bytes, or the same in words: ``100kB`` is 100,000, ``100KiB`` 102,400."""


def _known_metric(value: str) -> str:
    if value not in METRICS and not re.search(r"\.py:\w+$", value):
        raise ValueError(f"it takes {', '.join(METRICS)} or FILE.py:FUNCTION")
    return value


Metric = Annotated[str, pydantic.AfterValidator(_known_metric)]
"""One of :data:`METRICS`, or ``path/to/module.py:function``."""


class Settings(pydantic.BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            found = error.errors()
            inner = {detail["loc"][0] for detail in found if len(detail["loc"]) > 1}
            # A tuple whose items were refused counts as too short as well.
            told = [each for each in found if each["type"] != "too_short" or each["loc"][0] not in inner]
            raise SettingsError("; ".join(map(_in_words, told))) from None


class TargetSettings(Settings):
    """What a file is made for.

    Attributes:
        target: ``"litert"``; ``"micro"``: TensorFlow Lite Micro, constants behind its DECODE operator; ``"ethos-u"``:
            the dense file, and the same compiled by Vela.
        optimize: of litert, the smallest file, every bit kept; or, of each operator's forms, the one that is fastest on
            this machine: native kernels that round in their own way are among them.
        micro_codec: of micro, how constants are compressed.
        micro_min_saving: of micro, constants that would save fewer bytes stay dense.
        c_array: of micro, also write the file as a C++ array.
        accelerator_config: of ethos-u, what Vela compiles for.
    """

    target: Target = DEFAULT_TARGET
    optimize: Optimize = "size"
    micro_codec: MicroCodec = AUTO
    micro_min_saving: Annotated[int, Field(ge=0)] = 64
    c_array: bool = False
    accelerator_config: str = "ethos-u55-128"

    @pydantic.model_validator(mode="after")
    def _each_speaks_of_its_target(self) -> TargetSettings:
        for name, field in type(self).model_fields.items():
            homes = target_registry.homes_of(name)
            if not homes or self.target in homes:
                continue
            if getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(f"{name} speaks of the target {target_registry.listed(homes)}, not of {self.target}")
        return self

    @property
    def traits(self) -> target_registry.Traits:
        """What holds for the target."""
        return TARGETS[self.target]

    @property
    def plans_memory_ahead(self) -> bool:
        """Whether the target lays memory out from the shapes in the file, before anything runs, so they must be true.

        TensorFlow Lite Micro plans its arena so and Vela its memory map; LiteRT resizes tensors while it runs.
        """
        return self.traits.plans_memory_ahead


class ExportSettings(TargetSettings):
    """What :func:`tflite_sparse.export` does.

    Attributes:
        sparsity: share of zeros that every prunable kernel gets at least, in [0, 1). None: what the model holds.
        int8: quantise weights to int8, and activations as ``activations`` says (needs data); else float32.
        activations: what int8 weights are combined with: int8; int16 (16x8), finer steps; float32, which needs no data:
            weights are dequantised in front of float operators. All but int8 speak of the target litert.
        calibration: how the ranges of int8 activations are chosen: the outermost values seen; all but the outermost
            0.01 % of them; or what has the least mean squared error.
        dense_scales: what the int8 kernels of Dense and other matrix products have: a scale for each output, or one in
            all, which is coarser and makes small files smaller. Convolutions keep theirs for each channel.
        io: type of inputs and outputs of the int8 files. None: that of the activations.
        recipe: TOML file of rules for single layers, or the name of a preset: which masks kernels get, and which layers
            of an int8 file for LiteRT or Micro stay float32. Schedules are of training and left aside.
        recurrent: how recurrent layers are written: ``"loop"``, as they are, LSTMs of Keras 2 as one fused operator;
            ``"unroll"``, step by step, so that int8 weights can be sparse; ``"step"``, the file computes one time step,
            with the states as inputs and outputs; ``"auto"``: what works.
        fixed_batch: inputs take one sample and no other number, as LiteRT.js needs it; for targets other than litert
            they always do, and no other size of an input stays open.
        finetune_epochs: epochs of training under the masks after they were made (needs labels).
        calibration_samples: how many training samples the quantiser sees.
        verification_samples: how many samples every runtime is compared on.
        bias_correction: move the biases of the int8 file so that pruning and quantisation of the weights leave each
            layer's mean output where it was, as measured on the calibration samples.
        metric: how outputs are scored: ``"auto"``, by labels and outputs; ``"top1"``, ``"top5"``, ``"mse"``,
            ``"psnr"``, ``"auc"``; or ``path/to/module.py:function``, which is run.
        measure: also measure latency, loading and memory of the files on this machine, as ``bench`` does.
        max_accuracy_drop: the accuracy gate, as a share: dense float32 minus sparse; of mse and psnr, whose units are
            no shares, that of the labels' spread which is no longer explained; of a function, in its units.
        alternatives: which other int8 files are made and measured where the accuracy gate fails: ``"auto"``, those that
            may pass it, for about as long as the export took; ``"all"``; ``"none"``.
        layer_errors: compare every tensor inside the int8 file with float32 (needs data); done anyway where the
            accuracy gate fails.
        seed: of shuffling, initialisation and training.
        out: folder for the files.
        android_assets: folder that also gets the three files, the class names and ``golden.json``, for an Android app.
        custom_objects: Python file that defines the model's own layers; it is run.
        builder: of an HDF5 file with weights only, ``path/to/module.py:function``; the function is run and returns the
            built model that the weights belong to.
        signature: of a SavedModel with several, the one that is converted. None: ``serving_default``, or the only one.
    """

    sparsity: Sparsity | None = None
    int8: bool = False
    activations: Activations = "int8"
    calibration: Calibration = "min-max"
    dense_scales: DenseScales = "per-channel"
    io: Literal["int8", "int16", "float32"] | None = None
    recipe: Path | None = None
    recurrent: Recurrent = "auto"
    fixed_batch: bool = False
    finetune_epochs: Annotated[int, Field(ge=0)] = 0
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    bias_correction: bool = False
    verification_samples: Annotated[int, Field(ge=4)] = 64
    metric: Metric = "auto"
    measure: bool = False
    max_accuracy_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] = DEFAULT_DROP
    alternatives: Alternatives = "auto"
    layer_errors: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    out: Path = DEFAULT_OUT
    android_assets: Path | None = None
    custom_objects: Path | None = None
    builder: str | None = None
    signature: str | None = None

    @pydantic.model_validator(mode="after")
    def _io_needs_int8(self) -> ExportSettings:
        if self.io is not None and not self.int8:
            raise ValueError("io is the type of inputs and outputs of int8 files: add int8 (--int8)")
        if self.traits.needs_int8 and not self.int8:
            raise ValueError(f"the target {self.target} computes in int8: add int8 (--int8)")
        computes_in_integers = self.int8 and self.activations != "float32"
        if self.bias_correction and not computes_in_integers:
            raise ValueError("bias_correction speaks of integer biases: add int8 (--int8), without float32 activations")
        if self.dense_scales != "per-channel" and not computes_in_integers:
            raise ValueError(
                f"dense_scales = {self.dense_scales} speaks of integer kernels: add int8 (--int8), without float32 "
                "activations"
            )
        if self.layer_errors and not self.int8:
            raise ValueError("layer_errors speaks of int8 files: add int8 (--int8)")
        if self.activations != "int8":
            if not self.int8:
                raise ValueError("activations speaks of int8 files: add int8 (--int8)")
            if self.activations not in self.traits.activations:
                homes = target_registry.names_where(lambda traits: self.activations in traits.activations)
                raise ValueError(
                    f"activations = {self.activations} speaks of the target {target_registry.listed(homes)}, not of "
                    f"{self.target}"
                )
        if self.measure and not self.traits.loaded_by_litert:
            raise ValueError(f"measure runs files in LiteRT, which does not load those of the target {self.target}")
        if self.android_assets is not None and not (self.int8 and self.traits.takes_android_assets):
            homes = target_registry.names_where(lambda traits: traits.takes_android_assets)
            raise ValueError(
                f"android_assets speaks of int8 files for the target {target_registry.listed(homes)}: add int8 (--int8)"
            )
        if self.android_assets is not None and self.io_or_default == "int16":
            raise ValueError("LiteRT's Kotlin API has no int16: add io = float32 (--io float32) to android_assets")
        if self.calibration != "min-max":
            if not self.int8:
                raise ValueError("calibration speaks of int8 files: add int8 (--int8)")
            if self.activations != "int8":
                raise ValueError(f"calibration = {self.calibration} speaks of int8 activations, not {self.activations}")
        if self.io not in (None, "float32", self.activations):
            raise ValueError(f"io = {self.io} does not go with {self.activations} activations: leave it out")
        return self

    @property
    def io_or_default(self) -> Literal["int8", "int16", "float32"]:
        """The type of inputs and outputs of the int8 files."""
        return self.io or self.activations

    def for_demo(self) -> ExportSettings:
        """The settings of a run without a model.

        Raises:
            SettingsError: one speaks of a model.
        """
        of_models = (self.custom_objects, self.builder, self.signature, self.recipe)
        if self.finetune_epochs or any(value is not None for value in of_models):
            raise SettingsError(
                "finetune_epochs, custom_objects, builder, signature and recipe speak of a MODEL, and none was given."
            )
        return self.model_copy(update={"sparsity": DEMO_SPARSITY if self.sparsity is None else self.sparsity})


class FitSettings(Settings):
    """What :func:`tflite_sparse.fit` does.

    Attributes:
        budget: bytes that the file may have, or the same in words (``"100kB"``).
        gate: instead of a budget: the smallest file that loses no more than ``max_accuracy_drop``.
        max_accuracy_drop: the accuracy gate, as a share: dense float32 minus sparse. None: 0.01 with ``gate``, no gate
            with a budget.
        target: the runtime of the file.
        blocks: what may become zero together, outputs x inputs; each kernel gets the one that pays.
        epochs: of training while a plan is pruned to. 0: masks only.
        train_epochs: of a model that is trained here first: the demo network, or what ``builder`` returns.
        batch_size: samples of one step.
        learning_rate: the highest; it falls to zero along a cosine.
        rounds: how many times at most the plan is tightened and trained again where the file came out too large.
        io: type of inputs and outputs of the int8 files.
        recurrent: how recurrent layers are written, as for an export.
        dense_scales: of the kernels of Dense layers, as for an export.
        calibration_samples: how many training samples the quantiser sees.
        metric: how outputs are scored, as for an export. Kernels are chosen by the loss, whatever it is.
        seed: of initialisation, order, dropout and the split.
        resume: go on with an interrupted run.
        out: folder for the files.
        custom_objects: Python file that defines the model's own layers; it is run.
        builder: ``path/to/module.py:function`` that returns the model to train, instead of a model; it is run.
    """

    budget: Bytes | None = None
    gate: bool = False
    max_accuracy_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    target: FittedTarget = DEFAULT_TARGET
    blocks: tuple[str, ...] = ("1x1", "1x4", "1x16")
    epochs: Annotated[int, Field(ge=0)] = 10
    train_epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    rounds: Annotated[int, Field(ge=1)] = 4
    io: Literal["int8", "float32"] | None = None
    recurrent: Recurrent = "auto"
    dense_scales: DenseScales = "per-channel"
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    metric: Metric = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    resume: bool = False
    out: Path = DEFAULT_OUT
    custom_objects: Path | None = None
    builder: str | None = None

    @pydantic.model_validator(mode="after")
    def _one_aim(self) -> FitSettings:
        if self.gate == (self.budget is not None):
            raise ValueError("give a budget (--budget 100kB) or gate (--gate), one of the two")
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise ValueError("blocks: give one or more, each once (--block 1x1,1x16)")
        return self

    @property
    def allowed_drop(self) -> float:
        """The accuracy gate; :data:`ANY_DROP` where there is none."""
        if self.max_accuracy_drop is not None:
            return self.max_accuracy_drop
        return DEFAULT_DROP if self.gate else ANY_DROP


class PruningSettings(Settings):
    """How kernels are pruned while a model trains.

    Attributes:
        sparsity: share of zeros at the end, in [0, 1); may be left out for N:M.
        block: which weights become zero together, outputs x inputs as the file will have them (``"1x16"``), or N:M
            along the inputs (``"2:4"``).
        schedule: ``"polynomial"``, rising along the cubic of Zhu and Gupta (2017); ``"constant"``, all at once.
        initial_sparsity: of the polynomial schedule at ``begin``.
        begin: training step of the first mask. None: after a tenth of the steps.
        end: step of the last mask; they are frozen then. None: after 65 % of the steps.
        frequency: steps between two masks.
        scope: whether the sparsity is that of each kernel (``"layer"``) or of all together (``"global"``).
    """

    sparsity: Sparsity | None = None
    block: str = "1x1"
    schedule: Literal["polynomial", "constant"] = "polynomial"
    initial_sparsity: Sparsity = 0.0
    begin: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=1)] | None = None
    frequency: Annotated[int, Field(ge=1)] = 100
    scope: Literal["layer", "global"] = "layer"


class PruneSettings(PruningSettings):
    """What :func:`tflite_sparse.prune` does.

    Attributes:
        epochs: of training.
        batch_size: samples of one step.
        learning_rate: the highest; it falls to zero along a cosine.
        optimizer: name of an optimizer of Keras.
        recipe: TOML file of rules for single kernels, or the name of a preset.
        allocate: scan how much each kernel loses, and spread the sparsity over the kernels accordingly.
        resume: go on from the checkpoint of an interrupted run.
        seed: of initialisation, order and dropout.
        custom_objects: Python file that defines the model's own layers; it is run.
        builder: as :class:`ExportSettings` has it.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    optimizer: str = "adam"
    recipe: Path | None = None
    allocate: bool = False
    resume: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    custom_objects: Path | None = None
    builder: str | None = None


class SweepSettings(Settings):
    """What :func:`tflite_sparse.sweep` does.

    Attributes:
        sparsity: shares of zeros; 0 makes the small dense models, the others the large sparse ones.
        width: what the builder is called with.
        block: which weights become zero together, outputs x inputs as the file has them.
        seeds: how many times each point is trained.
        grid: every combination (``"full"``); or those alone that the comparison needs (``"families"``): each width
            dense, and the largest at each sparsity.
        scope: whether the sparsity is that of all kernels together (``"global"``), so that small ones keep more, or of
            each (``"layer"``).
        target: the runtime that the files are for.
        recurrent: how recurrent layers are written, as for an export.
        dense_scales: of the kernels of Dense layers, as for an export.
        epochs: of training, the same for every point.
        batch_size: samples of one step.
        learning_rate: the highest; it falls to zero along a cosine.
        calibration_samples: how many training samples the quantiser sees.
        metric: how outputs are scored, as for an export; one whose best is 1, for margins are told in points.
        seed: of the split of the data, and the first of the points; the others follow it.
        jobs: how many points are trained at once. None: as many as cores and free memory allow; with Ray, as the
            cluster has cores.
        ray_address: of a Ray cluster, ``"auto"`` or ``"HOST:PORT"``. None: this machine.
        resume: skip the points that are done in ``out``.
        out: folder for the results.
    """

    sparsity: Annotated[tuple[Sparsity, ...], Field(min_length=1)] = (0.0, 0.5, 0.75, 0.875, 0.9, 0.95)
    width: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.25, 0.5, 0.75, 1.0)
    block: Annotated[tuple[str, ...], Field(min_length=1)] = ("1x1",)
    seeds: Annotated[int, Field(ge=1)] = 3
    grid: Literal["full", "families"] = "full"
    scope: Literal["layer", "global"] = "global"
    target: FittedTarget = DEFAULT_TARGET
    recurrent: Recurrent = "auto"
    dense_scales: DenseScales = "per-channel"
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    metric: Metric = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**30)] = 0
    jobs: Annotated[int, Field(ge=1)] | None = None
    ray_address: str | None = None
    resume: bool = False
    out: Path = DEFAULT_SWEEP_OUT

    @pydantic.model_validator(mode="after")
    def _each_value_once(self) -> SweepSettings:
        for name in ("sparsity", "width", "block"):
            values = getattr(self, name)
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{name}: {twice} is given twice")
        return self

    @pydantic.model_validator(mode="after")
    def _metric_has_points(self) -> SweepSettings:
        if self.metric in ("mse", "psnr"):
            raise ValueError(
                f"metric = {self.metric}: a sweep tells margins in points of a score whose best is 1: leave it out (r2 "
                "of numbers), or give a function of your own"
            )
        return self


def _in_words(detail: Any) -> str:
    message = str(detail["msg"])
    own = message.removeprefix("Value error, ")
    if not detail["loc"]:
        return own
    return f"{'.'.join(map(str, detail['loc']))} = {detail['input']!r}: {message.lower() if own == message else own}"
