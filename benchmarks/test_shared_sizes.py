"""Test the bits of a kept weight on sizes by hand."""

from shared_sizes import Sizes, Stored, bits_table, cells


def sizes(first, second, sparse_bytes=0):
    return Sizes(10, sparse_bytes, 30, 40, (Stored("CONV_2D 4x1x1x2", *first), Stored("FULLY_CONNECTED 3x9", *second)))


def test_bits_are_those_of_all_seeds_and_tensors():
    files = {None: [sizes((2, 4), (10, 20)), sizes((6, 24), (20, 40))], 8: [sizes((2, 2), (10, 10))] * 2}
    *_, heading, _, first, second, together = bits_table(files)
    assert heading == "| weights | kept | all | 8 |"
    assert first == "| CONV_2D 4x1x1x2 | 4 | 28.00 | 8.00 |"
    assert second == "| FULLY_CONNECTED 3x9 | 15 | 16.00 | 8.00 |"
    assert together == "| together | 19 | 18.53 | 8.00 |"


def test_cells_are_means_over_seeds():
    assert cells([sizes((1, 1), (1, 1), 1000), sizes((1, 1), (1, 1), 2000)]) == ["10", "1,500", "30", "40"]
