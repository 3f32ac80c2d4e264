"""Test the words on inputs and outputs, and the names of layers in tables."""

import pytest

from helpers.example_reports import make
from tflite_sparse.errors import ExecutionError
from tflite_sparse.report.text import contract as contract_words
from tflite_sparse.report.text import markdown, weights
from tflite_sparse.results.contract import Contract, PixelCheck, PixelScore, Port, Range

IMAGE = Port(
    index=0, place=0, name="image", shape=(-1, 28, 28, 1), run_shape=(1, 28, 28, 1), dtype="int8", scale=0.5,
    zero_point=-128, representable=Range(low=0, high=127.5), data=Range(low=0, high=100), meaning="pixels, 0..255",
)  # fmt: skip
SCORES = Port(
    index=0, place=0, name="scores", shape=(-1, 2), run_shape=(1, 2), dtype="int8", scale=0.25, zero_point=3,
    representable=Range(low=-32, high=31), meaning="numbers",
)  # fmt: skip
COUNT = Port(index=1, place=0, name="n", shape=(), run_shape=(), dtype="int32", meaning="whole numbers")
CONTRACT = Contract(
    signature="serving_default", inputs=[IMAGE, COUNT], outputs=[SCORES], labels=["cat", "dog"],
    snippets={"python": "import numpy\n", "c++": "int main() {}\n"},
)  # fmt: skip


def test_the_table_has_a_row_for_each():
    assert contract_words.ports(CONTRACT).rows == (
        ("input 0", "image", "?x28x28x1", "int8", "0.5", "-128", "0 to 127.5", "pixels, 0..255 (0 to 100 in the data)"),
        ("input 1", "n", "scalar", "int32", "", "", "", "whole numbers"),
        ("output 0", "scores", "?x2", "int8", "0.25", "3", "-32 to 31", "numbers"),
    )


def test_sentences_say_how_to_quantise():
    assert contract_words.lines(CONTRACT) == [
        "Input image: feed pixels, 0..255 (0 to 100 in the data that the file was made with), as int8: "
        "round(x / 0.5) - 128, clipped; it holds 0 to 127.5.",
        "Input n: feed whole numbers, as int32.",
        "Output scores: numbers, as int8: x = (q - 3) * 0.25.",
        "Classes: 0 cat, 1 dog.",
    ]


def test_many_classes_are_not_all_listed():
    many = CONTRACT.model_copy(update={"labels": [f"c{number}" for number in range(25)]})
    assert contract_words.lines(many)[-1].endswith("19 c19 and 5 more.")


def test_the_code_of_a_language():
    assert contract_words.code(CONTRACT, "python", "m.tflite", "litert") == "import numpy\n"
    assert contract_words.pointer(CONTRACT, "m.tflite", "litert") == [
        "Code that calls it: tflite-sparse inspect m.tflite --snippet python|c++."
    ]
    with pytest.raises(ExecutionError, match=r"^m\.tflite: there is no Kotlin code, .* There is Python, C\+\+\.$"):
        contract_words.code(CONTRACT, "kotlin", "m.tflite", "litert")
    without = CONTRACT.model_copy(update={"snippets": {}})
    assert contract_words.pointer(without, "m.tflite", None) == []
    with pytest.raises(ExecutionError, match="no runtime that has it loads the file"):
        contract_words.code(without, "kotlin", "m.tflite", None)


@pytest.mark.parametrize(
    ("target", "languages", "file", "command"),
    [
        ("litert", ("python",), "m.tflite", "m.tflite --snippet python"),
        ("micro", ("python", "c++"), "my m.tflite", "'my m.tflite' --snippet python|c++ --target micro"),
        ("c", ("c",), "m.tflite", "m.tflite --snippet c --target c"),
        ("ethos-u", ("python",), "m.tflite", "m.tflite --snippet python"),  # inspect has no such target
    ],
)
def test_the_command_that_prints_code_names_its_target(target, languages, file, command):
    found = CONTRACT.model_copy(update={"snippets": dict.fromkeys(languages, "")})
    assert contract_words.pointer(found, file, target) == [f"Code that calls it: tflite-sparse inspect {command}."]


def test_code_of_further_targets_is_told_with_its_languages():
    assert contract_words.pointer(CONTRACT, "m.tflite", "litert", ["micro"])[1:] == [
        "Code for micro: tflite-sparse inspect m.tflite --snippet python|c++ --target micro."
    ]
    with pytest.raises(ExecutionError, match=r"^m\.tflite: C code is that of another target: add --target c\.$"):
        contract_words.code(CONTRACT, "c", "m.tflite", "litert", ["micro", "c"])
    with pytest.raises(ExecutionError, match=r"there is no C code, for no runtime that has it loads the file"):
        contract_words.code(CONTRACT, "c", "m.tflite", "litert", ["micro"])


def check(fed="0..255", alike=(), told=False):
    scores = [PixelScore(pixels=name, score=score) for name, score in (("0..255", 0.9), ("0..1", 0.5))]
    return PixelCheck(fed=fed, metric="top1", samples=100, scores=scores, alike=list(alike), told=told)


@pytest.mark.parametrize(
    ("found", "warns"),
    [
        (check(), False),
        (check(alike=["0..1"]), True),
        (check(alike=["0..1"], told=True), False),
        (check("0..1", alike=["0..255"]), False),  # the user's own floats
    ],
)
def test_what_accuracy_does_not_tell_is_a_warning(found, warns):
    text = contract_words.pixels(found)
    assert text.startswith(
        f"Pixels: fed as {found.fed}; top1 of the float model on 100 samples: 0.900 in 0..255, 0.500 in 0..1."
    )
    assert ("WARNING: accuracy does not tell whether the model was trained on 0..255 or 0..1." in text) == warns
    assert ("give `pixels='0..1'`" in text) == warns


def test_code_stands_in_blocks_of_markdown():
    text = markdown.render(make(contract=CONTRACT))
    assert "\n\n```python\nimport numpy\n```\n\n" in text
    assert "\n\n```cpp\nint main() {}\n```\n\n" in text
    assert "| input 0 | image | ?x28x28x1 |" in text


def test_layers_are_called_as_in_the_model():
    first, second = make().tensors
    named = [first.model_copy(update={"layer": "dense"}), second]
    assert [row[0] for row in weights.table(make(tensors=named)).rows] == ["dense", "conv1/Conv2D"]
    both = [each.model_copy(update={"layer": "lstm"}) for each in (first, second)]
    assert [row[0] for row in weights.table(make(tensors=both)).rows] == ["lstm (MatMul)", "lstm (Conv2D)"]
