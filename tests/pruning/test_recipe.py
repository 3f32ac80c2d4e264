"""Test which rule applies to which kernel, and that every mistake is reported in one or two lines."""

import itertools
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import recipe_file, recipe_planner
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.plan import Span
from tflite_sparse.pruning.schedule import ConstantSchedule, PolynomialSchedule
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources import keras_model
from tflite_sparse.sources.source_model import Kernel

SPAN = Span(1000, 100)


def kernel(name, owner, *shape):
    return Kernel(name, owner, shape, lambda: np.ones(shape, np.float32), lambda values: None)


STEM = kernel("net/stem/kernel", "Conv2D", 3, 3, 3, 16)
DEPTHWISE = kernel("net/block_1/dw/depthwise_kernel", "DepthwiseConv2D", 3, 3, 512, 1)
POINTWISE = kernel("net/block_1/pw/kernel", "Conv2D", 1, 1, 64, 64)
CELL = kernel("net/lstm/lstm_cell/kernel", "LSTMCell", 32, 256)
RECURRENT = kernel("net/lstm/lstm_cell/recurrent_kernel", "LSTMCell", 64, 256)
GRU_BIAS = kernel("net/gru/gru_cell/bias", "GRUCell", 2, 3000)
SLOPES = kernel("net/prelu/alpha", "PReLU", 64, 64)
DENSE = kernel("net/dense/kernel", "Dense", 1024, 100)
NARROW = kernel("net/narrow/kernel", "Dense", 8, 512)
SMALL = kernel("net/classes/kernel", "Dense", 100, 10)
KERNELS = [STEM, DEPTHWISE, POINTWISE, CELL, RECURRENT, GRU_BIAS, SLOPES, DENSE, NARROW, SMALL]
USUAL = [POINTWISE, CELL, RECURRENT, DENSE, NARROW]


@pytest.fixture
def write(tmp_path):
    def run(text, head="version = 1\n[defaults]\nsparsity = 0.8\n"):
        path = tmp_path / "recipe.toml"
        path.write_text(head + text, encoding="utf-8")
        return path

    return run


@pytest.fixture
def plan(write):
    def run(text, kernels=KERNELS, head="version = 1\n[defaults]\nsparsity = 0.8\n", **settings):
        planner = recipe_planner.planner(recipe_file.read(write(text, head)), PruningSettings(**settings))
        return {each.kernel.name: each for each in planner(kernels, SPAN).kernels}

    return run


def finals(plan):
    return {name: each.schedule.final for name, each in plan.items()}


def names(kernels):
    return {each.name for each in kernels}


def test_without_rules_the_usual_kernels_alike(plan):
    assert finals(plan("")) == dict.fromkeys(names(USUAL), 0.8)


@pytest.mark.parametrize(
    ("where", "matched"),
    [
        ('layers = "dense"', [DENSE]),
        ('layers = "net/dense/kernel"', [DENSE]),
        ('layers = "dense/kernel"', [DENSE]),
        ('layers = "d.*e"', [DENSE]),
        ('layers = "lstm"', [CELL, RECURRENT]),
        ('layers = "recurrent_kernel"', [RECURRENT]),
        ('layers = "block_\\\\d"', [POINTWISE]),
        ('layers = "net"', USUAL),
        ('types = ["Dense"]', [DENSE, NARROW]),
        ('types = ["LSTM"]', [CELL, RECURRENT]),
        ('types = ["LSTMCell", "Conv2D"]', [CELL, RECURRENT, POINTWISE]),
        ('layers = ".*a.*"\ntypes = ["Dense"]', [NARROW]),
    ],
)
def test_kernels_that_a_rule_matches(plan, where, matched):
    found = finals(plan(f"[[rule]]\n{where}\nsparsity = 0.5"))
    assert {name for name, final in found.items() if final == 0.5} == names(matched)
    assert found.keys() == names(USUAL)


def test_a_repeated_name_matches_with_and_without_its_number(plan):
    twins = [kernel("a/d/kernel", "Dense", 64, 64), kernel("a/d/kernel (2)", "Dense", 64, 64)]
    assert set(finals(plan('[[rule]]\nlayers = "d"\nsparsity = 0.5', twins)).values()) == {0.5}
    only_one = finals(plan('[[rule]]\nlayers = ".*[(]2[)]"\nsparsity = 0.5', twins))
    assert only_one == {"a/d/kernel": 0.8, "a/d/kernel (2)": 0.5}


