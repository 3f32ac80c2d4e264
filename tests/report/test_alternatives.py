"""Which way out is advised where int8 lost too much."""

from tflite_sparse.report.alternatives import Alternative, advice, lines


def way(option, drop, size):
    return Alternative(option=option, accuracy=0.9, drop=drop, file_bytes=size, words="measured")


FAILED = Alternative(option="--broken", words="it cannot be made")


def test_the_smallest_file_within_the_gate_is_taken_even_if_it_loses_exactly_what_is_allowed():
    found = [FAILED, way("--large", 0.001, 3000), way("--small", 0.01, 2000), way("--smallest", 0.011, 1000)]
    assert advice(found, 0.2, 0.01) == "Take --small: the drop is 0.0100, in 2,000 bytes."


def test_beyond_the_gate_the_least_drop_comes_nearest_and_of_equal_ones_the_smaller_file():
    found = [way("--large", 0.05, 3000), way("--small", 0.05, 2000), way("--smallest", 0.06, 1000), FAILED]
    assert advice(found, 0.2, 0.01) == "--small comes nearest: the drop is 0.0500, in 2,000 bytes."


def test_what_loses_as_much_as_int8_does_not_help():
    words = "None of the ways out helps: it is not int8 that costs the accuracy."
    assert advice([way("--same", 0.2, 2000), way("--worse", 0.3, 1000)], 0.2, 0.01).startswith(words)
    assert advice([way("--hardly", 0.199, 2000)], 0.2, 0.01).startswith("--hardly comes nearest")
    assert advice([FAILED], 0.2, 0.01).startswith(words)


def test_each_way_out_has_a_line():
    assert lines([way("--small", 0.01, 2000), FAILED]) == [
        "Instead, --small: accuracy 0.9000, drop 0.0100, 2,000 bytes; measured.",
        "Instead, --broken: it cannot be made",
    ]
