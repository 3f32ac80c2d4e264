"""Remove the clipping that the converter adds to LSTMs, and no other."""

from copy import deepcopy

import pytest

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.rewrites import lstm_cell_clip


@pytest.mark.parametrize(("clip", "left", "edited"), [(10.0, 0.0, 1), (9.0, 9.0, 0), (0.0, 0.0, 0)])
def test_only_the_converters_clip_goes(clip, left, edited):
    model = tiny_models.lstm()
    model.subgraphs[0].operators[0].builtinOptions.cellClip = clip
    parsed = serde.parse(tiny_models.to_bytes(model))
    assert lstm_cell_clip.drop(parsed) == edited
    again = serde.parse(serde.serialize(parsed))
    assert again.subgraphs[0].operators[0].builtinOptions.cellClip == left


def test_every_lstm_counts_and_other_operators_stay():
    model, other = tiny_models.lstm(), tiny_models.conv2d()
    operator = model.subgraphs[0].operators[0]
    model.subgraphs[0].operators = [operator, other.subgraphs[0].operators[0], deepcopy(operator)]
    for each in model.subgraphs[0].operators[::2]:
        each.builtinOptions.cellClip = lstm_cell_clip.CONVERTERS_CLIP
    assert lstm_cell_clip.drop(model) == 2
    assert [each.builtinOptions.cellClip for each in model.subgraphs[0].operators[::2]] == [0, 0]
