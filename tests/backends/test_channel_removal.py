"""Test when dead channels leave an encoded file, what proves it, and what the reports say."""

import pytest

import tflite_sparse
from helpers import micro_process, tiny_models
from helpers.channel_models import CODE, NETWORKS, OPTIONS, Network
from tflite_sparse.backends import dead_channels
from tflite_sparse.backends.dead_channels import Trimming
from tflite_sparse.errors import SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.report.text import dead_channels as words
from tflite_sparse.report.text import files as file_tables
from tflite_sparse.report.text import verification as verification_tables
from tflite_sparse.results.dead_channels import BeforeAfter
from tflite_sparse.rewrites.dead_channels import products

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def encoded(tmp_path):
    """Encode a network; return the source, the new file and the report."""

    def run(net, *results, **settings):
        source, destination = tmp_path / "source.tflite", tmp_path / "encoded.tflite"
        source.write_bytes(tiny_models.to_bytes(net.finished(*results)))
        return source, destination, tflite_sparse.encode(source, destination, **settings)

    return run


def constants_in_front_of_padding():
    """Channels of a constant that must not go, and one of 0 that may."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6))
    return net, net.conv(x, 6, 3, unread=(9,))


def test_they_go_by_default(encoded):
    source, destination, report = encoded(*NETWORKS["residual"]("int8"))
    found = report.channels
    assert found.removed
    assert found.dead.is_exact
    assert found.file_bytes.after == report.file_bytes < found.file_bytes.before
    assert found.dead.multiply_adds.after < found.dead.multiply_adds.before
    assert [layer.operator for layer in found.dead.layers] == ["CONV_2D"] * 4
    assert found.dead.channels == sum(each.outputs.before - each.outputs.after for each in found.dead.layers) == 8
    assert report.verification.passed
    assert report.verification.against == str(source)
    proof = found.verification
    assert proof.passed
    assert proof.weights.equal == proof.weights.compared
    assert proof.constants.compared > 8
    assert len(proof.constants.runtimes) == len(proof.runtimes) == 4
    assert all(check.outputs_bit_exact and check.distinct_outputs > 2 for check in proof.runtimes)
    one, two, three = words.lines(found)
    assert three.startswith("Channels with weights of 0 that stay: ")
    assert f"Dead channels: {found.dead.channels} of 54 in 4 operators left the file" in one
    assert "outputs are equal bit for bit in LiteRT interpreter, default (XNNPACK)" in two
    assert {one, two, three} < set(file_tables.encoding(report))
    assert words.table(found.dead).rows[0][2:] == ("8 to 8", "16 to 13")
    decoded = destination.with_name("decoded.tflite")
    tflite_sparse.decode(destination, decoded)
    assert decoded.stat().st_size < source.stat().st_size  # there is no way back to the channels


def test_they_stay_if_told_so(encoded):
    source, destination, report = encoded(*NETWORKS["plain"]("int8"), keep_channels=True)
    assert report.channels is None
    assert not words.lines(report.channels)
    shapes = [
        [tuple(each.shape) for each in next(graphs(serde.read(path))).subgraph.tensors]
        for path in (source, destination)
    ]
    assert shapes[0] == shapes[1][: len(shapes[0])]


def test_a_file_without_any_says_nothing(encoded):
    net = Network()
    _, _, report = encoded(net, net.conv(net.source, 6, 1))
    assert report.channels is None


def test_where_none_can_go_those_with_weights_of_0_are_named(encoded):
    net = Network("float32")
    x = net.conv(net.source, 16, 1, dead=range(6))
    y = net.like(x)
    net.append(CODE.SOFTMAX, [x], [y], OPTIONS.SoftmaxOptions, net.options("SoftmaxOptionsT", beta=1.0))
    source, _, report = encoded(net, net.conv(y, 6, 1))
    assert not report.channels.removed
    assert not report.channels.dead.layers
    told = ["Channels with weights of 0 that stay: 6 (w1 6) for SOFTMAX."]
    assert words.lines(report.channels) == words.of_inspected(tflite_sparse.inspect(source).dead_channels) == told


def test_what_sums_in_another_order_is_told(encoded):
    source, destination, report = encoded(*NETWORKS["plain"]("float32"))
    found = report.channels
    assert found.removed
    assert not found.dead.is_exact
    apart = [check for check in found.verification.runtimes if not check.outputs_bit_exact]
    assert all(check.within_tolerance for check in apart)
    assert found.sums_in_another_order == bool(apart)
    assert ("in another order" in words.lines(found)[1]) == bool(apart)
    if apart:
        last = file_tables.encoding(report)[-1]
        assert f"what {source} without its dead channels does, bit for bit" in last
    verified = tflite_sparse.verify(destination, source)
    assert verified.passed
    assert verified.allowed_share_of_range == 1e-5
    told = verification_tables.verdicts(verified)
    assert any(line.startswith("Differences of up to 1e-05 of the range of an output pass: float32") for line in told)


@pytest.fixture(params=["a constant", "an output"])
def overlooked(request, monkeypatch):
    """The analysis overlooks padding: a constant behind a convolution is wrong, or only outputs are.

    Returns the network with its results, and what must stay: tensor and number of channels.
    """
    monkeypatch.setattr(products, "_reaches_over_the_edge", lambda found, operator: False)
    if request.param == "an output":
        net, result = constants_in_front_of_padding()
        return net, [result], [("t3", 6)]
    net = Network()
    x = net.conv(net.conv(net.source, 16, 1, dead=range(6)), 8, 3, unread=range(6, 16))
    return net, [net.conv(x, 6, 1), net.conv(net.source, 6, 1)], [("t6", 8), ("t3", 6)]


def test_only_the_channels_that_a_failure_is_about_stay(overlooked, encoded):
    net, results, stay = overlooked
    source, destination, report = encoded(net, *results)
    found = report.channels
    assert report.verification.passed
    assert found.removed
    assert found.verification.passed
    assert [(each.tensor, each.channels) for each in found.left] == stay
    assert ("are not the constants that were worked out" in found.left[0].reason) == (len(stay) == 2)
    assert found.dead.channels == (10 if len(stay) == 2 else 1)
    assert words.lines(found)[-1].startswith(f"6 dead channels of {stay[-1][0]!r} stay, because LiteRT")
    verified = tflite_sparse.verify(destination, source)
    assert verified.passed
    assert verified.constants is not None


def test_all_stay_where_the_attempts_are_used_up(overlooked, encoded, monkeypatch):
    net, results, stay = overlooked
    monkeypatch.setattr(dead_channels, "MOST_ATTEMPTS", 1)
    _, _, report = encoded(net, *results)
    assert report.verification.passed
    assert not report.channels.removed
    assert not report.channels.left
    assert ("are not the constants that were worked out" in report.channels.reason) == (len(stay) == 2)
    assert "stay, because" in words.lines(report.channels)[0]


def test_equal_outputs_that_never_vary_prove_nothing(encoded):
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    y = net.conv(x, 6, 1, unread=range(16), dead=range(5))
    _, _, report = encoded(net, net.binary(y, y, "SUB"))
    assert not report.channels.removed
    assert "the same on all 11 samples" in report.channels.reason


def test_what_stands_in_front_of_a_softmax_is_compared(encoded):
    net = Network("float32")
    x = net.dense(net.flat(net.conv(net.source, 16, 1, dead=range(6))), 1)  # the softmax of one class is 1
    options = net.options("SoftmaxOptionsT", beta=1.0)
    _, _, report = encoded(net, net.unary(CODE.SOFTMAX, x, OPTIONS.SoftmaxOptions, options, 1))
    assert report.channels.removed
    assert all(check.distinct_outputs > 4 for check in report.channels.verification.runtimes)


def test_a_file_does_not_become_larger(encoded, monkeypatch):
    monkeypatch.setattr(Trimming, "_sizes", lambda self, source, trimmed: BeforeAfter(before=1000, after=1000))
    _, _, report = encoded(*NETWORKS["plain"]("int8"))
    assert report.channels.reason == "the file would take 1,000 bytes without them instead of 1,000"
    assert report.channels.verification is None


def test_a_sparse_source_loses_them_too(encoded, tmp_path):
    net, result = NETWORKS["plain"]("int8")
    source, destination, report = encoded(net, result, keep_channels=True)
    again = tflite_sparse.encode(destination, tmp_path / "again.tflite")
    assert again.channels.removed
    assert again.file_bytes < report.file_bytes
    assert tflite_sparse.verify(tmp_path / "again.tflite", source).passed


@micro_process.needed
def test_tensorflow_lite_micro_is_asked_and_takes_less_memory(encoded):
    _, _, report = encoded(*NETWORKS["separable"]("int8"), target="micro")
    assert report.channels.arena_bytes.after < report.channels.arena_bytes.before
    assert [check.name for check in report.channels.verification.runtimes] == ["TensorFlow Lite Micro, nothing decoded"]
    assert report.channels.verification.constants.runtimes == ["TensorFlow Lite Micro"]


def test_verify_knows_the_slices(encoded):
    source, destination, _ = encoded(*NETWORKS["residual"]("int8"))
    found = tflite_sparse.verify(destination, source)
    assert found.passed
    assert found.constants.compared > 8
    assert found.allowed_share_of_range == 0
    assert not any("pass: float32" in line for line in verification_tables.verdicts(found))
    assert any("has dead channels that" in line for line in verification_tables.verdicts(found))
    model = serde.read(destination)
    graph = next(graphs(model))
    weights = next(
        index
        for index, tensor in enumerate(graph.subgraph.tensors)
        if len(tensor.shape) == 4 and graph.is_constant(index)
    )
    values = graph.constant(weights).copy()
    values.flat[5] += 1
    graph.store(graph.tensor(weights), values)
    serde.write(model, destination)
    found = tflite_sparse.verify(destination, source)
    assert not found.passed
    assert len(found.weights.different) == 1


def test_inspect_shows_how_many_could_go(encoded):
    source, destination, report = encoded(*NETWORKS["plain"]("int8"))
    found = tflite_sparse.inspect(source)
    assert found.dead_channels == report.channels.dead
    left = tflite_sparse.inspect(destination)
    assert not left.dead_channels.layers
    assert not any(line.startswith("Dead channels") for line in file_tables.summary(left))
    line = next(line for line in file_tables.summary(found) if line.startswith("Dead channels"))
    assert f"{found.dead_channels.channels} of 38 in 3 operators could go" in line


def test_an_unknown_value_is_refused():
    with pytest.raises(SettingsError, match="keep_channels"):
        tflite_sparse.encode("a", "b", keep_channels="some")
