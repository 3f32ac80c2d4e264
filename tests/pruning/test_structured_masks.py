"""Compare blocks, N:M and global ranking with their definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tflite_sparse.errors import ModelError, SettingsError
from tflite_sparse.pruning import masks, structure
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.sources.source_model import Kernel

DTYPES = [np.float32, np.float64, np.float16]

blocks = st.sampled_from(["1x4", "4x1", "1x16", "2x2", "2x3", "3x1", "5x7"])
groups = st.sampled_from(["2:4", "1:4", "1:3", "3:5"])
any_axes = st.sampled_from([(-1, -2), (-2, -1)])


@st.composite
def kernels(draw):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=11))
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape)
    if draw(st.booleans()):  # ties and zeros
        values = np.round(values)
    return values.astype(draw(st.sampled_from(DTYPES)))


def in_file_order(values, axes):
    """Return the array with outputs and inputs at the end."""
    return np.moveaxis(values, axes, (-2, -1))


def tiles(values, structure, axes):
    """Yield every block as a view, also cut ones."""
    moved = in_file_order(values, axes)
    (height, width), (rows, columns) = structure.block, moved.shape[-2:]
    for lead in np.ndindex(moved.shape[:-2]):
        for top, left in itertools.product(range(0, rows, height), range(0, columns, width)):
            yield moved[lead][top : top + height, left : left + width]


@given(kernels(), blocks, any_axes, st.floats(0, 0.99))
def test_blocks_are_whole_and_the_least(values, words, axes, sparsity):
    form = structure.parse(words)
    mask = masks.magnitude_mask(values, sparsity, form, axes)
    assert mask.shape == values.shape
    kept, gone, largest = [], [], 0
    for tile, part in zip(tiles(np.abs(values), form, axes), tiles(mask, form, axes), strict=True):
        assert part.all() or not part.any()
        largest = max(largest, tile.size)
        (kept if part.all() else gone).append(tile.astype(np.float64).mean())
    if kept and gone:
        assert min(kept) >= max(gone) - 1e-6
    # Whole blocks come as near as half a block.
    assert abs(np.count_nonzero(~mask) - round(sparsity * values.size)) <= largest / 2
    if sparsity == 0:
        assert mask.all()


@given(kernels(), groups, any_axes, st.floats(0, 1))
def test_of_every_group_the_largest_are_kept(values, words, axes, share):
    form = structure.parse(words)
    kept_of, size = form.kept_of
    full = form.sparsity
    mask = masks.magnitude_mask(values, full * share, form, axes)
    final = masks.magnitude_mask(values, full, form, axes)
    row_mask, row_final, row_values = (
        in_file_order(array, axes).reshape(-1, values.shape[axes[1]]) for array in (mask, final, np.abs(values))
    )
    allowed = 0
    for part, last, row in zip(row_mask, row_final, row_values, strict=True):
        for start in range(0, len(row), size):
            group = slice(start, start + size)
            length = len(row[group])
            limit = -(-kept_of * length // size)  # of a cut group in proportion, rounded up
            allowed += length - limit
            assert np.count_nonzero(last[group]) == limit
            assert np.count_nonzero(part[group]) >= limit
            if limit < length:
                assert row[group][last[group]].min() >= row[group][~last[group]].max()
    assert np.count_nonzero(~mask) == min(round(full * share * values.size), allowed)
    assert not (final & ~mask).any()  # rising sparsity masks no weight that the final mask keeps


@given(
    st.lists(kernels(), min_size=1, max_size=4), st.floats(0, 0.99), any_axes, st.sampled_from(["1x1", "1x4", "2x2"])
)
def test_global_total(values, sparsity, axes, words):
    form = structure.parse(words)
    found = masks.global_masks([(each, form, axes) for each in values], sparsity)
    assert [mask.shape for mask in found] == [each.shape for each in values]
    assert all(mask.any() for mask in found)
    total = sum(each.size for each in values)
    wanted, zeros = round(sparsity * total), sum(np.count_nonzero(~mask) for mask in found)
    largest = form.block[0] * form.block[1]
    protected = largest * len(values)  # one unit of each is never masked
    assert wanted - protected <= zeros <= wanted + largest / 2
    if wanted <= total - protected:
        assert abs(zeros - wanted) <= largest / 2
    for mask, each in zip(found, values, strict=True):
        for part in tiles(mask, form, axes):
            assert part.all() or not part.any()
        assert mask.reshape(-1)[np.argmax(np.abs(each))] or words != "1x1"


def test_global_ranking_takes_from_the_kernel_of_small_weights():
    generator = np.random.default_rng(0)
    large, small = generator.normal(0, 10, (20, 20)), generator.normal(0, 0.001, (20, 20))
    first, second = masks.global_masks([(v, Structure(), (-1, -2)) for v in (large, small)], 0.4975)
    assert np.count_nonzero(~first) == 0
    assert np.count_nonzero(~second) == 398
    assert second.reshape(-1)[np.argmax(np.abs(small))]


def test_of_blocks_that_are_alike_the_first_ones_go():
    """Every other row is larger; one block of each row is cut, so that their sizes differ."""
    values = np.tile(np.array([[2.0], [1.0]], np.float32), (200, 5))
    mask = masks.magnitude_mask(values, 0.2, structure.parse("1x2"), (-2, -1))
    np.testing.assert_array_equal(np.flatnonzero(~mask.any(axis=1)), np.arange(1, 160, 2))
    assert np.count_nonzero(~mask) == 400


@pytest.mark.parametrize(("words", "height", "width"), [("1x1", 1, 1), ("1x4", 1, 4), ("2x2", 2, 2)])
def test_of_a_kernel_whose_every_unit_is_among_the_smallest_the_largest_one_is_kept(words, height, width):
    """Half of all weights are to be masked. Those of the second kernel are the smallest; the first one adds some."""
    rising = np.arange(1, 65, dtype=np.float32).reshape(8, 8)
    kernels = [(values, structure.parse(words), (-2, -1)) for values in (rising + 1000, rising)]
    first, second = masks.global_masks(kernels, 0.5)
    expected = np.ones((8, 8), bool)
    expected[:height, :width] = False
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, ~expected[::-1, ::-1])


def test_of_kernels_of_one_unit_nothing_is_left_out_however_much_is_asked_for():
    kernels = [(np.full((4, 4), value, np.float32), structure.parse("4x4"), (-1, -2)) for value in (0.0, 1.0, 2.0)]
    assert all(mask.all() for mask in masks.global_masks(kernels, 1.0))


def test_global_n_of_m_keeps_exactly_n():
    values = np.random.default_rng(0).normal(size=(16, 8))
    (mask,) = masks.global_masks([(values, structure.parse("2:4"), (-1, -2))], 0.5)
    assert np.all(mask.reshape(4, 4, 8).sum(1) == 2)


@pytest.mark.parametrize("words", ["1x1", "1x4", "4x1", "2x2", "2:4", "1:4"])
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 3e-39, 6e4])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_weights_that_are_all_alike(words, value, dtype):
    from tflite_sparse.sources import tensorflow_import

    values = np.full((16, 8), value, tensorflow_import.tensorflow().as_dtype(dtype).as_numpy_dtype)
    form = structure.parse(words)
    sparsity = form.sparsity or 0.75
    mask = masks.magnitude_mask(values, sparsity, form)
    assert np.count_nonzero(~mask) == round(sparsity * 128)
    if form.kept_of:
        assert np.all(mask.reshape(4, 4, 8).sum(1) == form.kept_of[0])
    (other,) = masks.global_masks([(values, form, (-1, -2))], 0.5)
    assert other.any()


def test_kernels_of_several_half_precisions_rank_together():
    from tflite_sparse.sources import tensorflow_import

    half = tensorflow_import.tensorflow().bfloat16.as_numpy_dtype
    values = np.random.default_rng(0).normal(size=(2, 8, 8))
    found = masks.global_masks(
        [(each.astype(kind), Structure(), (-1, -2)) for each, kind in zip(values, (half, np.float16), strict=True)], 0.5
    )
    assert sum(np.count_nonzero(~mask) for mask in found) == 64


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_without_order_are_refused_by_name(bad):
    values = np.ones((8, 8), np.float32)
    values[3, 4] = bad
    kernel = Kernel("net/dense/kernel", "Dense", values.shape, lambda: values, lambda new: None)
    with pytest.raises(ModelError, match=r"net/dense/kernel holds 1 NaN or infinite values"):
        masks.mask_to([kernel], 0.5)


def test_blocks_lie_where_the_axes_say():
    values = np.arange(1, 33, dtype=np.float32).reshape(8, 4)  # (inputs, outputs)
    mask = masks.magnitude_mask(values, 0.25, structure.parse("1x4"), (-1, -2))
    assert not mask[:4, :2].any()
    assert np.count_nonzero(~mask) == 8
    mask = masks.magnitude_mask(values, 0.25, structure.parse("1x4"), (-2, -1))
    assert not mask[:2].any()


@pytest.mark.parametrize("words", ["", "4", "1x", "x4", "1x4x4", "1 x 4", "1:4:8", "a:b", "1,4", "-1x4", "1x99999"])
def test_malformed_structures(words):
    with pytest.raises(SettingsError, match="expected outputs x inputs"):
        structure.parse(words)


@pytest.mark.parametrize("words", ["0x4", "4x0", "0:4", "4:4", "5:4"])
def test_impossible_structures(words):
    with pytest.raises(SettingsError):
        structure.parse(words)


@given(blocks | groups)
def test_str_is_the_inverse_of_parse(words):
    assert str(structure.parse(words)) == words
