"""Test that a file is either refused, or all commands work on it and write valid files."""

import random
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers import foreign_models, tiny_models
from helpers.tally import tally
from tflite_sparse.codecs.constants import dense_values
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.planning.decoder import decode_model
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.targets import litert
from tflite_sparse.verification.weights import weights_of


def encoded(model):
    model = serde.parse(tiny_models.to_bytes(model))
    encode_model(model, litert.answer)
    return model


def natively(model, block):
    return foreign_models.read_natively(foreign_models.store_sparse(model, blocks={1: block}))


FILES = {
    name: bytes(serde.serialize(model))
    for name, model in {
        "conv": tiny_models.conv2d((8, 3, 3, 8), (4, 4)),
        "conv_sparse": encoded(tiny_models.conv2d((16, 3, 3, 16), (4, 4))),
        "conv_in_groups_of_channels": encoded(tiny_models.conv2d((258, 1, 1, 258), (1, 1), density=0.01)),
        "conv_float32_dynamic": encoded(tiny_models.conv2d((8, 3, 3, 32), (4, 4), dtype="float32", dynamic=True)),
        "depthwise": encoded(tiny_models.depthwise_conv2d(64, 3, (3, 3))),
        "transpose_conv": encoded(tiny_models.transpose_conv((8, 3, 3, 16), (2, 2))),
        "gather": encoded(tiny_models.gather(32, 40)),
        "fully_connected": tiny_models.fully_connected((16, 40), bias=False, dynamic=True),
        "fully_connected_as_conv": encoded(tiny_models.fully_connected((32, 80), per_channel=True, bias=False)),
        "one_scale": encoded(tiny_models.fully_connected((32, 80), per_channel=False)),
        "native_int8": natively(tiny_models.fully_connected((16, 64), per_channel=False), 16),
        "native_float32": natively(tiny_models.fully_connected((16, 64), dtype="float32"), 4),
        "float16": encoded(tiny_models.through_dequantize(tiny_models.fully_connected((32, 80), dtype="float32"))),
        "graphs": encoded(tiny_models.conv2d_in_subgraph("WHILE", 16, (3, 3))),
    }.items()
}


def damaged(file, draw):
    """Change one to three fields of the file's tables; the constants lie after the tables."""
    changed = bytearray(file)
    for _ in range(draw(st.integers(1, 3))):
        width = draw(st.sampled_from((1, 2, 4)))
        place = draw(st.integers(8, min(len(file) - 8, 2500))) // width * width
        value = draw(
            st.sampled_from((0, 1, 2, 3, 5, 16, 127, 128, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1))
            | st.integers(-9, 9).map(lambda step: int.from_bytes(file[place : place + width], "little") + step)  # noqa: B023
        )
        changed[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(changed)


def check(file):
    """Run everything that a user may on a file that may be refused."""
    for edit in (decode_model, lambda model: encode_model(model, litert.answer)):
        try:
            model = serde.parse(file)
            expected = weights_of(model)
            edit(model)
        except FlatbufferError:
            return False
        written = list(graphs(serde.parse(bytes(serde.serialize(model)))))
        for (number, index), values in expected.items():
            if index < len(written[number].subgraph.tensors):  # otherwise only a DENSIFY without readers read it
                found = dense_values(written[number], index)
                assert found is not None
                assert found.dtype == values.dtype
                assert found.tobytes() == values.tobytes()
    return True


@pytest.mark.parametrize("name", FILES)
def test_undamaged_files_work(name):
    assert check(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_or_work(name):
    seen = tally(lambda draw: check(damaged(FILES[name], draw)), examples=60)
    assert min(seen[True], seen[False]) > 5


@pytest.mark.parametrize("name", FILES)
def test_bits_flipped_anywhere(name):
    generator = random.Random(7)
    seen = Counter()
    for _ in range(60):
        changed = np.frombuffer(FILES[name], np.uint8).copy()
        for place in generator.sample(range(8, len(changed)), 3):
            changed[place] ^= 1 << generator.randrange(8)
        seen[check(changed.tobytes())] += 1
    assert seen[False] > 5
    assert seen[True] > 0


@pytest.mark.parametrize("name", FILES)
def test_files_cut_anywhere(name):
    file = FILES[name]
    for length in random.Random(7).sample(range(len(file)), 40):
        with suppress(FlatbufferError):
            pytest.fail(f"a model of {len(serde.parse(file[:length]).buffers)} buffers in {length} bytes")
