"""Fuzz with damaged .tflite files, guided by coverage (atheris): only FlatbufferError is allowed, and no wrong file.

python benchmarks/fuzz.py [--runs N] [--seconds N] [--folder DIR]
python benchmarks/fuzz.py REPRODUCER...

Each input is read, decoded and written, and read, encoded and written. Both results are read again and must hold the
same weights. The exit code is 0 without a finding, else another (77 an exception, 70 too slow, 71 too much memory), and
the input is saved in the folder. Needs ``pip install 'atheris>=3,<4'`` and some minutes.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import atheris
import click
import numpy as np

# Guided by the coverage of this package; the generated reader and NumPy would only slow it down.
with atheris.instrument_imports(include=["tflite_sparse"]):
    from tflite_sparse.codecs.constants import dense_values
    from tflite_sparse.errors import FlatbufferError
    from tflite_sparse.flatbuffer import serde, validity
    from tflite_sparse.flatbuffer.graph import graphs
    from tflite_sparse.planning.decoder import decode_model
    from tflite_sparse.planning.encoder import encode_model
    from tflite_sparse.targets import litert
    from tflite_sparse.verification.weights import weights_of

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from helpers import foreign_models, tiny_models

_CORPUS = "corpus"
# atheris 3.0 leaks the result of each comparison of NumPy arrays: about 10 kB a run, and a mask of each large constant.
_RUNS_PER_PROCESS = 50_000
_LARGEST_CONSTANTS = 1 << 20
_SECONDS_PER_INPUT = 20
_LARGEST_INPUT = 100_000
_MEGABYTES = 2048
_FIELD_VALUES = (0, 1, 2, 3, 4, 7, 15, 16, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def small_models() -> dict[str, Any]:
    """Return models of a few kilobytes that reach every rewrite and every layout."""
    return {
        "conv": tiny_models.conv2d((16, 1, 1, 8), (3, 3)),
        "conv_wide": tiny_models.conv2d((260, 1, 1, 272), (1, 1), density=0.02),
        "conv_3x3": tiny_models.conv2d((8, 3, 3, 8), (4, 4), dtype="float32", dynamic=True),
        "depthwise": tiny_models.depthwise_conv2d(64, 3, (3, 3)),
        "transpose_conv": tiny_models.transpose_conv((8, 3, 3, 8), (2, 2)),
        "gather": tiny_models.gather(16, 20),
        "embedding": tiny_models.embedding_lookup(16, 20),
        "fully_connected": tiny_models.fully_connected((16, 40), bias=False, dynamic=True),
        "fully_connected_one_scale": tiny_models.fully_connected((16, 40), per_channel=False, relu=True),
        "fully_connected_float32": tiny_models.fully_connected((16, 40), dtype="float32", keep_num_dims=True),
        "fully_connected_shared": tiny_models.fully_connected((16, 40), readers=2),
        "batch_matmul": tiny_models.batch_matmul((40, 16)),
        "float16": tiny_models.through_dequantize(tiny_models.fully_connected((16, 40), dtype="float32")),
        "while": tiny_models.conv2d_in_subgraph("WHILE", 8, (2, 2)),
        "if": tiny_models.conv2d_in_subgraph("IF", 8, (2, 2)),
        "native": _in_blocks(tiny_models.fully_connected((16, 64), per_channel=False), 1, 16, native=True),
        "blocks": _in_blocks(tiny_models.conv2d((8, 1, 1, 32), (1, 1), readers=2), 3, 4, native=False),
    }


def _in_blocks(model: Any, axis: int, size: int, *, native: bool) -> Any:
    sparse = foreign_models.store_sparse(model, blocks={axis: size})
    return foreign_models.read_natively(sparse) if native else foreign_models.densified(sparse)


def write_corpus(folder: Path) -> None:
    """Write every small model dense and encoded."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in small_models().items():
        content = bytes(serde.serialize(model))  # puts the tables first, where ``mutate`` expects them
        (folder / f"{name}.tflite").write_bytes(content)
        encoded = serde.parse(content, name)
        encode_model(encoded, litert.answer)
        (folder / f"{name}_encoded.tflite").write_bytes(serde.serialize(encoded))


def try_input(data: bytes) -> None:
    """Process an input in every way that a user may.

    Raises:
        Exception: any but ``FlatbufferError``: a finding. Also a ``FlatbufferError`` for a file of the package itself.
    """
    for edit in (decode_model, lambda model: encode_model(model, litert.answer)):
        try:
            model = serde.parse(data)
            expected = weights_of(model)
            edit(model)
        except FlatbufferError:
            return
        _require_same(_written_and_read(model), expected)


