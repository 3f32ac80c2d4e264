"""Test that predicted bytes are those of the file written for the masked weights."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.fitting import costs
from tflite_sparse.fitting.costs import Costs
from tflite_sparse.fitting.kernels_in_file import Constant
from tflite_sparse.planning import sharing
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.targets import litert as litert_target
from tflite_sparse.targets.micro import Micro

WEIGHTS = tiny_models.sparse_weights((64, 600), density=1.0)
MASK = np.random.default_rng(1).random((600, 64)) < 0.05  # in the model's order: (inputs, outputs)


def model_of(weights):
    return tiny_models.to_bytes(tiny_models.fully_connected(weights=weights))


@pytest.fixture
def made(tmp_path):
    """Return the costs of the kernel ``k``, whose constant is the file's only one of rank 2."""
    (tmp_path / "dense.tflite").write_bytes(model_of(WEIGHTS))
    return Costs(
        tmp_path / "dense.tflite", {"k": Constant(0, 1, (1, 0))}, lambda: litert_target.answer, lambda file, dense: None
    )


def encoded(tmp_path, mask):
    """Write the file with masked weights."""
    dense, sparse = tmp_path / "masked.tflite", tmp_path / "sparse.tflite"
    dense.write_bytes(model_of(np.where(mask.T, WEIGHTS, 0).astype(np.int8)))
    choices = encode_file(dense, sparse, litert_target.answer)
    return sparse.stat().st_size, next(choice.encoded_bytes for choice in choices if choice.name == "weight")


FEW_INPUTS = np.broadcast_to(np.arange(600)[:, None] < 30, MASK.shape)  # another mask than of a few outputs


@pytest.mark.parametrize(
    "mask",
    [MASK, FEW_INPUTS, np.ones_like(MASK), np.zeros_like(MASK)],
    ids=["sparse", "few inputs", "dense", "zeros"],
)
def test_bytes_are_those_of_the_file_with_masked_weights(made, tmp_path, mask):
    size, weight = encoded(tmp_path, mask)
    assert made.pricer("k")(mask) == {None: weight}
    found = made.sizes({"k": mask})
    assert found.file_bytes == size
    assert found.kernels == {"k": weight}
    assert found.others == {}
    assert found.rest_bytes == size - weight


def test_shared_values_count_in_price_and_file(tmp_path, made):
    """Of kernels and of other weights: the file that is written with them has as many bytes."""
    in_micro = dataclasses.replace(made, target=Micro, shared_values=4)
    assert in_micro.can_share("k")
    masked, shared, file = (tmp_path / f"{name}.tflite" for name in ("masked", "shared", "file"))
    masked.write_bytes(model_of(np.where(MASK.T, WEIGHTS, 0).astype(np.int8)))
    for count in (4, 16):
        sharing.write(masked, shared, count)
        (choice,) = encode_file(shared, file, Micro())
        assert in_micro.pricer("k")(MASK, (count,)) == {count: choice.encoded_bytes}
        assert in_micro.sizes({"k": MASK}, {"k": count}).file_bytes == file.stat().st_size
    found = in_micro.pricer("k")(MASK, (16, None, 4))
    every = in_micro.pricer("k")(MASK)[None]
    assert found == {None: every, **in_micro.pricer("k")(MASK, (4,)), **in_micro.pricer("k")(MASK, (16,))}
    assert found[4] < found[16] < every
    assert in_micro.sizes({"k": MASK}, {"k": None}).kernels == {"k": every}
    of_others = dataclasses.replace(in_micro, dense=masked, constants={})
    sharing.write(masked, shared, 4)
    encode_file(shared, file, Micro())
    assert of_others.sizes({}).file_bytes == file.stat().st_size


def test_axes_of_one_entry_are_left_aside(made):
    """A convolution of one by one becomes a matrix in the file."""
    of_four_axes = Costs(made.dense, {"k": Constant(0, 1, (3, 0, 1, 2))}, made.target, made.finish)
    assert of_four_axes.pricer("k")(MASK[None, None]) == made.pricer("k")(MASK)


def test_a_price_does_not_depend_on_those_asked_for_before(made):
    price = made.pricer("k")
    dense = price(np.ones_like(MASK))[None]
    assert price(MASK)[None] < dense / 4
    assert price(np.ones_like(MASK))[None] == dense == WEIGHTS.nbytes
    assert made.sizes({}).kernels == {"k": dense}


def test_what_is_written_into_the_finished_file_counts(made):
    plain = made.sizes({}).file_bytes
    with_more = Costs(
        made.dense, made.constants, made.target, lambda file, dense: file.write_bytes(file.read_bytes() + b"12345")
    )
    assert with_more.sizes({}).file_bytes == plain + 5


def test_constants_that_are_no_kernels_are_kept_by_name_and_added_up():
    def choice(graph, tensor, name, size):
        return SimpleNamespace(graph=SimpleNamespace(number=graph), tensor_index=tensor, name=name, encoded_bytes=size)

    choices = [choice(0, 1, "a", 100), choice(1, 1, "b", 20), choice(0, 2, "b", 3), choice(1, 2, "c", 7)]
    found = costs.sizes_of(1000, choices, {"first": Constant(0, 1, (0, 1)), "second": Constant(1, 2, (0, 1))})
    assert found.kernels == {"first": 100, "second": 7}
    assert found.others == {"b": 23}
    assert found.rest_bytes == 1000 - 130
