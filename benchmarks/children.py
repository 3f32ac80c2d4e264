"""What must happen in a fresh process: for clean memory figures, and so that a crash of native code is only a result.

``call("name", ...)`` runs a function of this file in ``python children.py``: job and result are JSON on its standard
input and output.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_SEED = 1
_PATH = re.compile(r"(/[\w.+-]+){2,}")
_WARM_UP_RUNS = 3
_BLOCK_MS = 10.0
_MOST_RUNS_IN_BLOCK = 1000


class ChildError(Exception):
    """The function raised, or its process died. The text says which, without the machine's paths."""


def call(function: str, **arguments: Any) -> Any:
    """Run ``function`` of this file in a fresh process and return what it returns.

    Raises:
        ChildError: it raised, or its process died.
    """
    job = json.dumps({"function": function, "arguments": arguments})
    done = subprocess.run([sys.executable, __file__], input=job, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise ChildError(f"its process ended with {how}")
    outcome = json.loads(done.stdout)
    if "error" in outcome:
        raise ChildError(_PATH.sub("...", outcome["error"]))
    return outcome["result"]


def first_invoke(path: str, kernels: str) -> dict[str, float]:
    """Load a file and run it once: the time it took, and the memory it added to a process that imported the library."""
    import psutil

    _load_library()
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    runner = _Runner(path, kernels)
    loaded = time.perf_counter()
    runner.set_inputs()
    prepared = time.perf_counter()
    runner.invoke()
    ended = time.perf_counter()
    after = psutil.Process().memory_info().rss
    return {"milliseconds": 1e3 * (ended - prepared + loaded - started), "resident_megabytes": (after - before) / 1e6}


def latencies(files: list[tuple[str, str]], rounds: int) -> list[list[float]]:
    """Milliseconds for one run of each (path, kernels) in each round, all files loaded in one process.

    In every round each file has its turn, another one first each time: one run to bring its weights back into the
    caches, then a block of about 10 ms of runs, of which the mean counts.
    """
    runners = [_Runner(path, kernels) for path, kernels in files]
    blocks = [_runs_in_block(runner) for runner in runners]
    results: list[list[float]] = [[] for _ in files]
    for turn in range(rounds):
        for offset in range(len(runners)):
            position = (turn + offset) % len(runners)
            runners[position].invoke()
            results[position].append(_mean_milliseconds(runners[position], blocks[position]))
    return results


def convert_with_sparsity(folder: str, samples: str, destination: str) -> None:
    """TensorFlow's own sparse int8 conversion of the SavedModel in ``folder``, otherwise as tflite-sparse converts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    batch = np.load(samples)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT, tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    converter.representative_dataset = lambda: ([batch[i : i + 1]] for i in range(len(batch)))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(destination).write_bytes(converter.convert())


class _Runner:
    """A loaded file, on one thread, with random inputs."""

    def __init__(self, path: str, kernels: str) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = {
            "default": OpResolverType.AUTO,
            "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        }[kernels]
        self._interpreter = Interpreter(path, experimental_op_resolver_type=resolver, num_threads=1)
        self._interpreter.allocate_tensors()

    def set_inputs(self) -> None:
        generator = np.random.default_rng(_SEED)
        for detail in self._interpreter.get_input_details():
            values = generator.standard_normal(detail["shape"], np.float32)
            scale, zero_point = detail["quantization"]
            if scale:
                values = np.clip(np.round(values / scale) + zero_point, -128, 127)
            self._interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))

    def invoke(self) -> None:
        self._interpreter.invoke()


def _load_library() -> None:
    """Import all that a runner needs, so that only the file itself is measured."""
    import ai_edge_litert.interpreter  # noqa: F401 - imported for what it loads

    np.random.default_rng(_SEED).standard_normal(1, np.float32)


def _runs_in_block(runner: _Runner) -> int:
    runner.set_inputs()
    for _ in range(_WARM_UP_RUNS):
        runner.invoke()
    return min(max(round(_BLOCK_MS / _mean_milliseconds(runner, 1)), 1), _MOST_RUNS_IN_BLOCK)


def _mean_milliseconds(runner: _Runner, runs: int) -> float:
    started = time.perf_counter()
    for _ in range(runs):
        runner.invoke()
    return 1e3 * (time.perf_counter() - started) / runs


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (first_invoke, latencies, convert_with_sparsity)
}


def _main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints must not mix with the answer
    job = json.load(sys.stdin)
    outcome: dict[str, Any]
    try:
        outcome = {"result": _FUNCTIONS[job["function"]](**job["arguments"])}
    except (RuntimeError, ValueError) as error:  # what the converter and the interpreter raise on a model they refuse
        outcome = {"error": " ".join(str(error).split())}
    json.dump(outcome, answer)
    answer.flush()
    os._exit(0)  # destructors of native code may crash at exit, after the work is done


if __name__ == "__main__":
    _main()
