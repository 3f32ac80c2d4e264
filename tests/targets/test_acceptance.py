import json

import pytest

from tflite_sparse.targets import acceptance

TAKEN = [
    ("CONV_2D", 1, "int8", "int8"),
    ("CONV_2D", 1, "float32", "float32"),
    ("CONV_2D", 1, "int8", "int16"),
    ("DEPTHWISE_CONV_2D", 1, "int8", "int8"),
    ("TRANSPOSE_CONV", 1, "int8", "int8"),
    ("CONV_3D", 1, "float32", "float32"),
    ("FULLY_CONNECTED", 1, "float32", "float32"),
    ("BATCH_MATMUL", 1, "int8", "int8"),
    ("GATHER", 0, "int8", None),
    ("EMBEDDING_LOOKUP", 1, "float32", None),
    ("DEQUANTIZE", 0, "float16", None),
    ("DEQUANTIZE", 0, "int8", None),
]
NOT_TAKEN = {
    ("CONV_2D", 1, "int8", "float32"): "default interpreter refuses CONV_2D with float32 data and a sparse int8 weight",
    ("FULLY_CONNECTED", 1, "int8", "int8"): "default interpreter refuses FULLY_CONNECTED with a sparse int8 weight",
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", 2, "int8", "int8"): "crashes on UNIDIRECTIONAL_SEQUENCE_LSTM",
    ("BATCH_MATMUL", 1, "int8", "float32"): "yields other outputs for BATCH_MATMUL",
    ("DEQUANTIZE", 0, "float16", None, acceptance.FLOAT32_BIAS): "yields other outputs for DEQUANTIZE",
    ("FULLY_CONNECTED", 1, "float32", "float32", acceptance.NATIVE): "that it reads itself",
    ("CONV_3D", 1, "int8", "int8"): "no runtime runs CONV_3D with int8 weights",
    ("CONV_2D", 0, "int8", "int8"): "no runtime was tried with a sparse int8 constant as input 0 of CONV_2D",
    ("NO_OPERATOR", 1, "int8", "int8"): "no runtime was tried",
}


@pytest.mark.parametrize("key", TAKEN)
def test_accepted(key):
    assert acceptance.accepted(*key)
    assert acceptance.refusal(*key) is None


@pytest.mark.parametrize(("key", "words"), NOT_TAKEN.items())
def test_refused(key, words):
    assert not acceptance.accepted(*key)
    text = acceptance.refusal(*key)
    assert words in text
    assert "\n" not in text


def test_refusal_names_the_newest_litert():
    newest = acceptance.table().runtimes[-1].replace("ai-edge-litert", "LiteRT")
    assert acceptance.refusal("FULLY_CONNECTED", 1, "int8", "int8").startswith(f"{newest}'s default interpreter")


def test_every_named_runtime_was_measured_on_every_case():
    table = acceptance.table()
    litert = {f"ai-edge-litert {version}" for version in ("1.2.0", "1.4.0", "2.1.0", "2.1.6", "2.3.0")}
    assert litert | {"tensorflow 2.21.0"} <= set(table.runtimes)
    for case in table.cases:
        assert list(case.outcomes) == list(table.runtimes)
        assert all({"default", "builtin"} <= set(results) for results in case.outcomes.values())


def test_an_old_compiled_model_that_takes_nothing_sparse_does_not_count():
    (plain,) = (
        case
        for case in acceptance.table().cases
        if (case.operator, case.weight, case.data, case.variant) == ("CONV_2D", "int8", "int8", "plain")
    )
    assert plain.outcomes["ai-edge-litert 1.4.0"]["compiled_model"] == "refused"
    assert acceptance.accepted("CONV_2D", 1, "int8", "int8")


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Replace the table of the package."""

    def write(content):
        (tmp_path / "litert_acceptance.json").write_text(json.dumps(content))
        monkeypatch.setattr(acceptance.resources, "files", lambda package: tmp_path)
        _forget()

    yield write
    _forget()


def _forget():
    for function in (acceptance.table, acceptance.refusal, acceptance._dense_only):
        function.cache_clear()


def test_one_old_runtime_is_enough_to_refuse(written):
    runtimes = ["tensorflow 2.21.0", "ai-edge-litert 1.2.0", "ai-edge-litert 2.3.0"]
    outcomes = {name: {"default": "exact", "builtin": "exact"} for name in runtimes}
    case = {"operator": "CONV_2D", "position": 1, "weight": "int8", "data": "int8", "variant": "plain"}
    content = {"version": 1, "measured": "2026-11-24", "runtimes": runtimes, "cases": [{**case, "outcomes": outcomes}]}
    written(content)
    assert acceptance.accepted("CONV_2D", 1, "int8", "int8")
    old = {**outcomes, "ai-edge-litert 1.2.0": {"default": "exact", "builtin": "crashed"}}
    content["cases"].append({**case, "variant": "grouped", "outcomes": old})
    written(content)
    assert (
        acceptance.refusal("CONV_2D", 1, "int8", "int8")
        == "LiteRT 1.2.0's interpreter without delegates crashes on CONV_2D with a sparse int8 weight"
    )


def test_a_table_of_another_version_is_refused(written):
    written({"version": 2, "measured": "2026-11-24", "runtimes": [], "cases": []})
    with pytest.raises(ValueError, match="version 2, 1 is expected"):
        acceptance.table()