def test_later_rules_win_field_by_field(plan):
    found = plan(
        """
        [[rule]]
        types = ["Dense"]
        sparsity = 0.9
        block = "1x4"
        schedule = { kind = "constant", begin = 10, end = 500 }
        [[rule]]
        layers = "dense"
        sparsity = 0.95
        schedule = { end = 600, frequency = 7 }
        """
    )
    assert found[NARROW.name].schedule == ConstantSchedule(0.9, 10, 500, 100)
    assert found[DENSE.name].schedule == ConstantSchedule(0.95, 10, 600, 7)
    assert str(found[DENSE.name].structure) == str(found[NARROW.name].structure) == "1x4"
    assert found[CELL.name].schedule == PolynomialSchedule(0.0, 0.8, 100, 650, 100)


def test_schedule_as_keys_or_as_a_table(plan):
    head = "version = 1\n[defaults]\nsparsity = 0.8\n"
    as_table = plan("schedule = { kind = 'polynomial', begin = 20, end = 90, initial_sparsity = 0.2 }", head=head)
    flat = plan("schedule = 'polynomial'\nbegin = 20\nend = 90\ninitial_sparsity = 0.2", head=head)
    expected = PolynomialSchedule(0.2, 0.8, 20, 90, 70)
    assert {each.schedule for each in [*as_table.values(), *flat.values()]} == {expected}
    assert plan('[[rule]]\nlayers="dense"\nschedule="constant"')[DENSE.name].schedule.sparsity_at(100) == 0.8


def test_skip_leaves_out_and_includes(plan):
    rules = '[[rule]]\nlayers = ".*"\nskip = true\n[[rule]]\nlayers = "stem|classes|dw|dense"\nskip = false\n'
    assert plan(rules).keys() == names([STEM, DEPTHWISE, DENSE, SMALL])
    again = '[[rule]]\nlayers = "dw"\nskip = true'
    assert plan(rules + again).keys() == names([STEM, DENSE, SMALL])


def test_what_one_rule_includes_another_may_change(plan):
    found = plan('[[rule]]\nlayers = "stem"\nskip = false\n[[rule]]\nlayers = "stem"\nsparsity = 0.4')
    assert found[STEM.name].schedule.final == 0.4


def test_no_rule_matches_biases_and_slopes(plan):
    found = plan('[[rule]]\nlayers = ".*"\nskip = false')
    assert found.keys() == names(KERNELS) - names([GRU_BIAS, SLOPES])


def test_settings_override_defaults_but_not_rules(plan):
    rule = '[[rule]]\nlayers = "dense"\nsparsity = 0.5\n'
    head = 'version = 1\n[defaults]\nsparsity = 0.8\nblock = "1x4"\nbegin = 30\n'
    found = plan(rule, head=head, sparsity=0.7, begin=None)
    assert found[DENSE.name].schedule.final == 0.5
    assert found[CELL.name].schedule == PolynomialSchedule(0.0, 0.7, 30, 650, 100)
    assert str(found[CELL.name].structure) == "1x4"


def test_n_of_m_replaces_an_earlier_sparsity(plan):
    found = plan('[[rule]]\nlayers = "dense"\nblock = "2:4"')
    assert found[DENSE.name].schedule.final == 0.5
    assert found[CELL.name].schedule.final == 0.8


def test_global_ranking_with_blocks(plan, write):
    head = 'version = 1\n[defaults]\nsparsity = 0.8\nscope = "global"\n'
    path = write('[[rule]]\nlayers = "dense"\nblock = "1x16"\n[[rule]]\nlayers = "lstm"\nskip = true', head)
    found = recipe_planner.planner(recipe_file.read(path), PruningSettings())(KERNELS, SPAN)
    assert found.scope == "global"
    assert {each.kernel.name for each in found.kernels} == names([POINTWISE, DENSE, NARROW])
    assert {str(each.structure) for each in found.kernels} == {"1x1", "1x16"}


