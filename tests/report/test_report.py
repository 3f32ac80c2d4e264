"""Test the report: names of fields, JSON, tables and sentences."""

import json
import re

import pydantic
import pytest

from helpers.example_reports import make, undelivered, without_data
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import markdown
from tflite_sparse.report.text import weights as weight_tables
from tflite_sparse.results.export import Accuracy, Interval, Paired, Report

# The contract: names of the fields of report.json, version 1


def test_names_of_fields():
    found = json.loads(make().model_dump_json())
    assert found["version"] == 1
    assert set(found) >= {
        "version", "settings", "models", "ratios", "accuracy", "tensors", "verification", "gates",
    }  # fmt: skip
    assert set(found["models"]) >= {"dense_float32", "dense_int8", "sparse_int8"}
    for entry in filter(None, found["models"].values()):
        assert set(entry) >= {"path", "file_bytes", "gzip_bytes", "accuracy", "sparsity"}
    assert set(found["ratios"]) >= {"vs_dense_float32", "vs_dense_int8"}
    assert set(found["accuracy"]) >= {"metric", "samples", "drop"}
    for tensor in found["tensors"]:
        assert set(tensor) >= {
            "name", "operator", "shape", "sparsity", "layout",
            "dense_bytes", "encoded_bytes", "entropy_bytes", "reason",
        }  # fmt: skip
    assert set(found["verification"]) >= {"weights_bit_exact", "outputs_bit_exact", "samples", "runtimes"}
    assert set(found["gates"]) >= {"passed", "failures"}


@pytest.mark.parametrize("report", [make(), without_data(), undelivered()], ids=["full", "no data", "undelivered"])
def test_json_round_trip(report):
    text = report.model_dump_json(indent=2)
    assert Report.model_validate_json(text) == report
    assert Report.model_validate_json(text).model_dump_json(indent=2) == text


@pytest.mark.parametrize(
    "place", [(), ("models",), ("models", "dense_float32"), ("accuracy",), ("tensors", 0), ("gates",), ("pruning",)]
)
def test_unknown_fields_are_refused(place):
    document = json.loads(make().model_dump_json())
    target = document
    for key in place:
        target = target[key]
    target["more"] = 1
    with pytest.raises(pydantic.ValidationError, match="more"):
        Report.model_validate_json(json.dumps(document))


def test_another_version_is_refused():
    document = json.loads(make().model_dump_json())
    document["version"] = 2
    with pytest.raises(pydantic.ValidationError, match="version"):
        Report.model_validate_json(json.dumps(document))


def test_missing_fields_are_refused():
    document = json.loads(make().model_dump_json())
    del document["gates"]
    with pytest.raises(pydantic.ValidationError, match="gates"):
        Report.model_validate_json(json.dumps(document))


def test_frozen():
    report = make()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        report.gates.passed = False


