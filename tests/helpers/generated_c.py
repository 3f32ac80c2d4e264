"""Models in C beside TensorFlow Lite Micro."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.backends import in_c
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_file, encode_model
from tflite_sparse.runtime import host_c, micro
from tflite_sparse.standalone_c import files
from tflite_sparse.standalone_c.header import Naming

needed = pytest.mark.skipif(
    host_c.compiler() is None or not micro.is_available(), reason="no C compiler or no tflite-micro is installed"
)
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZED = (*STRICT, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def generated(model, cpu="cortex-m4", prefix="model", labels=()):
    """A model, parsed or from the schema's objects, in C."""
    return files.generate(serde.parse(tiny_models.to_bytes(model)), Naming(prefix, "tflite-sparse", "x", labels), cpu)


def sparse(model, cpu, aim="size"):
    """The same, encoded for the sparse kernels."""
    parsed = serde.parse(tiny_models.to_bytes(model))
    encode_model(parsed, in_c.planned(cpu, aim))
    return files.generate(parsed, Naming("model", "tflite-sparse", "x"), cpu)


def differences(model, folder, *, cpu="cortex-m4", aim="size", samples=4, seed=0, flags=SANITIZED):
    """How many outputs of a model in C, encoded for the sparse kernels, differ from those of the dense file.

    Also returns the arenas of both.
    """
    dense, sparse = folder / "dense.tflite", folder / "sparse.tflite"
    dense.write_bytes(tiny_models.to_bytes(model))
    encode_file(dense, sparse, in_c.planned(cpu, aim))
    sources = files.generate(serde.read(sparse), Naming("model", "tflite-sparse", "x"), cpu)
    (folder / "c").mkdir()
    program = in_c.compiled(sources, folder / "c", flags)
    rng = np.random.default_rng(seed)
    inputs = [[_random(port, rng) for port in program.inputs] for _ in range(samples)]
    pairs = zip(program.run(inputs), micro.run_separately(dense, inputs).rows, strict=True)
    wrong = sum(int((a != b).sum()) for found, wanted in pairs for a, b in zip(found, wanted, strict=True))
    shutil.rmtree(folder / "c")
    return wrong, sources.arena.nbytes, micro.arena(dense)


def _random(port, rng):
    if port.dtype == np.float32:
        return rng.normal(0, 2, port.shape).astype(np.float32)
    return rng.integers(-128, 128, port.shape).astype(port.dtype)
