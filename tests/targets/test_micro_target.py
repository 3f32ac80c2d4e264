"""Test which constants the target micro stores behind DECODE, and that TensorFlow Lite Micro computes the same."""

import functools
import math
import re
import sys
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import pytest

from helpers import micro_process, tiny_models
from tflite_sparse.codecs import bitmask
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.codecs.names import CODECS, Named
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.planning import decoder
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.planning.planner import Choice
from tflite_sparse.targets.micro import Micro

pytestmark = micro_process.needed

WORDS = {"prune": "pruning (bitmask)", "huffman": "Huffman", "lut": "look-up table"}
# The sizes at which masks and streams end within a byte, at its end, and behind it.
SIZES = (1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 1000, 4095, 65537, 1_000_000)


@dataclass
class Encoded:
    """A model before and after, and the choices."""

    dense: bytes
    content: bytes
    choices: list[Choice]

    @property
    def names(self):
        return {choice.name for choice in self.choices if choice.form is not None}

    def choice(self, name="weight"):
        return next(choice for choice in self.choices if choice.name == name)


@pytest.fixture
def encode(tmp_path):
    return functools.partial(encoded, tmp_path)


def encoded(folder, model, codec="auto", least_saving_bytes=0):
    source, destination = folder / "dense.tflite", folder / "micro.tflite"
    source.write_bytes(tiny_models.to_bytes(model))
    decoder.decode_file(source, source)  # without what nothing needs
    choices = encode_file(source, destination, Micro(codec, least_saving_bytes))
    back = folder / "back.tflite"
    decoder.decode_file(destination, back)
    assert back.read_bytes() == source.read_bytes()
    assert destination.stat().st_size <= source.stat().st_size
    return Encoded(source.read_bytes(), destination.read_bytes(), choices)


def whole_lstm():
    """Empty the tensors between the gates, which the runtime requires and converters do."""
    model = tiny_models.lstm(dtype="int8", data_dtype="int8")
    (graph,) = model.subgraphs
    for index in graph.operators[0].intermediates:
        graph.tensors[int(index)].shape = np.zeros(1, np.int32)
    return model