def _written_and_read(model: Any) -> Any:
    try:
        return serde.parse(bytes(serde.serialize(model)))
    except FlatbufferError as error:
        raise AssertionError("the file written is not valid") from error


def _require_same(model: Any, expected: dict[tuple[int, int], np.ndarray]) -> None:
    found = list(graphs(model))
    for (number, index), values in expected.items():
        if index >= len(found[number].subgraph.tensors):
            continue  # read only by a DENSIFY without readers, so it may be removed
        now = dense_values(found[number], index)
        if now is None or now.dtype != values.dtype or now.tobytes() != values.tobytes():
            raise AssertionError(f"weight {index} of graph {number}, shape {values.shape}, is not what it was")


def mutate(data: bytes, size: int, seed: int) -> bytes:
    """Return libFuzzer's own mutation a third of the time, else change some whole fields, elements or offsets."""
    generator = random.Random(seed)
    if generator.random() < 1 / 3 or len(data) < 64:
        return bytes(atheris.Mutate(data, size))
    changed = bytearray(data)
    for _ in range(generator.randint(1, 3)):
        width = generator.choice((1, 2, 4, 4, 8))
        place, other = (int((len(data) - 8) * generator.random() ** 3) // width * width for _ in range(2))
        value = int.from_bytes(data[place : place + width], "little")
        value = generator.choice(
            (
                value + generator.choice((-8, -4, -1, 1, 4, 8)),
                int.from_bytes(data[other : other + width], "little"),
                generator.choice(_FIELD_VALUES),
            )
        )
        changed[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(changed[:size])


def fuzz_here(folder: Path, runs: int, seconds: int) -> None:
    """Run libFuzzer on the corpus in ``folder``. It ends the process."""
    options = {
        "runs": runs,
        "max_total_time": seconds,
        "max_len": _LARGEST_INPUT,
        "timeout": _SECONDS_PER_INPUT,
        "rss_limit_mb": _MEGABYTES,
        "artifact_prefix": f"{folder}/",
        "print_final_stats": 1,
    }
    validity.DENSE_BYTES_IN_ANY_FILE = _LARGEST_CONSTANTS
    arguments = [sys.argv[0], str(folder / _CORPUS), *(f"-{name}={value}" for name, value in options.items())]
    atheris.Setup(arguments, try_input, custom_mutator=mutate)
    atheris.Fuzz()


def fuzz(folder: Path, runs: int, seconds: int) -> int:
    """Fuzz in processes of :data:`_RUNS_PER_PROCESS` runs; return the exit code of the one with a finding, or 0."""
    write_corpus(folder / _CORPUS)
    click.echo(f"corpus and findings: {folder}", err=True)
    start, done = time.monotonic(), 0
    while done < runs and (left := seconds - round(time.monotonic() - start)) > 0:
        limits = ("--runs", str(min(_RUNS_PER_PROCESS, runs - done)), "--seconds", str(left))
        command = [sys.executable, __file__, "--one-process", "--folder", str(folder), *limits]
        child = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        done += sum(map(int, re.findall(r"number_of_executed_units: (\d+)", child.stderr)))
        coverage = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", child.stderr)
        edges, features, files = coverage[-1] if coverage else ("no",) * 3
        elapsed = time.monotonic() - start
        click.echo(f"{done:,} runs, {elapsed:.0f} s: {edges} edges, {features} features, {files} files", err=True)
        if child.returncode:
            click.echo(child.stderr[-5000:], err=True)
            return child.returncode
    return 0


@click.command()
@click.option("--runs", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=600, show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps corpus and findings. Default: a new temporary folder.",
)
@click.option("--one-process", is_flag=True, hidden=True)
@click.argument("reproducers", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(runs: int, seconds: int, folder: Path | None, one_process: bool, reproducers: tuple[Path, ...]) -> None:
    """Fuzz, or try REPRODUCERS."""
    for path in reproducers:
        try_input(path.read_bytes())
    if reproducers:
        return
    folder = folder or Path(tempfile.mkdtemp(prefix="tflite-sparse-fuzz-"))
    if one_process:
        fuzz_here(folder, runs, seconds)
    sys.exit(fuzz(folder, runs, seconds))


if __name__ == "__main__":
    main()
