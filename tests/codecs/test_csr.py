import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import tiny_models
from helpers.random_layouts import arrays_with_layouts, same_bits
from helpers.tally import tally
from tflite_sparse.codecs import csr, search
from tflite_sparse.codecs.csr import CompressedLevel
from tflite_sparse.codecs.layout import Layout


def read_like_the_runtime(encoded):
    """Decode slowly by the format's description: walk the levels, one value for each leaf reached."""
    layout = encoded.layout
    rank = len(layout.shape)
    result = np.zeros(layout.shape, encoded.values.dtype)
    values = iter(range(len(encoded.values)))

    def walk(level, node, coordinates):
        if level == len(layout.traversal_order):
            where = dict(zip(layout.traversal_order, coordinates, strict=True))
            place = [where[axis] for axis in range(rank)]
            for block, (axis, size) in enumerate(zip(layout.block_map, layout.block_shape, strict=True)):
                place[axis] = place[axis] * size + where[rank + block]
            result[tuple(place)] = encoded.values[next(values)]
            return
        stored, size = encoded.levels[level], layout.level_sizes[level]
        if stored is None:
            for child in range(size):
                walk(level + 1, node * size + child, (*coordinates, child))
        else:
            for child in range(int(stored.segments[node]), int(stored.segments[node + 1])):
                walk(level + 1, child, (*coordinates, int(stored.indices[child])))

    walk(0, 0, ())
    assert next(values, None) is None
    return result


@given(arrays_with_layouts())
def test_decode_undoes_encode(case):
    array, layout = case
    encoded = csr.encode(array, layout)
    assert encoded.values.ndim == 1
    assert encoded.values.dtype == array.dtype
    assert same_bits(csr.decode(encoded), array)


@given(arrays_with_layouts())
def test_encode_writes_what_the_format_says(case):
    array, layout = case
    assert same_bits(read_like_the_runtime(csr.encode(array, layout)), array)


@given(arrays_with_layouts(blocks=False, least_compressed=1))
def test_only_nonempty_branches_are_stored(case):
    array, layout = case
    leaves = layout.to_levels(array != 0 if array.dtype.kind != "f" else array.view(f"u{array.itemsize}") != 0)
    last = max(depth for depth, flag in enumerate(layout.compressed) if flag)
    occupied = leaves.reshape(*leaves.shape[: last + 1], -1).any(axis=-1)
    encoded = csr.encode(array, layout)
    assert encoded.levels[last].indices.size == np.count_nonzero(occupied)


def test_encode_takes_arrays_that_are_not_contiguous():
    array = tiny_models.sparse_weights((6, 5, 4)).transpose(2, 0, 1)[::2]
    layout = Layout(array.shape, (1, 2, 0), (False, True, True))
    assert same_bits(csr.decode(csr.encode(array, layout)), np.ascontiguousarray(array))


def test_a_known_matrix():
    array = np.array([[0, 3, 0], [0, 0, 0], [5, 0, 7]], np.int8)
    encoded = csr.encode(array, Layout((3, 3), (0, 1), (False, True)))
    rows, columns = encoded.levels
    assert rows is None
    assert columns.segments.tolist() == [0, 1, 1, 3]
    assert columns.indices.tolist() == [1, 0, 2]
    assert encoded.values.tolist() == [3, 5, 7]
    assert encoded.nbytes == 4 + 3 + 3


def test_a_compressed_outer_level_drops_empty_rows():
    array = np.array([[0, 3, 0], [0, 0, 0], [5, 0, 7]], np.int8)
    rows, columns = csr.encode(array, Layout((3, 3), (0, 1), (True, True))).levels
    assert (rows.segments.tolist(), rows.indices.tolist()) == ([0, 2], [0, 2])
    assert (columns.segments.tolist(), columns.indices.tolist()) == ([0, 1, 3], [1, 0, 2])


def test_a_dense_level_between_two_compressed_ones():
    array = np.zeros((4, 3, 5), np.int8)
    array[1, 2, 3], array[3, 0, 0] = 7, 8
    encoded = csr.encode(array, Layout((4, 3, 5), (0, 1, 2), (True, False, True)))
    rows, planes, columns = encoded.levels
    assert planes is None
    assert (rows.segments.tolist(), rows.indices.tolist()) == ([0, 2], [1, 3])
    assert (columns.segments.tolist(), columns.indices.tolist()) == ([0, 0, 0, 1, 2, 2, 2], [3, 0])
    np.testing.assert_array_equal(csr.decode(encoded), array)


