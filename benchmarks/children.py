"""Run functions in a child process, so that a crash of native code is only a result.

``call("name", ...)`` runs a function of this file in ``python children.py``: job and result are JSON on its standard
input and output.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_PATH = re.compile(r"(/[\w.+-]+){2,}")


class ChildError(Exception):
    """The function raised, or its process died. The text tells which, without the machine's paths."""


def call(function: str, **arguments: Any) -> Any:
    """Run ``function`` of this file in a fresh process and return its result.

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


def convert_with_sparsity(folder: str, samples: str, destination: str) -> None:
    """Convert the SavedModel in ``folder`` by TensorFlow's own sparse int8 conversion, otherwise like tflite-sparse."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    batch = np.load(samples)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT, tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    converter.representative_dataset = lambda: ([batch[i : i + 1]] for i in range(len(batch)))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(destination).write_bytes(converter.convert())


_FUNCTIONS: dict[str, Callable[..., Any]] = {function.__name__: function for function in (convert_with_sparsity,)}


def _main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of native code must not mix with the answer
    job = json.load(sys.stdin)
    outcome: dict[str, Any]
    try:
        outcome = {"result": _FUNCTIONS[job["function"]](**job["arguments"])}
    except (RuntimeError, ValueError) as error:  # raised by the converter for models that it refuses
        outcome = {"error": " ".join(str(error).split())}
    json.dump(outcome, answer)
    answer.flush()
    os._exit(0)  # destructors of native code may crash at exit, after the work is done


if __name__ == "__main__":
    _main()
