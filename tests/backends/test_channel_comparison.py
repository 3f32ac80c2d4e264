"""Test which channels a failed comparison is about."""

import numpy as np
import pytest

from helpers import tiny_models
from helpers.channel_models import Network
from tflite_sparse.backends import channel_comparison
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.verification import (
    ConstantsCheck,
    FirstDifference,
    RuntimeCheck,
    VerificationReport,
    WeightsCheck,
    WrongConstants,
)
from tflite_sparse.rewrites.dead_channels.cut import Cut, Predicted


@pytest.fixture
def sum_of_two():
    """A model that adds two convolutions of one input; the activations are source, two results and their sum."""
    net = Network()
    one, two = net.conv(net.source, 16, 1), net.conv(net.source, 16, 1)
    total = net.binary(one, two)
    return serde.parse(tiny_models.to_bytes(net.finished(total))), net.source, one, two, total


def report(index=None, apart=(), within_tolerance=False):
    first = FirstDifference(sample=0, tensor="x", operator="ADD", largest_difference=1.0, note=None, index=index)
    check = RuntimeCheck(
        name="a runtime",
        gate=True,
        signature=None,
        outputs_bit_exact=False,
        within_tolerance=within_tolerance,
        first_difference=first,
    )
    return VerificationReport(
        tool="", file="", against="", samples=1, seed=0, tolerance=0.0, across=[], passed=False, failures=["outputs"],
        weights=WeightsCheck(compared=1, values=1, equal=1, missing=[], different=[]),
        runtimes=[check],
        constants=ConstantsCheck(compared=1, runtimes=["a runtime"], apart=list(apart)),
    )  # fmt: skip


def concerned(found, model, cut):
    return {key: each.tolist() for key, each in channel_comparison.concerned(found, model, cut).items()}


def test_wrong_constants_come_first(sum_of_two):
    model, _, one, two, total = sum_of_two
    cut = Cut(predicted=(Predicted(0, one, np.array([2, 5, 6]), np.zeros(3)),))
    wrong = WrongConstants(graph=0, tensor=two, channels=[4, 9])
    assert concerned(report(total, [wrong]), model, cut) == {(0, two): [4, 9]}


def test_constants_in_front_of_the_first_difference_come_next(sum_of_two):
    model, _, one, _, total = sum_of_two
    cut = Cut(
        predicted=(Predicted(0, one, np.array([2, 5]), np.zeros(2)), Predicted(0, total, np.array([7]), np.zeros(1)))
    )
    assert concerned(report(total), model, cut) == {(0, one): [2, 5]}


def test_without_constants_all_channels_of_the_operator_stay(sum_of_two):
    model, source, one, two, total = sum_of_two
    every = list(range(16))
    assert concerned(report(total), model, Cut()) == {(0, one): every, (0, two): every, (0, total): every}
    assert concerned(report(one), model, Cut()) == {(0, source): list(range(8)), (0, one): every}


def test_a_difference_that_is_not_found_or_allowed_names_none(sum_of_two):
    model, *_, total = sum_of_two
    assert concerned(report(), model, Cut()) == {}
    assert concerned(report(total, within_tolerance=True), model, Cut(is_exact=False)) == {}
    assert concerned(report(total, within_tolerance=False), model, Cut(is_exact=False))


def test_channels_are_joined():
    one, two = {(0, 1): np.array([1, 3])}, {(0, 1): np.array([2, 3]), (1, 1): np.array([0])}
    found = channel_comparison.joined(one, two)
    assert {key: each.tolist() for key, each in found.items()} == {(0, 1): [1, 2, 3], (1, 1): [0]}


@pytest.mark.parametrize(("vary", "refused"), [((True, True), None), ((True, False), "of signature 'two'")])
def test_outputs_of_each_signature_must_vary(vary, refused):
    """Each signature runs graphs of its own, and what never varies proves nothing."""
    checks = [
        RuntimeCheck(
            name="a runtime", gate=True, signature=name, outputs_bit_exact=True, within_tolerance=True,
            outputs_vary=each, distinct_outputs=1 + each,
        )
        for name, each in zip(("one", "two"), vary, strict=True)
    ]  # fmt: skip
    found = channel_comparison.refusal(report().model_copy(update={"runtimes": checks, "failures": []}), Cut())
    assert found is None if refused is None else f"outputs {refused} are the same on all 1 samples" in found