def test_encode_refuses_what_does_not_fit():
    array = np.zeros((2, 3), np.int8)
    with pytest.raises(ValueError, match="cannot store"):
        csr.encode(array, Layout((3, 2), (0, 1), (False, True)))
    with pytest.raises(ValueError, match="cannot store"):
        csr.encode(array, Layout((2, 3)))


@pytest.mark.parametrize(("size", "dtype"), [(255, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "i4")])
def test_width_of_indices_follows_the_size_of_the_dimension(size, dtype):
    array = np.zeros((2, size), np.int8)
    array[:, -1] = (1, 2)  # the largest index is the one that would overflow
    array[1, 0] = 3
    layout = Layout(array.shape, (0, 1), (False, True))
    encoded = csr.encode(array, layout)
    assert encoded.levels[1].indices.dtype == np.dtype(dtype)
    assert encoded.levels[1].indices.tolist() == [size - 1, 0, size - 1]
    assert same_bits(csr.decode(encoded), array)
    bytes_of_values_and_segments = 3 + 3
    priced = {cost.layout: cost.nbytes for cost in search.costs(array)}
    assert priced[layout] == encoded.nbytes == bytes_of_values_and_segments + 3 * np.dtype(dtype).itemsize


@pytest.mark.parametrize(("kept", "dtype"), [(255, "u1"), (256, "u2"), (257, "u2"), (65535, "u2"), (65536, "i4")])
def test_width_of_segments_follows_the_number_of_kept_values(kept, dtype):
    array = np.zeros((300, 256), np.int8)
    array.reshape(-1)[:kept] = 7
    layout = Layout(array.shape, (0, 1), (False, True))
    encoded = csr.encode(array, layout)
    assert encoded.levels[1].segments.dtype == np.dtype(dtype)
    assert encoded.levels[1].segments[-1] == kept
    assert same_bits(csr.decode(encoded), array)
    assert {c.layout: c.nbytes for c in search.costs(array)}[layout] == encoded.nbytes


def encoded_rows():
    array = np.array([[0, 3, 0, 0], [0, 0, 0, 2], [5, 0, 7, 0]], np.int8)
    return csr.encode(array, Layout((3, 4), (0, 1), (False, True)))


def with_level(encoded, segments=None, indices=None):
    old = encoded.levels[1]
    level = CompressedLevel(
        old.segments if segments is None else np.array(segments, np.int32),
        old.indices if indices is None else np.array(indices, np.int32),
    )
    return dataclasses.replace(encoded, levels=(None, level))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segments": [0, 3, 2, 4]}, "do not rise"),
        ({"segments": [0, 9, 2, 4]}, "do not rise"),
        ({"segments": [0, -1, 2, 4]}, "do not rise"),
        ({"segments": [1, 1, 2, 4]}, "do not rise"),
        ({"segments": [0, 1, 2, 3]}, "do not rise"),
        ({"segments": [0, 1, 2, 5]}, "do not rise"),
        ({"segments": [0, 1, 4]}, "3 segments for 3 nodes"),
        ({"segments": [0, 1, 2, 4, 4]}, "5 segments for 3 nodes"),
        ({"segments": []}, "0 segments for 3 nodes"),
        ({"indices": [1, 3, 0, 4]}, "outside"),
        ({"indices": [1, 3, 0, -1]}, "outside"),
        ({"indices": [1, 3, 0, 2**31 - 1]}, "outside"),
        ({"indices": [1, 3, 0]}, "do not rise"),
        ({"indices": []}, "do not rise"),
    ],
)
def test_decode_refuses_damaged_levels(change, words):
    assert csr.decode(with_level(encoded_rows(), **{})).sum() == 17  # undamaged, it decodes
    with pytest.raises(ValueError, match=words):
        csr.decode(with_level(encoded_rows(), **change))


@pytest.mark.parametrize("count", [0, 3, 5])
def test_decode_refuses_a_wrong_number_of_values(count):
    with pytest.raises(ValueError, match=f"{count} values stored for 4 leaves"):
        csr.decode(dataclasses.replace(encoded_rows(), values=np.ones(count, np.int8)))


