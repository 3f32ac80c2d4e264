"""What reports say of a microcontroller: the table of instructions on terminal, Markdown and page; warnings."""

import pytest

from helpers import example_reports
from tflite_sparse.report.page import export as page
from tflite_sparse.report.text import markdown, targets
from tflite_sparse.results.instructions import CountedOperator, Inference
from tflite_sparse.results.micro import MicroKernelsReport, MicroOperator, MicroReport
from tflite_sparse.results.target_part import TargetPart

SPARSE = MicroOperator(
    name="dense/MatMul",
    operator="FULLY_CONNECTED",
    kernel="places of 8 bits",
    stored_bytes=2_001,
    dense_bytes=16_001,
    instructions=10_000,
    dense_instructions=31_000,
)
DENSE = SPARSE.model_copy(
    update={
        "name": "conv1/Conv2D",
        "operator": "CONV_2D",
        "kernel": None,
        "instructions": 500,
        "dense_instructions": 500,
    }
)


def report(decoding=0, saved=9_000, code=3_001, kernels="sparse"):
    operators = [SPARSE, DENSE]
    on_cpu = MicroKernelsReport(
        cpu="cortex-m4",
        model_error=0.12,
        code_bytes=code,
        code_measured=True,
        instructions=10_500 + decoding,
        dense_instructions=31_500,
        operators=operators,
        other=None,
        verdict="3.0 times fewer.",
    )
    micro = MicroReport(
        flash_saved_bytes=saved,
        decoder_flash_bytes=8_300,
        arena_dense_bytes=None,
        arena_decoded_bytes=None,
        arena_with_alternate_bytes=None,
        alternate_memory_bytes=0,
        largest_decoded_bytes=0,
        decoded_bytes_per_invoke=0,
        statement="None is rebuilt.",
        cpp="",
        kernels=kernels,
        on_cpu=on_cpu,
    )
    return example_reports.make(micro=micro)


def test_a_row_for_each_operator_and_their_sum():
    found = targets.instructions(report())
    assert found.rows == (
        ("dense/MatMul", "FULLY_CONNECTED", "places of 8 bits", "10,000", "31,000", "3.10x"),
        ("conv1/Conv2D", "CONV_2D", "dense", "500", "500", "1.00x"),
        ("in all", "", "", "10,500", "31,500", "3.00x"),
    )


def test_decoding_has_a_row_of_its_own():
    assert ("all compressed weights", "DECODE", "", "70,000", "0", "") in targets.instructions(report(70_000)).rows


def of_c(**how):
    operators = [
        CountedOperator(operator="CONV_2D", layer="conv1", form="dense", instructions=7_500),
        CountedOperator(operator="MAX_POOL_2D", layer="pool", form="", instructions=2_500),
    ]
    inference = Inference(cpu="cortex-m4", instructions=10_000, operators=operators, **how)
    return example_reports.make(target_part=TargetPart(inference=inference))


def test_operators_of_generated_c_have_rows_with_their_share():
    assert targets.instructions(of_c(counted=True)).rows == (
        ("CONV_2D", "conv1", "dense", "7,500", "75.0%"),
        ("MAX_POOL_2D", "pool", "", "2,500", "25.0%"),
        ("in all", "", "", "10,000", ""),
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"counted": True}, "inference on cortex-m4. Counted in qemu-system-arm on random inputs."),
        (
            {"counted": False, "reason": "nothing is installed", "error": 0.12},
            "Estimated by a model fitted to an emulator, off by up to 12% for an operator: nothing is installed.",
        ),
    ],
)
def test_reports_say_whether_instructions_of_generated_c_were_counted(how, words):
    for text in (markdown.render(of_c(**how)), page.render(of_c(**how))):
        assert "MAX_POOL_2D" in text
        assert words in text


def test_a_report_without_instructions_has_no_table():
    assert targets.instructions(example_reports.make(target_part=TargetPart())) is None


def test_markdown_and_page_show_the_table_and_what_its_figures_are():
    for text in (markdown.render(report()), page.render(report())):
        assert "Instructions</h2>" in text or "## Instructions" in text
        assert "31,000" in text
        assert "3.10x" in text
        assert "cortex-m4, by a model fitted to an emulator that is off by up to 12%" in text


def test_without_a_microcontroller_there_is_no_table():
    assert targets.instructions(example_reports.make()) is None
    assert "## Instructions" not in markdown.render(example_reports.make())


@pytest.mark.parametrize(
    ("kernels", "saved", "words"),
    [
        ("sparse", 3_000, "the code of the kernels takes more than the file saves"),
        ("tflm", 8_299, "the decoder takes more than the file saves"),
        ("sparse", 3_001, None),
        ("tflm", 8_300, None),
        ("sparse", 0, None),
    ],
)
def test_a_file_that_saves_less_than_its_code_takes_is_told(kernels, saved, words):
    lines = [line for line in targets.micro(report(saved=saved, kernels=kernels).micro) if "saves no flash" in line]
    assert lines == ([] if words is None else [f"This file alone saves no flash: {words}."])