def test_a_target_is_the_base_of_a_recipe(plan):
    rule = '[[rule]]\nlayers = "dense"\nsparsity = 0.95'
    found = plan(rule, head='version = 1\ntarget = "native"\n')
    assert str(found[DENSE.name].structure) == "1x16"
    assert found[DENSE.name].schedule.final == 0.95
    assert found[POINTWISE.name].schedule.final == 0.875


@pytest.mark.parametrize("name", recipe_file.TARGETS)
def test_presets(name):
    found = recipe_planner.planner(recipe_file.preset(name), PruningSettings())(KERNELS, SPAN)
    blocks = {each.kernel.name: str(each.structure) for each in found.kernels}
    expected = dict.fromkeys(names(USUAL), "1x1")
    if name == "native":
        expected[DENSE.name] = "1x16"  # NARROW has 8 inputs: the preset ignores it
    assert blocks == expected
    assert {each.schedule.final for each in found.kernels} == {0.875}
    without_dense = recipe_planner.planner(recipe_file.preset(name), PruningSettings(sparsity=0.5))(
        [CELL, RECURRENT], SPAN
    )
    assert [each.schedule.final for each in without_dense.kernels] == [0.5, 0.5]


def test_a_preset_or_a_file_is_found(write, monkeypatch, tmp_path):
    assert recipe_file.find(Path("native")) == recipe_file.preset("native")
    path = write("")
    assert recipe_file.find(path) == recipe_file.read(path)
    monkeypatch.chdir(tmp_path)
    Path("micro").write_text("version = 1\n[defaults]\nsparsity = 0.1\n")
    assert recipe_file.find(tmp_path / "micro").defaults == {"sparsity": 0.1}
    with pytest.raises(SettingsError, match=r"mikro: no such file.*litert, micro, ethos-u, native"):
        recipe_file.find(Path("mikro"))
    with pytest.raises(SettingsError, match="there is no preset 'mikro'"):
        recipe_file.preset("mikro")