@pytest.mark.parametrize(("count", "least"), [(0, "at least "), (1, "at least "), (3, "at least "), (7, ""), (9, "")])
def test_decode_refuses_a_wrong_number_of_values_in_blocks(count, least):
    array = np.array([[1, 2, 0, 0], [0, 0, 3, 4]], np.int8)
    layout = Layout((2, 4), (0, 1, 2), (True, True, False), (1,), (2,))
    encoded = csr.encode(array, layout)
    assert encoded.values.size == 4
    with pytest.raises(ValueError, match=f"{count} values stored for {least}4 leaves"):
        csr.decode(dataclasses.replace(encoded, values=np.ones(count, np.int8)))


@pytest.mark.parametrize("segments", [[], [0], [0, 1, 1, 1, 1, 2]])
def test_decode_refuses_a_dense_level_of_more_nodes_than_the_next_one_has_segments_for(segments):
    array = np.zeros((3, 3, 4), np.int8)
    array[0, 0, 1] = array[2, 2, 3] = 1
    encoded = csr.encode(array, Layout((3, 3, 4), (0, 1, 2), (True, False, True)))
    first, _, last = encoded.levels
    assert last.segments.size == 7  # two kept nodes of three each, and the end
    cut = dataclasses.replace(last, segments=np.array(segments, np.uint8))
    with pytest.raises(ValueError, match="2 values stored for at least 6 leaves"):
        csr.decode(dataclasses.replace(encoded, levels=(first, None, cut)))


@pytest.mark.parametrize("count", [0, 5, 7])
def test_decode_refuses_a_wrong_number_of_values_of_dense_levels(count):
    encoded = csr.encode(np.arange(6, dtype=np.int8).reshape(2, 3), Layout((2, 3), (1, 0), (False, False)))
    with pytest.raises(ValueError, match=f"{count} values stored for 6 leaves"):
        csr.decode(dataclasses.replace(encoded, values=np.ones(count, np.int8)))


def test_decode_refuses_levels_that_contradict_the_layout():
    encoded = encoded_rows()
    with pytest.raises(ValueError, match="compressed in one place and dense in another"):
        csr.decode(dataclasses.replace(encoded, levels=(None, None)))
    with pytest.raises(ValueError, match="compressed in one place and dense in another"):
        csr.decode(dataclasses.replace(encoded, levels=(encoded.levels[1], encoded.levels[1])))
    with pytest.raises(ValueError, match="argument"):
        csr.decode(dataclasses.replace(encoded, levels=(None,)))


def test_decode_of_a_huge_dense_level_over_few_values_allocates_nothing():
    layout = Layout((2**20, 2**20), (0, 1, 2), (True, False, False), (1,), (2**10,))
    level = CompressedLevel(np.array([0, 2**20], np.int32), np.arange(2**20, dtype=np.int32))
    with pytest.raises(ValueError, match="values stored"):
        csr.decode(csr.Encoded(layout, np.ones(5, np.int8), (level, None, None)))


def test_decode_of_random_damage_raises_or_yields_the_right_shape():
    def is_read(draw):
        array, layout = draw(arrays_with_layouts(least_compressed=1))
        encoded = csr.encode(array, layout)
        depth = draw(st.sampled_from([i for i, flag in enumerate(layout.compressed) if flag]))
        part = draw(st.sampled_from(("segments", "indices")))
        vector = getattr(encoded.levels[depth], part).astype(np.int32)
        if vector.size and draw(st.booleans()):
            other = draw(st.integers(0, 6) | st.integers(-3, 20) | st.just(2**31 - 1))
            vector[draw(st.integers(0, vector.size - 1))] = other
        else:
            vector = np.resize(vector, draw(st.integers(0, vector.size + 2))) if vector.size else np.ones(1, np.int32)
        levels = list(encoded.levels)
        levels[depth] = dataclasses.replace(levels[depth], **{part: vector})
        damaged = dataclasses.replace(encoded, levels=tuple(levels))
        try:
            result = csr.decode(damaged)
        except ValueError:
            return False
        assert same_bits(result, read_like_the_runtime(damaged))
        return True

    seen = tally(is_read)
    assert seen[False] > 50
    assert seen[True] > 0
