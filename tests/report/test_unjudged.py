"""Test how the file that others are compared with is named, and a gate that is not judged."""

from pathlib import Path

import pytest

from helpers.example_reports import make, undelivered
from tflite_sparse.report.page import export as page
from tflite_sparse.report.text import accuracy as accuracy_words
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import markdown, next_steps
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.dead_channels import BeforeAfter, Channels, DeadChannels
from tflite_sparse.results.export import Accuracy, Gates, Paired
from tflite_sparse.results.wrong import WrongSample

PRUNED = Baseline(model="p99.keras", origin="model", sparsity=0.99, is_unpruned=False, reason="it was pruned before")
HALF = BeforeAfter(before=5000, after=2500)
GONE = Channels(
    dead=DeadChannels(layers=[], multiply_adds=HALF, dense_bytes=HALF, is_exact=True), removed=True, file_bytes=HALF
)
UNJUDGED = Gates.of([], ["accuracy: no baseline"])


def pruned_before(**changes):
    models = make().models
    held = models.dense_float32.model_copy(update={"sparsity": 0.976})
    return make(models=models.model_copy(update={"dense_float32": held}), baseline=PRUNED, **changes)


def test_a_pruned_model_is_never_called_dense_float32():
    paired = [Paired(against="dense_float32", difference=0.1, interval=None)]
    accuracy = Accuracy(metric="top1", samples=360, drop=0.0064, max_drop=0.01, paired=paired)
    report = pruned_before(gates=UNJUDGED, accuracy=accuracy)
    assert tables.files(report).rows[0][0] == "float32, pruned before: 97.6 % zeros"
    assert "dense float32" not in "\n".join(tables.verdicts(report))
    for text in (markdown.render(report), page.render(report)):
        assert "float32, pruned before: 97.6 % zeros" in text
        assert "dense float32" not in text


def test_wrong_samples_name_the_float32_file_as_it_is():
    wrong = [WrongSample(output="y", sample=17, right="cat", chosen="dog", dense="cow")]
    accuracy = Accuracy(metric="top1", samples=360, drop=0.0, max_drop=0.01, wrong=wrong)
    shown = page.render(pruned_before(accuracy=accuracy))
    assert "float32 as it was given: cow" in shown
    assert "first those that float32 as it was given gets right" in shown
    assert "dense float32" not in shown
    shown = page.render(make(accuracy=accuracy))
    assert "dense float32: cow" in shown
    assert "first those that dense float32 gets right" in shown


def test_the_cost_of_zeros_that_the_model_came_with_is_unknown():
    told = Accuracy(metric="top1", samples=360, drop=0.01, max_drop=1, drop_by_pruning=0.0, drop_by_int8=0.01)
    before = "the zeros that the model came with cost an unknown amount"
    assert f"Of the change, {before}, int8 0.0100." in tables.verdicts(pruned_before(accuracy=told))
    more = told.model_copy(update={"drop_by_pruning": 0.02, "drop_by_int8": -0.01})
    assert f"Of the change, {before}, pruning costs 0.0200, int8 -0.0100." in tables.verdicts(
        pruned_before(accuracy=more)
    )


def test_a_known_baseline_is_named():
    known = Baseline(model="dense.keras", origin="prune", sparsity=0.0, is_unpruned=True)
    report = make(baseline=known)
    assert "Baseline: dense.keras, the model before pruning (named by the report of prune)." in tables.verdicts(report)
    assert tables.files(report).rows[0][0] == "dense float32"


def test_a_gate_that_is_not_judged_is_a_state_of_its_own():
    assert (UNJUDGED.passed, UNJUDGED.failures) == (False, [])
    assert Gates.of([], []).passed
    both = Gates.of(["size: too large"], ["accuracy: no baseline"])
    assert [tables.state(gates) for gates in (UNJUDGED, both, Gates.of([], []))] == [
        "not judged",
        "FAILED",
        "all gates passed",
    ]
    report = pruned_before(gates=UNJUDGED)
    assert tables.verdicts(report)[-1] == "NOT JUDGED accuracy: no baseline"
    assert markdown.render(report).startswith("# net.keras on digits: not judged\n")
    shown = page.render(report)
    assert '<div class="verdict unjudged">\n<strong>Not judged.</strong>' in shown
    assert '<li class="unjudged">accuracy: no baseline</li>' in shown
    assert "All gates passed" not in shown


