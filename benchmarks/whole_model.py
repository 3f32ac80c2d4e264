"""``python whole_model.py FORM SOURCE DESTINATION [BUILDER]``: save a model whole, in a child process.

FORM is ``weights`` (SOURCE is the file, BUILDER a function of ``real_model_builders``), ``tfjs json`` or
``tfjs scripts`` (SOURCE is the folder).
"""

from __future__ import annotations

import sys
from pathlib import Path

import real_model_builders
import tfjs_layers


def main(form: str, source: Path, destination: Path, builder: str) -> None:
    if form == "weights":
        model = getattr(real_model_builders, builder)()
        model.load_weights(source)
    elif form == "tfjs json":
        model = tfjs_layers.from_json(source / "model.json")
    else:
        model = tfjs_layers.from_scripts(source / "model.min.js")
    model.save(destination)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