def weights_around(point):
    values = (tiny_models.sparse_weights((64, 600)) // 2 + point).astype(np.int8)
    return tiny_models.fully_connected(weights=values, per_channel=False, zero_point=point)


def random_weights(shape, low=-127):
    return np.random.default_rng(4).integers(low, 128, shape).astype(np.int8)


def few_values(shape):
    return tiny_models.sparse_weights(shape) // 16 * 16


FULLY_CONNECTED, CONV_2D = tiny_models.fully_connected, tiny_models.conv2d
# The model, and the constants that are decoded.
CASES = {
    "FULLY_CONNECTED": (FULLY_CONNECTED, {"weight"}),
    "FULLY_CONNECTED per tensor": (lambda: FULLY_CONNECTED(per_channel=False), {"weight"}),
    "FULLY_CONNECTED with a zero point": (lambda: weights_around(7), {"weight"}),
    "FULLY_CONNECTED float32": (lambda: FULLY_CONNECTED(dtype="float32"), {"weight"}),
    "CONV_2D": (CONV_2D, {"weight"}),
    "CONV_2D per tensor": (lambda: CONV_2D(per_channel=False), {"weight"}),
    "CONV_2D float32": (lambda: CONV_2D(dtype="float32"), {"weight"}),
    "CONV_2D int16 data": (lambda: CONV_2D(data_dtype="int16"), {"weight"}),
    "DEPTHWISE_CONV_2D": (tiny_models.depthwise_conv2d, {"weight"}),
    "DEPTHWISE_CONV_2D, 1 channel": (lambda: tiny_models.depthwise_conv2d(1, 32, (40, 40)), {"weight"}),
    "DEPTHWISE_CONV_2D float32": (lambda: tiny_models.depthwise_conv2d(dtype="float32"), {"weight"}),
    "TRANSPOSE_CONV": (tiny_models.transpose_conv, {"weight"}),
    "TRANSPOSE_CONV float32": (lambda: tiny_models.transpose_conv(dtype="float32"), {"weight"}),
    "SVDF": (lambda: tiny_models.svdf(dtype="int8", data_dtype="int8"), {"weight2"}),
    "SVDF float32": (tiny_models.svdf, {"weight2"}),
    "LSTM": (whole_lstm, set()),
    "LSTM float32": (tiny_models.lstm, set()),
    "BATCH_MATMUL": (tiny_models.batch_matmul, {"weight"}),
    "few values": (lambda: CONV_2D(weights=few_values((16, 3, 3, 64))), {"weight"}),
    "few values per tensor": (lambda: FULLY_CONNECTED(weights=few_values((64, 600)), per_channel=False), {"weight"}),
    "ADD": (lambda: tiny_models.elementwise("ADD", (1, 24, 32)), {"weight"}),
    "two readers": (lambda: FULLY_CONNECTED(readers=2), {"weight"}),
    "in a loop": (tiny_models.conv2d_in_subgraph, {"weight"}),
    "no zeros": (lambda: FULLY_CONNECTED(weights=random_weights((64, 600), 1)), {"weight"}),
    "uniform, no zeros to speak of": (lambda: FULLY_CONNECTED(weights=random_weights((64, 600))), set()),
    "nothing but zeros": (lambda: FULLY_CONNECTED(weights=np.zeros((64, 600), np.int8)), {"weight"}),
    "float32, nothing but zeros": (lambda: CONV_2D(dtype="float32", density=0.0), {"weight"}),
}
LARGEST_WITHOUT_DECODE = 256
CASES |= {
    f"{size:,} weights": (
        functools.partial(FULLY_CONNECTED, (1, size), per_channel=False),
        {"weight"} if size > LARGEST_WITHOUT_DECODE + 1 else set(),
    )
    for size in SIZES
}
BY_CODEC = (
    "FULLY_CONNECTED",
    "FULLY_CONNECTED with a zero point",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "few values",
    "few values per tensor",
)


def probes(model, count=3):
    """Return samples of one array for each input, each with a batch of its own."""
    values = tiny_models.samples(model, count)
    return [[values[number : number + 1]] for number in range(count)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro")
    found = {}
    for name, (make, _) in CASES.items():
        found[name, "auto"] = encoded(folder, make())
    for name in BY_CODEC:
        for codec in WORDS:
            found[name, codec] = encoded(folder, CASES[name][0](), codec)
    return found


@pytest.fixture(scope="module")
def outputs(files):
    """Return outputs of the dense file, and with decoded weights in the arena and in a memory of their own."""
    samples = {key: probes(CASES[key[0]][0]()) for key in files}
    dense = micro_process.run([(file.dense, samples[key]) for key, file in files.items()])
    found = [
        micro_process.run([(file.content, samples[key]) for key, file in files.items()], alternate_bytes=alternate)
        for alternate in (0, micro_process.ALTERNATE_BYTES)
    ]
    return {key: tuple(runs[place] for runs in (dense, *found)) for place, key in enumerate(files)}


KEYS = [*((name, "auto") for name in CASES), *((name, codec) for name in BY_CODEC for codec in WORDS)]


@pytest.mark.parametrize("key", KEYS, ids=", ".join)
def test_the_runtime_computes_what_it_does_with_the_dense_file(key, outputs):
    dense, *found = outputs[key]
    for each in found:
        assert micro_process.same([each], [dense])
    if "weights" not in key[0] and key[0] not in ("in a loop", "nothing but zeros"):
        assert len(np.unique(np.concatenate([output.reshape(-1) for row in dense for output in row]))) > 10


@pytest.mark.parametrize("name", CASES)
def test_constants_that_are_decoded(name, files):
    file = files[name, "auto"]
    assert file.names == CASES[name][1]
    decodes = sum(names.count("CUSTOM") for names in _operators(file.content))
    readers = {"two readers": 2}.get(name, 1)
    assert decodes == (readers if CASES[name][1] else 0)
    for choice in file.choices:
        if choice.form is None:
            assert choice.reason
            assert choice.encoded_bytes == choice.dense_bytes


def _operators(content):
    model = serde.parse(content)
    found = []
    for graph in model.subgraphs:
        model.subgraphs = [graph]
        found.append(tiny_models.operator_names(model))
    return found


@pytest.mark.parametrize("codec", WORDS)
@pytest.mark.parametrize("name", BY_CODEC)
def test_a_codec_that_is_asked_for(name, codec, files):
    choice = files[name, codec].choice()
    if codec != "lut" or "few values" in name or "zero point" in name:
        assert choice.stored == choice.reason == WORDS[codec]
        assert choice.encoded_bytes < choice.dense_bytes
    else:  # as many values as weights, or more than a table holds
        assert choice.stored == "dense"
        assert choice.encoded_bytes == choice.dense_bytes
    least = min(files[name, each].choice().encoded_bytes for each in WORDS)
    assert files[name, "auto"].choice().encoded_bytes == least


def clustered(shape, *, per_channel, kept=0.25):
    """int8 weights as a converter makes them of float ones on sixteen centroids, zero among them."""
    rng = np.random.default_rng(7)
    centroids = np.r_[0.0, np.sort(rng.normal(size=15))]
    real = centroids[rng.integers(1, 16, shape)] * (rng.random(shape) < kept)
    axes = tuple(range(1, len(shape))) if per_channel else None
    return np.rint(real / np.maximum(np.abs(real).max(axes, keepdims=True), 1e-9) * 127).astype(np.int8)


@pytest.mark.parametrize("kept", [1.0, 0.25, 0.05])
@pytest.mark.parametrize("per_channel", [True, False])
def test_clustered_weights_take_the_cheapest_codec(per_channel, kept, encode):
    """Sixteen values a channel, other ones in each where channels have scales of their own."""
    weights = clustered((32, 3, 3, 64), per_channel=per_channel, kept=kept)
    model = CONV_2D(weights.shape, weights=weights, per_channel=per_channel)
    sizes = {codec: len(encode(model, codec).content) for codec in ("auto", *WORDS)}
    assert sizes["auto"] == min(sizes.values()) < 0.6 * weights.size + 4000
    chosen = encode(model).choice().stored
    assert chosen == WORDS[min(WORDS, key=sizes.__getitem__)] == WORDS["huffman"]


def test_why_a_codec_that_is_asked_for_does_not_store(encode):
    """A tensor with a channel of 255 values has no table; tables of 16 channels take more than the weights."""
    none = encode(FULLY_CONNECTED(weights=random_weights((64, 600)), per_channel=False), "lut").choice()
    assert none.reason == "no codec of DECODE takes int8 of this shape and quantisation"
    dear = encode(CONV_2D(), "lut").choice()
    found = re.fullmatch(r"look-up table would take ([\d,]+) bytes", dear.reason)
    assert found, dear.reason
    assert int(found[1].replace(",", "")) >= dear.dense_bytes


@pytest.mark.parametrize("name", ["SVDF", "SVDF float32", "LSTM", "LSTM float32"])
def test_what_kernels_for_arm_want_constant_stays_dense(name, files):
    reasons = [choice.reason for choice in files[name, "auto"].choices if choice.form is None]
    assert len(reasons) == (1 if "SVDF" in name else 8)
    assert all(re.fullmatch("the cmsis-nn kernel of [A-Z_]+ reads it before it is decoded", why) for why in reasons)


def test_pruning_takes_a_bit_a_weight_and_what_is_kept(encode):
    file = encode(FULLY_CONNECTED(), "prune")
    choice = file.choice()
    payload = math.ceil(64 * 600 / 8) + 16 + 64 * 600 // 8
    assert payload < choice.encoded_bytes < payload + 256
    assert choice.entropy_bytes == entropy_bytes(tiny_models.sparse_weights((64, 600)))


def test_the_figure_of_each_constant_is_at_least_what_the_file_grew_by(files):
    """The file is no larger than the sum of the choices."""
    operator_code = 64
    for key, file in files.items():
        saved = sum(choice.dense_bytes - choice.encoded_bytes for choice in file.choices)
        assert len(file.dense) - len(file.content) >= saved - (operator_code if file.names else 0), key


def test_dense_is_what_the_codec_dense_says(encode):
    file = encode(FULLY_CONNECTED(), "dense")
    assert file.content == file.dense
    assert file.choice().reason == "the codec is dense"


@pytest.mark.parametrize("around", [-1, 0, 1])
def test_a_constant_that_saves_too_little_stays_dense(around, encode):
    free = encode(FULLY_CONNECTED()).choice()
    saving = free.dense_bytes - free.encoded_bytes
    choice = encode(FULLY_CONNECTED(), "auto", saving + around).choice()
    if around > 0:
        assert choice.form is None
        assert choice.reason == f"{free.stored} would save {saving:,} bytes, less than --micro-min-saving"
    else:
        assert choice.encoded_bytes == free.encoded_bytes


def test_what_is_read_while_the_file_loads_stays_dense():
    tiny = tiny_models.Tiny()
    x, y = (tiny.activation(name, (1, 8, 8, 8), "float32") for name in "xy")
    paddings = tiny.constant("paddings", np.zeros((4, 2), np.int32))
    tiny.operator(tiny_models.schema.BuiltinOperator.PAD, 1, [x, paddings], [y])
    (graph,) = graphs(serde.parse(tiny_models.to_bytes(tiny.finished([x], [y]))))
    refusal = Micro()(graph, paddings, graph.uses()[paddings]).refusal
    assert refusal == "the reference kernel of PAD reads it before it is decoded"


def test_a_codec_is_added_by_its_module_and_one_entry(monkeypatch, tmp_path):
    """A mask under another name and number: encoded, told in the report, and decoded again."""
    named = Named("other", 9, "the other mask", "other_codec")
    other = ModuleType(named.module)
    other.refusal, other.nbytes, other.decode = bitmask.refusal, bitmask.nbytes, bitmask.decode

    def encode(values, channels):
        found = bitmask.encode(values, channels)
        found.ancillary[0] = named.number
        return replace(found, codec=named.name)

    other.encode = encode
    monkeypatch.setitem(sys.modules, named.module, other)
    monkeypatch.setitem(CODECS, named.name, named)
    dense, encoded, back = (tmp_path / f"{name}.tflite" for name in ("dense", "encoded", "back"))
    dense.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    decoder.decode_file(dense, dense)
    (choice,) = encode_file(dense, encoded, Micro(named.name))
    assert choice.stored == named.words
    assert encoded.stat().st_size < dense.stat().st_size
    assert decoder.decode_file(encoded, back).count == 1
    assert back.read_bytes() == dense.read_bytes()
