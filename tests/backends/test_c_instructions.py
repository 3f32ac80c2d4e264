"""Instructions of generated C: counted, or estimated with the reason."""

import pytest

from helpers import generated_c, int8_nets, tiny_models
from tflite_sparse.backends import c_instructions, c_report
from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import cortex_m, cortex_m_model, micro
from tflite_sparse.targets import micro_costs


@pytest.fixture(scope="module")
def sources():
    return generated_c.generated(int8_nets.residual().finished(), "cortex-m4")


def test_a_model_that_the_emulator_does_not_run_is_estimated(sources, monkeypatch):
    def refuse(*_):
        raise ExecutionError("the board holds less memory.\nand more")

    monkeypatch.setattr(cortex_m, "is_available", lambda: True)
    monkeypatch.setattr(cortex_m_model, "run", refuse)
    found = c_instructions.inference(sources, "cortex-m4")
    assert (found.counted, found.reason) == (False, "the board holds less memory")
    assert found.error == micro_costs.of("cortex-m4", "standalone").error >= micro_costs.of("cortex-m4").error
    assert found.instructions == sum(each.instructions for each in found.operators) > 10_000


def test_counts_are_those_of_the_emulator(sources, monkeypatch):
    counts = list(range(100, 100 + len(sources.program.steps)))
    monkeypatch.setattr(cortex_m, "is_available", lambda: True)
    monkeypatch.setattr(cortex_m_model, "run", lambda *_: cortex_m_model.Counted([], counts))
    found = c_instructions.inference(sources, "cortex-m4")
    assert (found.counted, found.reason, found.error) == (True, "", None)
    assert [each.instructions for each in found.operators] == counts
    assert [each.operator for each in found.operators] == [step.operator for step in sources.program.steps]


def test_a_report_says_why_its_instructions_are_an_estimate(sources, monkeypatch, tmp_path):
    def hang(*_):
        raise ExecutionError("qemu-system-arm did not end within 120 s.")

    file = tmp_path / "model.tflite"
    file.write_bytes(tiny_models.to_bytes(int8_nets.residual().finished()))
    monkeypatch.setattr(cortex_m, "is_available", lambda: True)
    monkeypatch.setattr(cortex_m, "has_compiler", lambda: False)
    monkeypatch.setattr(cortex_m_model, "run", hang)
    monkeypatch.setattr(micro, "is_available", lambda: False)
    progress = Timed(Silent())
    found = c_report.part(sources, file, file, "cortex-m4", progress)
    assert any(
        f"{found.inference.instructions:,} instructions, estimated: qemu-system-arm did not end within 120 s." in each
        for each in found.sentences
    )
    assert list(progress.seconds) == ["measure the C files", "count instructions"]
