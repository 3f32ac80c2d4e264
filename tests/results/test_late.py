"""Test values that are made when they are asked for."""

import pickle
from functools import partial

import pytest

from tflite_sparse.results.contract import Contract
from tflite_sparse.results.late import Late


def test_each_value_is_made_once_and_keys_are_known_before():
    made = []

    def maker(word):
        made.append(word)
        return word.upper()

    late = Late({word: partial(maker, word) for word in ("a", "b")})
    assert (list(late), len(late), "b" in late, "c" in late) == (["a", "b"], 2, True, False)
    assert made == []
    assert (late["b"], late["b"], made) == ("B", "B", ["b"])
    assert late == {"a": "A", "b": "B"} == late
    assert made == ["b", "a"]
    with pytest.raises(KeyError):
        late["c"]


def test_a_report_with_late_values_is_written_and_passed_on():
    late = Late({"python": partial("import {}".format, "numpy")})
    contract = Contract(signature=None, inputs=[], outputs=[]).model_copy(update={"snippets": late})
    assert Contract.model_validate_json(contract.model_dump_json()) == contract
    assert contract.model_dump()["snippets"] == {"python": "import numpy"}
    assert pickle.loads(pickle.dumps(contract)).snippets["python"] == "import numpy"  # noqa: S301 - made here
