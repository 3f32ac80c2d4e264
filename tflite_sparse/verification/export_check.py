"""Nothing is believed: a written file is read back and compared with the dense one that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.errors import VerificationError
from tflite_sparse.results.export import Runtime, Verification
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.verification import exactness
from tflite_sparse.verification.exactness import OutputComparison

Stage = Callable[[str], AbstractContextManager[Step]]


def verify_weights(sparse: Path, dense: Path, stage: Stage) -> list[str]:
    """Compare every weight bit for bit; return what is wrong, which is nothing or one thing."""
    with stage("verify weights") as on_step:
        try:
            exactness.check_weights(sparse, dense, on_step=on_step)
        except VerificationError as error:
            return [f"verification: {error}"]
    return []


def verify_outputs(
    sparse: Path, dense: Path, probes: Sequence[np.ndarray], stage: Stage, share_of_range: float = 0.0
) -> tuple[list[OutputComparison], list[str]]:
    """Run both files on ``probes`` in each of LiteRT's runtimes; return the comparisons and what is wrong.

    Outputs may differ by ``share_of_range``, which is 0 where every bit must be the same.

    Raises:
        ExecutionError: the default interpreter does not run ``dense``.
    """
    compared, failures = [], []
    with stage("verify outputs") as on_step:
        for done, kernels in enumerate(runtime.ALL_KERNELS, start=1):
            try:
                compared.append(exactness.compare_outputs(sparse, dense, probes, kernels))
            except VerificationError as error:
                failures.append(f"verification: {error}")
            on_step(done, len(runtime.ALL_KERNELS))
    failures += [
        f"verification: outputs differ from the dense file's by up to {each.largest_difference:g} in {each.runtime}"
        for each in compared
        if each.bit_exact is False and not 0.0 < (each.share_of_range or 0.0) <= share_of_range
    ]
    return compared, failures


def summary(
    weights_exact: bool, samples: int, compared: Sequence[OutputComparison], wrong: Sequence[str]
) -> Verification:
    """The report's form of it."""
    return Verification(
        weights_bit_exact=weights_exact,
        outputs_bit_exact=not wrong and all(each.bit_exact is not False for each in compared),
        samples=samples,
        runtimes=[
            Runtime(
                name=each.runtime,
                outputs_bit_exact=each.bit_exact,
                largest_difference=each.largest_difference,
                unavailable=each.unavailable,
            )
            for each in compared
        ],
    )
