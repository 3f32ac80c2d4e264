"""Test what reports say of masked channels."""

from tflite_sparse.report.text import channels
from tflite_sparse.results.channels import MaskedChannels


def group(*names, kept=8, asked=0.5):
    return MaskedChannels(kernels=tuple(f"net/{name}/kernel" for name in names), channels=16, kept=kept, asked=asked)


def test_each_group_has_a_row_with_what_is_tied_to_it():
    found = channels.table([group("stem", "project", "other"), group("hidden", kept=16, asked=None)])
    assert found.rows == (
        ("net/stem/kernel", "net/project/kernel, net/other/kernel", "0.500", "8", "16"),
        ("net/hidden/kernel", "", "", "16", "16"),
    )


def test_the_sentence_adds_up_and_names_the_first_groups():
    assert channels.sentence([group("a"), group("b", kept=16)]) == (
        "Channels kept: 24 of 32 (net/a/kernel 8 of 16, net/b/kernel 16 of 16)."
    )
    assert channels.sentence([group(str(n)) for n in range(11)]).endswith("net/7/kernel 8 of 16, 3 more groups).")
