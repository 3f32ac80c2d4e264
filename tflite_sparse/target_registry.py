"""The targets: what holds for each before a file is made, and which module makes it.

A target has one entry in :data:`TARGETS`. Settings, stages and the command line read these facts; what a target does is
its backend (:mod:`tflite_sparse.backends.protocol`), which is loaded when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file that a target writes beside the ``.tflite`` file.

    Attributes:
        ending: what follows the stem of the ``.tflite`` file: ``".h"``, ``"_vela.tflite"``, ``"_c/model.c"``.
        option: the setting that asks for it. None: it is always written.
        value: of that setting which asks for it. None: any that is true.
        has_stem: whether its name begins with that stem; else ``ending`` is all of its name.
        named_by: the setting that its name begins with in place of that stem.
    """

    ending: str
    option: str | None = None
    value: str | None = None
    has_stem: bool = True
    named_by: str | None = None

    def name(self, stem: str, settings: Mapping[str, object]) -> str:
        """Its name beside a ``.tflite`` file of this stem."""
        if self.named_by is not None:
            stem = str(settings.get(self.named_by, stem))
        return (stem if self.has_stem else "") + self.ending

    def is_asked_for(self, settings: Mapping[str, object]) -> bool:
        """Whether settings, by their names, ask for it."""
        if self.option is None:
            return True
        found = settings.get(self.option)
        return bool(found) if self.value is None else found == self.value


@dataclass(frozen=True, slots=True)
class Traits:
    """What holds for a target.

    Attributes:
        module: the module whose ``BACKEND`` is the target's backend.
        runtime: the runtime's name, for reports.
        help: what a file for it is, for help texts. Empty: its name says it.
        options: the settings that apply to this target and to no other one that does not list them.
        activations: the types of activations that its int8 files may have.
        extra_files: the files that it writes beside the ``.tflite`` file.
        languages: in which there is code that calls its files, as far as the runtime takes their types.
        needs_int8: an export must quantise.
        plans_memory_ahead: memory is laid out from the shapes in the file, before anything runs, so they must be fixed.
        runs_here: ``verify`` and ``inspect`` can run its files in its runtime.
        loaded_by_litert: LiteRT loads its files as well, so that ``measure`` can time them.
        can_be_fitted: ``fit`` and ``sweep`` can make files for it.
        keeps_layers_float: a recipe may keep layers of an int8 file in float32.
        stores_tables: constants of few distinct values are stored as indices into a table.
        has_preset: there is a recipe of its name.
        takes_android_assets: its files can be bundled with an Android app.
        tries_alternatives: other int8 files are tried, in LiteRT, where the accuracy gate fails.
        leaves_weights_dense: nothing is stored sparse in its file, whatever zeros there are.
        computes_in_flash: its kernels are always those that read pruned weights as they lie in flash.
        counts_instructions: ``bench`` counts instructions of its files, by operator.
        writes_folder: ``encode`` is given a folder, in which it writes a ``.tflite`` file and those beside it.
        compares_int8_baseline: its report compares the file with the int8 file of the model before pruning.
    """

    module: str
    runtime: str
    help: str = ""
    options: frozenset[str] = frozenset()
    activations: tuple[str, ...] = ("int8",)
    extra_files: tuple[ExtraFile, ...] = ()
    languages: tuple[str, ...] = ()
    needs_int8: bool = False
    plans_memory_ahead: bool = True
    runs_here: bool = False
    loaded_by_litert: bool = False
    can_be_fitted: bool = False
    keeps_layers_float: bool = False
    stores_tables: bool = False
    has_preset: bool = False
    takes_android_assets: bool = False
    tries_alternatives: bool = False
    leaves_weights_dense: bool = False
    computes_in_flash: bool = False
    counts_instructions: bool = False
    writes_folder: bool = False
    compares_int8_baseline: bool = False


MICRO_FOLDER = "micro"
MICRO_SOURCES = ("tflite_sparse_kernels.h", "tflite_sparse_kernels.c", "tflite_sparse_ops.h", "tflite_sparse_ops.cc")
"""Files of the sparse kernels, as they lie in ``micro_kernels/``."""
MICRO_MADE = ("model_data.h", "model_data.cc", "app.cc")
"""Files beside them that are made for a model: it as an array, and the lines of an app."""
C_KERNELS = (
    "tflite_sparse_kernels.c",
    "tflite_sparse_kernels.h",
    "tfls_conv.c",
    "tfls_conv_3x3x1.c",
    "tfls_conv_helium.h",
    "tfls_conv_max_pool.c",
    "tfls_data.c",
    "tfls_depthwise.c",
    "tfls_depthwise_helium.h",
    "tfls_dot.h",
    "tfls_elementwise.c",
    "tfls_fixed_point.h",
    "tfls_four_pixels.h",
    "tfls_fully_connected.c",
    "tfls_helium.h",
    "tfls_operators.h",
    "tfls_paired.h",
    "tfls_pool.c",
    "tfls_pool_rows.h",
    "tfls_quantize.c",
    "tfls_run_max_pool.c",
    "tfls_run_max_pool.h",
    "tfls_softmax.c",
    "tfls_table.c",
    "tfls_transpose_conv.c",
)
"""Files of the kernels of generated C; a model gets those that it needs."""

