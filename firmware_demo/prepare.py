"""Write what the firmware is built of: both models in C for a CPU, the images, and what Python computes of them.

python prepare.py CPU FOLDER
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

import tflite_sparse
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import micro
from tflite_sparse.standalone_c import c_text, files
from tflite_sparse.standalone_c.header import Naming

HERE = Path(__file__).resolve().parent
_LABELS = tuple(map(str, range(10)))


@click.command()
@click.argument("cpu", type=click.Choice(get_args(MicroCpu)))
@click.argument("folder", type=click.Path(path_type=Path))
def main(cpu: MicroCpu, folder: Path) -> None:
    """Write the files of CPU into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(HERE / "images.npz") as stored:
        pixels, digits = stored["pixels"], stored["digits"]
    with tempfile.TemporaryDirectory() as name:
        dense = Path(name) / "dense.tflite"
        tflite_sparse.decode(HERE / "digits.tflite", dense)
        tflite_sparse.encode(
            dense, folder / "digits_sparse.tflite", target="c", micro_cpu=cpu, optimize="latency", name="digits_sparse"
        )
        made = files.generate(serde.read(dense), Naming("digits_dense", "tflite-sparse", "digits.tflite", _LABELS), cpu)
        for name, content in made.files.items():
            if not (folder / name).exists() or name.startswith("digits_dense"):
                (folder / name).write_bytes(content)
        (port,) = micro.inputs(dense)
        inputs = port.quantised(pixels[..., np.newaxis] / np.float32(255))
        scores = [row[0][0] for row in micro.run_separately(dense, [[image[np.newaxis]] for image in inputs]).rows]
    (folder / "images.h").write_text(_images(inputs, digits), encoding="utf-8")
    (folder / "expected.txt").write_text(_expected(scores, digits), encoding="utf-8")


def _images(inputs: np.ndarray[Any, Any], digits: np.ndarray[Any, Any]) -> str:
    pixels = c_text.array("image_pixels", inputs.astype(np.int8))
    shown = c_text.array("image_digits", digits)
    return f"#include <stdint.h>\n\n/* Ten digits, quantised for the model. */\n{pixels}{shown}"


def _expected(scores: list[np.ndarray[Any, Any]], digits: np.ndarray[Any, Any]) -> str:
    """The lines that the firmware prints, without its counts of instructions."""
    lines = []
    for digit, row in zip(digits, scores, strict=True):
        words = f"a {digit} is taken for {int(row.argmax())}, scores {' '.join(map(str, row.tolist()))}"
        lines += [f"{form} {words}\n" for form in ("dense:", "sparse:")]
    return "".join(lines)


if __name__ == "__main__":
    main()