def dense_tensors():
    return [each.model_copy(update={"encoded_bytes": each.dense_bytes}) for each in make().tensors]


def test_an_export_in_which_nothing_got_smaller_says_so_first():
    assert next_steps.nothing_smaller(make()) is None
    none = make().pruning.model_copy(update={"after": 0.0})
    report = make(tensors=dense_tensors(), pruning=none)
    first = tables.verdicts(report)[0]
    assert first == "Nothing got smaller: no zeros: see prune, or give `sparsity=0.875`."
    few = next_steps.nothing_smaller(make(tensors=dense_tensors()))
    assert few.startswith("Nothing got smaller: the zeros are too few")
    in_hardware = make(tensors=dense_tensors(), settings={"target": "ethos-u"})
    assert next_steps.nothing_smaller(in_hardware) is None
    assert next_steps.nothing_smaller(undelivered().model_copy(update={"tensors": dense_tensors()})) is None


def make_for(target, **settings):
    return make(settings={**make().settings, "target": target, **settings})


LOST = Gates.of(["accuracy: top1 dropped"], [])


@pytest.mark.parametrize(
    ("report", "command"),
    [
        (make(), "bench out/dense-int8.tflite out/model.tflite"),
        (make_for("ethos-u"), "bench out/dense-int8.tflite out/model.tflite"),
        (
            make_for("c", micro_cpu="cortex-m4"),
            "bench out/dense-int8.tflite out/model.tflite --target c --micro-cpu cortex-m4",
        ),
        (make_for("micro"), "report out --open"),
        (
            make(pruning=make().pruning.model_copy(update={"after": 0.0}), model="my net.keras"),
            "prune 'my net.keras' --data digits --sparsity 0.875 -o pruned.keras",
        ),
        (
            pruned_before(gates=UNJUDGED),
            "export net.keras --data digits --out somewhere --baseline FILE --sparsity 0.875 --int8",
        ),
        (undelivered(), "report out --open"),
        (
            make(pruning=make().pruning.model_copy(update={"after": 0.0}), model="net", model_from="memory"),
            "prune MODEL --data digits --sparsity 0.875 -o pruned.keras",
        ),
        (
            make(pruning=make().pruning.model_copy(update={"after": 0.0}), model="demo CNN", model_from="training"),
            "bench out/dense-int8.tflite out/model.tflite",
        ),
    ],
)
def test_the_last_lines_name_the_page_and_the_next_command(report, command):
    assert next_steps.lines(report, Path("out")) == ["Report: out/report.html", f"Next: tflite-sparse {command}"]


UNPRUNED = make().pruning.model_copy(update={"after": 0.0})
AGREEMENT = make().accuracy.model_copy(update={"metric": "top1_agreement_with_dense_float32"})


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        (
            {"settings": {"custom_objects": "my layers.py", "pixels": "0..1", "seed": 3, "int8": True}},
            "net.keras --data digits --sparsity 0.875 --custom-objects 'my layers.py' --pixels 0..1 --seed 3",
        ),
        (
            {"settings": {"builder": "net.py:build"}},
            "net.keras --data digits --sparsity 0.875 --builder net.py:build",
        ),
        ({"settings": {"recipe": "float.toml"}}, "net.keras --data digits --sparsity 0.875 --recipe float.toml"),
        ({"data": None, "accuracy": None}, "net.keras --data LABELLED.npz --sparsity 0.875"),
        ({"accuracy": AGREEMENT}, "net.keras --data LABELLED.npz --sparsity 0.875"),
        (
            {"pruning": UNPRUNED.model_copy(update={"has_layers": False}), "model": "saved"},
            "MODEL.keras --data digits --sparsity 0.875",
        ),
        (
            {"data": "gen.py:make (the first 20,000 samples)"},
            "net.keras --data gen.py:make --sparsity 0.875",
        ),
    ],
)  # fmt: skip
def test_prune_gets_what_says_how_model_and_data_are_read(changes, command):
    report = make(**{"pruning": UNPRUNED, **changes})
    assert next_steps.lines(report, Path("out"))[-1] == f"Next: tflite-sparse prune {command} -o pruned.keras"