TARGETS: dict[str, Traits] = {
    "litert": Traits(
        module="tflite_sparse.backends.litert",
        runtime="LiteRT",
        options=frozenset({"optimize", "input_shapes", "unverified", "threads", "tolerance", "max_latency"}),
        activations=("int8", "int16", "float32"),
        languages=("python", "kotlin", "c++"),
        plans_memory_ahead=False,  # LiteRT resizes tensors while it runs
        runs_here=True,
        loaded_by_litert=True,
        can_be_fitted=True,
        keeps_layers_float=True,
        has_preset=True,
        takes_android_assets=True,
        tries_alternatives=True,
    ),
    "micro": Traits(
        module="tflite_sparse.backends.micro",
        runtime="TensorFlow Lite Micro",
        help="TensorFlow Lite Micro",
        options=frozenset(
            {"optimize", "micro_kernels", "micro_cpu", "micro_codec", "micro_min_saving", "c_array", "max_arena"}
        ),
        extra_files=(
            ExtraFile(".h", "c_array"),
            ExtraFile(".cc", "c_array"),
            ExtraFile("app.cc", "c_array", has_stem=False),
            *(
                ExtraFile(f"{MICRO_FOLDER}/{name}", "micro_kernels", "sparse", has_stem=False)
                for name in (*MICRO_SOURCES, *MICRO_MADE)
            ),
        ),
        languages=("python", "c++"),
        runs_here=True,
        can_be_fitted=True,
        keeps_layers_float=True,
        stores_tables=True,
        has_preset=True,
    ),
    "c": Traits(
        module="tflite_sparse.backends.standalone_c",
        runtime="C99",
        help="the whole int8 model as C99 for microcontrollers, without an interpreter",
        options=frozenset({"optimize", "micro_cpu", "name"}),
        extra_files=(
            ExtraFile(".h", named_by="name"),
            ExtraFile(".c", named_by="name"),
            ExtraFile("CMakeLists.txt", has_stem=False),
            *(ExtraFile(name, has_stem=False) for name in C_KERNELS),
        ),
        languages=("c",),
        needs_int8=True,
        runs_here=True,
        computes_in_flash=True,
        counts_instructions=True,
        writes_folder=True,
    ),
    "ethos-u": Traits(
        module="tflite_sparse.backends.ethos_u",
        runtime="Arm Ethos-U",
        help="the dense file, and OUT_vela.tflite beside it, compiled by Vela",
        options=frozenset({"accelerator_config"}),
        extra_files=(ExtraFile("_vela.tflite"),),
        languages=("python",),
        needs_int8=True,
        loaded_by_litert=True,  # the file that Vela compiles, not what it yields
        has_preset=True,
        leaves_weights_dense=True,  # the hardware decodes them
        compares_int8_baseline=True,
    ),
}

DEFAULT_TARGET = next(iter(TARGETS))


def names_where(holds: Callable[[Traits], bool]) -> tuple[str, ...]:
    """The names of the targets for which something holds, in the order of the registry."""
    return tuple(name for name, traits in TARGETS.items() if holds(traits))


def homes_of(option: str) -> tuple[str, ...]:
    """The names of the targets that a setting is for; none: it is for all."""
    return names_where(lambda traits: option in traits.options)


if TYPE_CHECKING:
    Target: TypeAlias = str
    FittedTarget: TypeAlias = str
    RunnableTarget: TypeAlias = str
    BenchedTarget: TypeAlias = str
else:  # the choices of settings and of the command line
    Target = Literal[tuple(TARGETS)]
    FittedTarget = Literal[names_where(lambda traits: traits.can_be_fitted)]
    RunnableTarget = Literal[names_where(lambda traits: traits.runs_here)]
    BenchedTarget = Literal[
        names_where(lambda traits: traits.runs_here and (traits.loaded_by_litert or traits.counts_instructions))
    ]


def listed(names: tuple[str, ...]) -> str:
    """Names of targets in a sentence: ``litert``, ``litert or micro``."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def help_of(names: Iterable[str]) -> str:
    """What help texts say of targets, one sentence each."""
    return " ".join(f"{name}: {TARGETS[name].help}." for name in names if TARGETS[name].help)


def extra_files(target: str, stem: str, settings: Mapping[str, object]) -> tuple[str, ...]:
    """The names of the files that a target writes beside its ``.tflite`` file; none for a target that is not known.

    Args:
        target: its name.
        stem: the name of the ``.tflite`` file without its ending.
        settings: by their names, as a report holds them.
    """
    extras = TARGETS[target].extra_files if target in TARGETS else ()
    return tuple(each.name(stem, settings) for each in extras if each.is_asked_for(settings))


def possible_extra_files(stem: str) -> tuple[str, ...]:
    """The names of all files that any target may write beside a ``.tflite`` file."""
    return tuple(dict.fromkeys(each.name(stem, {}) for traits in TARGETS.values() for each in traits.extra_files))
