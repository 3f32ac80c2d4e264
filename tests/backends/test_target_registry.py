"""Compare the registry of targets with the package."""

from typing import get_args

import pytest

from tflite_sparse import target_registry
from tflite_sparse.backends.protocol import Backend
from tflite_sparse.backends.registry import backend
from tflite_sparse.results.contract import Language
from tflite_sparse.settings import Activations, EncodeSettings, ExportSettings, FitSettings, VerifySettings
from tflite_sparse.target_registry import TARGETS

SETTINGS = (EncodeSettings, ExportSettings, FitSettings, VerifySettings)


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_has_a_backend(name):
    assert Backend in type(backend(name)).__mro__


@pytest.mark.parametrize("name", TARGETS)
def test_options_and_types_that_it_names_are_there(name):
    """A name that is misspelt would let an option of another target pass."""
    traits = TARGETS[name]
    assert traits.options <= {name for each in SETTINGS for name in each.model_fields}
    assert {each.option for each in traits.extra_files} - {None} <= traits.options
    assert set(traits.activations) <= set(get_args(Activations))
    assert set(traits.languages) <= set(get_args(Language))


def test_extra_files_are_those_that_the_settings_ask_for():
    assert target_registry.extra_files("micro", "net", {"c_array": True}) == ("net.h", "net.cc", "app.cc")
    assert target_registry.extra_files("micro", "net", {"c_array": False}) == ()
    assert target_registry.extra_files("micro", "net", {}) == ()  # of a report that an older version wrote
    assert target_registry.extra_files("ethos-u", "net", {}) == ("net_vela.tflite",)
    assert target_registry.extra_files("unknown", "net", {"c_array": True}) == ()
    found = set(target_registry.possible_extra_files("net"))
    of_c = {"net.c", "CMakeLists.txt", *target_registry.C_KERNELS}
    assert {name for name in found if "/" not in name} == {"net.h", "net.cc", "app.cc", "net_vela.tflite", *of_c}
    assert set(target_registry.extra_files("c", "model", {"name": "net"})) == {"net.h", *of_c}
    of_kernels = target_registry.extra_files("micro", "net", {"micro_kernels": "sparse"})
    assert set(of_kernels) == {name for name in found if name.startswith("micro/")}
    assert "micro/tflite_sparse_kernels.c" in of_kernels
    assert target_registry.extra_files("micro", "net", {"micro_kernels": "tflm"}) == ()


@pytest.mark.parametrize(("names", "words"), [(("a",), "a"), (("a", "b"), "a or b"), (("a", "b", "c"), "a, b or c")])
def test_targets_in_a_sentence(names, words):
    assert target_registry.listed(names) == words