@pytest.mark.parametrize(("model", "origin"), [("net.keras", "file"), ("net.h5", "file"), ("net", "memory")])
def test_prune_is_not_proposed_for_a_subclassed_model(model, origin):
    report = make(pruning=UNPRUNED.model_copy(update={"has_layers": False}), model=model, model_from=origin)
    assert next_steps.lines(report, Path("out"))[-1].startswith("Next: tflite-sparse bench ")


def test_the_sparsity_of_a_recipe_is_left_to_it():
    lost = Accuracy(metric="top1", samples=360, drop=0.1, max_drop=0.01, drop_by_pruning=0.08, drop_by_int8=0.02)
    report = make(accuracy=lost, gates=LOST, settings={"recipe": "mine.toml"})
    expected = "Next: tflite-sparse prune net.keras --data digits --recipe mine.toml -o pruned.keras"
    assert next_steps.lines(report, Path("out"))[-1] == expected


@pytest.mark.parametrize(("by_pruning", "command"), [(0.08, "prune net.keras"), (0.01, "report out --open")])
def test_a_loss_by_pruning_is_followed_by_prune(by_pruning, command):
    lost = Accuracy(
        metric="top1", samples=360, drop=0.1, max_drop=0.01, drop_by_pruning=by_pruning, drop_by_int8=0.1 - by_pruning
    )
    last = next_steps.lines(make(accuracy=lost, gates=LOST), Path("out"))[-1]
    assert last.startswith(f"Next: tflite-sparse {command}")


@pytest.mark.parametrize(
    ("zeros", "channels", "aim"),
    [
        (0.99, None, "--sparsity 0.875"),
        (0.875, None, "--sparsity 0.75"),
        (0.5, None, "--sparsity 0.25"),
        (0.5, GONE, "--sparsity 0.25 --block channel"),
    ],
)
def test_a_model_that_lost_too_much_when_it_was_pruned_is_pruned_less(zeros, channels, aim):
    lost = Accuracy(metric="top1", samples=360, drop=0.1, max_drop=0.01, drop_by_pruning=0.1, drop_by_int8=0.0)
    known = Baseline(model="dense.keras", origin="prune", sparsity=0.0, is_unpruned=True)
    pruning = make().pruning.model_copy(update={"before": zeros, "after": zeros})
    report = make(
        accuracy=lost, gates=LOST, settings={"int8": True}, pruning=pruning, baseline=known, channels=channels
    )
    expected = f"Next: tflite-sparse prune dense.keras --data digits {aim} -o pruned.keras"
    assert next_steps.lines(report, Path("out"))[-1] == expected


@pytest.mark.parametrize(("before", "options"), [("dense.keras", ""), ("dense.weights.h5", " --builder net.py:build")])
def test_the_builder_of_the_weights_before_pruning(before, options):
    lost = Accuracy(metric="top1", samples=360, drop=0.1, max_drop=0.01, drop_by_pruning=0.1, drop_by_int8=0.0)
    known = Baseline(model=before, origin="option", sparsity=0.0, is_unpruned=True)
    report = make(accuracy=lost, gates=LOST, settings={"builder": "net.py:build", "sparsity": 0.5}, baseline=known)
    expected = f"Next: tflite-sparse prune {before} --data digits --sparsity 0.5{options} -o pruned.keras"
    assert next_steps.lines(report, Path("out"))[-1] == expected


@pytest.mark.parametrize(
    ("lost", "gained", "p_value", "words"),
    [
        (4, 2, 0.69, "172 samples cannot tell this from chance (p = 0.69; 4 samples lost, 2 gained): test on more."),
        (30, 2, 1e-6, ""),
        (0, 0, 1.0, ""),
    ],
)
def test_a_drop_within_chance_is_told(lost, gained, p_value, words):
    paired = Paired(
        against="dense_float32", difference=-0.012, interval=None, lost=lost, gained=gained, p_value=p_value
    )
    assert accuracy_words.chance(Accuracy(metric="top1", samples=172, drop=0.0116, max_drop=0.01, paired=[paired])) == (
        words
    )