RULE = '[[rule]]\nlayers = "dense"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule", "recipe.toml is no TOML file: "),
        ("sparsty = 0.9", r"recipe.toml, \[defaults\]: unknown key 'sparsty'; did you mean sparsity\?"),
        ("[extra]", "recipe.toml: unknown key 'extra'; there are version, target, defaults, rule"),
        ("[rule]\nskip = true", r"rule is one table: begin each rule with \[\[rule\]\]"),
        (RULE + "layer = 'a'", "recipe.toml, rule 1: unknown key 'layer'; did you mean layers"),
        (RULE + "scope = 'global'", "rule 1: unknown key 'scope'"),
        (RULE + "begin = 3", "rule 1: unknown key 'begin'"),
        (RULE + "self = 3", "rule 1: unknown key 'self'"),
        (RULE + "sparsity = 1.0", "rule 1: sparsity = 1.0: input should be less than 1"),
        (RULE + "sparsity = -0.1", "rule 1: sparsity = -0.1: input should be greater"),
        (RULE + "sparsity = nan", "rule 1: sparsity = nan"),
        (RULE + "sparsity = '0.9'", "rule 1: sparsity = '0.9': input should be a valid number"),
        (RULE + "sparsity = true", "rule 1: sparsity = True"),
        (RULE + "skip = 1", "rule 1: skip = 1: input should be a valid boolean"),
        (RULE + "skip = true\ntypes = 'Dense'", "rule 1: types = 'Dense': input should be a valid list"),
        (RULE + "skip = true\ntypes = [3]", "rule 1: types.0 = 3: input should be a valid string"),
        (RULE + "block = 16", "rule 1: block = 16"),
        (RULE + "block = '1by4'", "rule 1: block = '1by4': expected outputs x inputs"),
        (RULE + "block = '4:2'", "rule 1: 4:2: as many as are kept"),
        (RULE + "block = '0x4'", "rule 1: block 0x4"),
        (RULE + "schedule = 'cubic'", "rule 1: schedule = 'cubic': input should be 'polynomial' or 'constant'"),
        (RULE + "schedule = { start = 3 }", "rule 1, schedule: unknown key 'start'; there are kind, begin"),
        (RULE + "schedule = { begin = 1.5 }", "rule 1: begin = 1.5"),
        (RULE + "schedule = { initial_sparsity = 2 }", "rule 1: initial_sparsity = 2"),
        ("schedule = { begin = 3 }\nbegin = 4", r"\[defaults\]: begin is given twice"),
        (RULE + "skip = true\nsparsity = 0.5", "rule 1: skip = true leaves kernels alone: remove sparsity"),
        (RULE + "shared_values = 1", "rule 1: shared_values = 1: it takes all or a whole number from 2 to 127"),
        (RULE + "shared_values = '16'", "rule 1: shared_values = '16': it takes all or a whole number from 2 to 127"),
        (RULE, "rule 1 sets nothing: give it sparsity, block, channel_multiple, schedule, skip"),
        ("[[rule]]\nsparsity = 0.5", r"rule 1 has neither layers nor types: .* belongs in \[defaults\]"),
        ("[[rule]]\nlayers = '('\nskip = true", "rule 1: layers = '[(]' is no regular expression"),
        (RULE + "skip = true\n[[rule]]\nlayers = 3\nskip = true", "recipe.toml, rule 2: layers = 3"),
    ],
)
def test_invalid_rules(write, text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        recipe_file.read(write(text))
    assert str(caught.value).count("\n") <= 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", "version = None: a recipe begins with version = 1"),
        ("version = 2", "version = 2"),
        ("version = true", "version = True"),
        ("version = 1\ndefaults = 3", r"\[defaults\] is no table"),
        ("version = 1\nrule = [3]", "rule 1 is no table"),
        ("version = 1\ntarget = 'gpu'", "target = 'gpu': there are litert, micro, ethos-u, native"),
        ("version = 1\ntarget = ['gpu']", r"target = \['gpu'\]"),
        ("a = " + "[" * 3000, "is no TOML file"),
    ],
)
def test_invalid_heads(write, head, message):
    with pytest.raises(SettingsError, match=message):
        recipe_file.read(write("", head))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.toml: No such file"):
        recipe_file.read(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="Is a directory"):
        recipe_file.read(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"version = 1 # \xff\n")
    with pytest.raises(SettingsError, match=r"bytes\.toml is no TOML file: 'utf-8' codec"):
        recipe_file.read(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RULE + "skip = true\n[[rule]]\nlayers = 'blok_1'\nsparsity = 0.9",
            "recipe.toml, rule 2: layers = 'blok_1' matches no kernel; there are net/block_1/",
        ),
        (
            "[[rule]]\nlayers = 'zzzz'\nskip = true",
            "layers = 'zzzz' matches no kernel; there are net/stem/kernel, .* more",
        ),
        ("[[rule]]\nlayers = 'den'\nskip = true", "layers = 'den' matches no kernel; there are net/dense/kernel"),
        ("[[rule]]\ntypes = ['dense']\nskip = true", r"types = \['dense'\] match no kernel; there are Conv2D, Dense, "),
        (
            "[[rule]]\ntypes = ['Conv2D']\nlayers = 'dense'\nskip = true",
            "layers = 'dense' matches no kernel of type Conv2D; there are ",
        ),
        (
            "[[rule]]\nlayers = 'stem|classes'\nsparsity = 0.9",
            r"rule 1 applies only to kernels that are left dense by default \(net/stem/kernel, net/classes/kernel\): "
            "add skip",
        ),
        ("[[rule]]\nlayers = '.*'\nskip = true", "recipe.toml: nothing to prune; its rules skip every kernel"),
        (
            "[[rule]]\ntypes = ['Dense']\nblock = '1x16'",
            "recipe.toml, rule 1: block = 1x16: net/narrow/kernel has only 512 outputs and 8 inputs",
        ),
        (
            RULE + "block = '2:4'\nsparsity = 0.9",
            r"recipe.toml, rule 1: sparsity = 0.9: 2:4 makes 0.5. .* \(for net/dense/kernel\)",
        ),
        (
            RULE + "block = '2:4'\n[[rule]]\ntypes = ['Dense']\nsparsity = 0.9",
            "recipe.toml, rule 1, rule 2: sparsity = 0.9: 2:4 makes 0.5",
        ),
        (RULE + "schedule = { begin = 700 }", r"rule 1: pruning from step 700 to step 650.*\(for net/dense/kernel\)"),
        (RULE + "schedule = { end = 5000 }", "rule 1: end = 5000: the training has only 1000 steps"),
        ("begin = 700", r"recipe.toml: pruning from step 700 to step 650.*\(for "),
        (
            "scope = 'global'\n" + RULE + "sparsity = 0.9",
            "rule 1: under scope = 'global' a rule may set a block or skip",
        ),
        ("scope = 'global'\n" + RULE + "block = '2:4'", "rule 1: under scope = 'global'"),
    ],
)
def test_what_does_not_fit_the_model(plan, text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        plan(text)
    assert str(caught.value).count("\n") <= 1


def test_no_sparsity_at_all(plan):
    with pytest.raises(SettingsError, match=r"recipe.toml: no sparsity was given.*\(for net/block_1/pw/kernel\)"):
        plan("", head="version = 1\n")


def test_the_last_rule_with_shared_values_counts(write):
    path = write(
        """
        [[rule]]
        layers = ".*"
        shared_values = 16
        [[rule]]
        types = ["Dense"]
        shared_values = "all"
        [[rule]]
        layers = "classes"
        skip = true
        shared_values = 4
        [[rule]]
        layers = "stem"
        sparsity = 0.5
        skip = false
        """
    )
    recipe = recipe_file.read(path)
    assert recipe.shares_values
    found = recipe_planner.shared_values(recipe, KERNELS)
    assert found == {
        **{each.name: 16 for each in (STEM, DEPTHWISE, POINTWISE, CELL, RECURRENT)},
        **{each.name: "all" for each in (DENSE, NARROW)},
        SMALL.name: 4,
    }
    missing = recipe_file.read(write('[[rule]]\nlayers = "clases"\nshared_values = 4'))
    with pytest.raises(SettingsError, match="rule 1: layers = 'clases' matches no kernel; there are net/classes"):
        recipe_planner.shared_values(missing, KERNELS)


def test_a_model_is_pruned_by_a_recipe(keras, write):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((24, 24, 1)),
            layers.Conv2D(8, 3, name="stem"),
            layers.Conv2D(32, 3, name="features"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(96, name="hidden"),
            layers.Dense(10, name="classes"),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    path = write(
        """
        [[rule]]
        layers = "hidden"
        block = "1x16"
        sparsity = 0.75
        [[rule]]
        types = ["Conv2D"]
        schedule = { kind = "constant", begin = 2, end = 5, frequency = 1 }
        [[rule]]
        layers = "classes"
        skip = false
        sparsity = 0.5
        """
    )
    planner = recipe_planner.planner(recipe_file.read(path), PruningSettings())
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(64, 24, 24, 1)).astype(np.float32), generator.integers(0, 10, 64)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[MagnitudePruning(planner=planner, warn=lambda words: None)])
    zeros = {each.name.split("/")[-2]: each.read() == 0 for each in keras_model.from_memory(model).kernels()}
    shares = {name: float(mask.mean()) for name, mask in zeros.items()}
    assert shares == pytest.approx({"stem": 0, "features": 0.8, "hidden": 0.75, "classes": 0.5}, abs=1e-3)
    blocks = zeros["hidden"].reshape(2, 16, 96)
    assert np.all(blocks.all(1) == blocks.any(1))


def test_the_examples_of_the_document_are_recipes(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(version = .*?)```", text, re.DOTALL)
    assert len(examples) == 5
    mentioned = set()
    for number, example in enumerate(examples):
        (tmp_path / f"{number}.toml").write_text(example, encoding="utf-8")
        found = recipe_file.read(tmp_path / f"{number}.toml")
        mentioned |= set(itertools.chain.from_iterable(rule.changes for rule in found.rules)) | set(found.defaults)
    assert len(recipe_file.read(tmp_path / "0.toml").rules) >= 4
    assert mentioned == set(PruningSettings.model_fields) - {"scope"}


def test_presets_are_in_the_wheel(tmp_path):
    builder = WheelBuilder(str(Path(__file__).parents[2]))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {f"tflite_sparse/pruning/presets/{name}.toml" for name in recipe_file.PRESETS} <= packed