def test_schema():
    schema = json.loads(json.dumps(Report.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["version"]["const"] == 1
    assert set(schema["required"]) >= {"models", "tensors", "gates", "accuracy", "verification"}
    assert set(schema["$defs"]["ModelFile"]["properties"]) == {
        "path", "file_bytes", "gzip_bytes", "accuracy", "interval", "sparsity",
    }  # fmt: skip
    for name, part in schema["$defs"].items():
        assert part["additionalProperties"] is False, name


def test_the_file_that_the_run_was_for():
    assert make().models.sparse.path == "model.tflite"
    models = without_data().models
    assert models.sparse is models.sparse_float32
    assert undelivered().models.sparse is None


# Tables


def by_heading(table):
    return [dict(zip(table.headings, row, strict=True)) for row in table.rows]


def test_table_of_files():
    rows = by_heading(tables.files(make()))
    assert [row["model"] for row in rows] == ["dense float32", "dense int8", "sparse int8"]
    assert [row["bytes"] for row in rows] == ["1,040,000", "260,000", "65,000"]
    assert [row["smaller"] for row in rows] == ["1.00x", "4.00x", "16.00x"]
    assert [row["gzip bytes"] for row in rows] == ["930,001", "70,002", "60,003"]
    assert [row["top1"] for row in rows] == ["0.9876", "0.9812", "0.9812"]
    assert [row["zeros"] for row in rows] == ["0.001", "0.872", "0.872"]


def test_table_of_files_without_accuracy():
    rows = by_heading(tables.files(without_data()))
    assert [row["model"] for row in rows] == ["dense float32", "sparse float32"]
    assert [row["accuracy"] for row in rows] == ["unknown", "unknown"]


def test_table_of_tensors():
    first, second = by_heading(weight_tables.table(make()))
    assert first["shape"] == "160x1x1x1568"
    assert (first["dense B"], first["stored B"], first["bound B"]) == ("250,880", "62,720", "45,011")
    assert first["how"] == "least bytes"
    assert second["how"] == "dense: few zeros"


def test_long_and_fused_names_are_shortened():
    tensor = make().tensors[0]
    fused = tensor.model_copy(update={"name": "model/dense/MatMul;model/dense/BiasAdd"})
    long = tensor.model_copy(update={"name": "a/" * 40 + "the_end"})
    first, second = by_heading(weight_tables.table(make(tensors=[fused, long])))
    assert first["weight"] == "model/dense/MatMul"
    assert len(second["weight"]) <= 48
    assert second["weight"].startswith("...")
    assert second["weight"].endswith("/the_end")


@pytest.mark.parametrize("report", [make(), without_data(), undelivered()], ids=["full", "no data", "undelivered"])
def test_tables_are_rectangular_and_name_their_columns(report):
    for table in (tables.files(report), weight_tables.table(report)):
        assert len(set(table.headings)) == len(table.headings)
        assert table.left | table.may_wrap <= set(table.headings)
        assert all(len(row) == len(table.headings) for row in table.rows)


# Sentences


def test_verdicts():
    text = "\n".join(tables.verdicts(make()))
    assert "masked by magnitude; 2 prunable kernels hold 255,488 weights, 0.8750 of them zeros." in text
    assert "16.00x smaller than dense float32, 4.00x smaller than dense int8." in text
    (line,) = (line for line in tables.verdicts(make()) if line.startswith("Accuracy"))
    assert "top1 fell by 0.0064" in line
    assert re.findall(r"\d+\.?\d*", line.partition("fell by")[2]) == ["0.0064", "0.9876", "32", "0.9812", "360", "0.01"]
    assert "weights equal to the dense ones bit for bit" in text
    assert "bit for bit on 64 samples in first runtime" in text
    assert "not compared in second runtime" in text
    assert "NOT" not in text
    assert "FAILED" not in text


def test_verdicts_without_data():
    text = "\n".join(tables.verdicts(without_data()))
    assert "not measured" in text
    assert "int8" not in text


def test_verdicts_of_what_failed():
    lines = tables.verdicts(undelivered())
    text = "\n".join(lines)
    assert "weights NOT equal" in text
    assert "outputs NOT equal in first runtime" in text
    assert "smaller" not in text
    assert lines[-2:] == ["FAILED weights: 'a|b' differs", "FAILED outputs: not equal"]


def test_verdicts_before_verification():
    assert not any(line.startswith("Verification") for line in tables.verdicts(make(verification=None)))


def accuracy_with(**changes):
    return make().accuracy.model_copy(update={"samples": 1000, **changes})


@pytest.mark.parametrize(
    ("difference", "lost", "gained", "p_value", "words"),
    [
        (0.002, 5, 7, 0.774, "no loss that 1,000 samples can show (p = 0.77; 5 samples lost, 7 gained)."),
        (-0.001, 1, 0, 1.0, "no loss that 1,000 samples can show (p = 1; 1 sample lost, 0 gained)."),
        (-0.02, 24, 4, 0.0002, "a loss that 1,000 samples show (p = 0.0002; 24 samples lost, 4 gained)."),
        (0.02, 4, 24, 0.0002, "a gain that 1,000 samples show (p = 0.0002; 4 samples lost, 24 gained)."),
        (0.0, 0, 0, 1.0, "no difference on any of 1,000 samples."),
        (0.0, 3, 3, 1.0, "no loss that 1,000 samples can show (p = 1; 3 samples lost, 3 gained)."),
        (-0.006, 6, 0, 0.05, "no loss that 1,000 samples can show (p = 0.05; 6 samples lost, 0 gained)."),
        (-0.006, 6, 0, 0.04999, "a loss that 1,000 samples show (p = 0.05; 6 samples lost, 0 gained)."),
    ],
)
def test_words_of_a_paired_test(difference, lost, gained, p_value, words):
    found = Paired(
        against="dense_int8", difference=difference, interval=None, lost=lost, gained=gained, p_value=p_value
    )
    assert tables.verdicts(make(accuracy=accuracy_with(paired=[found])))[3] == f"Against dense int8: {words}"


@pytest.mark.parametrize(
    ("difference", "low", "high", "lower_is_better", "words"),
    [
        (0.01, 0.005, 0.02, True, "a loss that 1,000 samples show (difference 0.0100 [0.005, 0.020])."),
        (0.01, 0.005, 0.02, False, "a gain that 1,000 samples show (difference 0.0100 [0.005, 0.020])."),
        (0.01, -0.005, 0.02, True, "no loss that 1,000 samples can show (difference 0.0100 [-0.005, 0.020])."),
        (0.0, 0.0, 0.0, True, "no difference on any of 1,000 samples."),
        (0.01, 0.0, 0.02, True, "no loss that 1,000 samples can show (difference 0.0100 [0.000, 0.020])."),
        (-0.01, -0.02, 0.0, False, "no loss that 1,000 samples can show (difference -0.0100 [-0.020, 0.000])."),
        (-0.01, -0.02, -1e-9, False, "a loss that 1,000 samples show (difference -0.0100 [-0.020, -0.000])."),
        (0.0, 0.0, 0.01, False, "no loss that 1,000 samples can show (difference 0.0000 [0.000, 0.010])."),
    ],
)
def test_words_of_an_interval(difference, low, high, lower_is_better, words):
    interval = Interval(low=low, high=high, method="bootstrap")
    found = Paired(against="dense_float32", difference=difference, interval=interval)
    accuracy = accuracy_with(paired=[found], lower_is_better=lower_is_better)
    assert tables.verdicts(make(accuracy=accuracy))[3] == f"Against dense float32: {words}"


def test_scores_show_their_interval():
    models = make().models
    interval = Interval(low=0.9612, high=0.9917, method="wilson")
    sparse = models.sparse_int8.model_copy(update={"interval": interval})
    report = make(models=models.model_copy(update={"sparse_int8": sparse}))
    assert by_heading(tables.files(report))[2]["top1"] == "0.9812 [0.961, 0.992]"
    assert "to 0.9812 [0.961, 0.992] (sparse)" in tables.verdicts(report)[2]


def test_errors_of_any_size_keep_their_digits():
    models = make().models
    small = models.dense_float32.model_copy(update={"accuracy": 1.23456e-7})
    large = models.sparse_int8.model_copy(update={"accuracy": 123456.7})
    report = make(
        models=models.model_copy(update={"dense_float32": small, "sparse_int8": large}),
        accuracy=accuracy_with(metric="mse", drop_of="r2", lower_is_better=True, drop=0.25),
    )
    assert [row["mse"] for row in by_heading(tables.files(report))] == ["1.235e-07", "0.9812", "1.235e+05"]
    assert "the outputs explain 0.2500 less of the labels' spread; 0.01 less is allowed" in tables.verdicts(report)[2]


@pytest.mark.parametrize("drop", [0.0, -0.0, -0.25])
def test_signs_of_a_drop(drop):
    accuracy = Accuracy(metric="top1", samples=1, drop=drop, max_drop=0.01)
    (line,) = (line for line in tables.verdicts(make(accuracy=accuracy)) if line.startswith("Accuracy"))
    assert ("rose by 0.2500" if drop else "is unchanged") in line
    assert "-0." not in line
    assert "fell" not in line


@pytest.mark.parametrize(("max_drop", "said"), [(0.999, True), (1.0, False)])
def test_a_gate_that_lets_everything_pass_is_not_told(max_drop, said):
    (line,) = (line for line in tables.verdicts(make(accuracy=accuracy_with(max_drop=max_drop))) if "top1 fell" in line)
    assert ("a fall of 0.999 is allowed" in line) is said
    assert ("is allowed" in line) is said


# Markdown


def cells(line):
    """Return the cells of a row, split as GitHub does: at pipes without a backslash before them."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def parsed(text):
    """Return the tables of a Markdown text as lists of rows."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [[cells(line) for line in block] for block in blocks if block[0].startswith("|")]


def test_markdown():
    report = make()
    text = markdown.render(report)
    assert text.startswith("# net.keras on digits: all gates passed\n")
    assert text.endswith("Made by tflite-sparse 0.1.0.\n")
    files, weights = parsed(text)
    assert files[0] == list(tables.files(report).headings)
    assert files[1] == ["---", "---", "---:", "---:", "---:", "---:", "---:"]
    assert files[2:] == [list(row) for row in tables.files(report).rows]
    assert weights[2:] == [list(row) for row in weight_tables.table(report).rows]
    for line in tables.verdicts(report):
        assert f"- {line}\n" in text


def test_markdown_without_data():
    text = markdown.render(without_data())
    assert text.startswith("# net.keras: all gates passed\n")
    assert "unknown" in text
    assert "None" not in text


def test_markdown_of_what_failed():
    text = markdown.render(undelivered())
    assert text.startswith("# net.keras on digits: FAILED\n")
    assert "- FAILED weights: 'a|b' differs\n" in text
    assert "None" not in text


@pytest.mark.parametrize("name", ["a|b", "|", "||x||", "line\nbreak", "a|b\nc|d"])
def test_markdown_keeps_its_columns_whatever_a_name_holds(name):
    tensor = make().tensors[0].model_copy(update={"name": name, "reason": name})
    _, weights = parsed(markdown.render(make(tensors=[tensor])))
    assert len(weights) == 3
    assert [len(row) for row in weights] == [8, 8, 8]
    assert weights[2][0].replace("\\|", "|") == name.replace("\n", " ")
    assert weights[2][7].replace("\\|", "|") == name.replace("\n", " ")


def test_markdown_without_weights():
    _, weights = parsed(markdown.render(make(tensors=[])))
    assert len(weights) == 2
