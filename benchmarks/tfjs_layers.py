"""Load a TensorFlow.js layers model as a Keras 2 model: the topology is Keras's own, the weights are plain arrays."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.untrusted import refuse_code_in_config

_LITERAL = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
      | (?P<key>(?<=[{,])[A-Za-z_]\w*(?=:))
      | (?P<boolean>![01])
      | (?P<fraction>(?<=[:\[,\-])\.(?=\d))""",
    re.VERBOSE,
)
_EXPORTED = re.compile(r"\.exports=")


def from_json(path: Path) -> Any:
    """Load the model of a ``model.json`` with its shards beside it."""
    manifest = json.loads(path.read_text("utf-8"))
    shards = [path.parent / name for group in manifest["weightsManifest"] for name in group["paths"]]
    return build(manifest, b"".join(shard.read_bytes() for shard in shards), path)


def from_scripts(path: Path) -> Any:
    """Load the model of a ``model.min.js`` with the manifest as an object and its shards as base64 scripts."""
    manifest = json.loads(_as_json(_exported(path)))
    total = len(manifest["weightsManifest"][0]["paths"])
    names = [f"group1-shard{number}of{total}.min.js" for number in range(1, total + 1)]
    shards = [base64.b64decode(json.loads(_exported(path.with_name(name)))) for name in names]
    return build(manifest, b"".join(shards), path)


def build(manifest: Mapping[str, Any], content: bytes, path: Path) -> Any:
    """Build the model with the weights of ``content``, in the order of the manifest.

    The weights of a group may be quantised to uint8 or uint16: ``value * scale + min`` (TensorFlow.js, io/types.ts).
    """
    topology = manifest["modelTopology"]
    config = topology.get("model_config", topology)
    refuse_code_in_config(config, path, ())
    model = tensorflow_import.keras2().models.model_from_json(json.dumps(config))
    arrays = {}
    offset = 0
    for group in manifest["weightsManifest"]:
        for entry in group["weights"]:
            quantised = entry.get("quantization")
            dtype = np.dtype(quantised["dtype"] if quantised else entry["dtype"]).newbyteorder("<")
            size = int(np.prod(entry["shape"], dtype=np.int64))
            stored = np.frombuffer(content, dtype, size, offset).reshape(entry["shape"])
            offset += stored.nbytes
            values = stored * quantised["scale"] + quantised["min"] if quantised else stored
            arrays[entry["name"]] = values.astype(np.float32)
    if offset != len(content):
        raise ValueError(f"{path.name}: the shards hold {len(content):,} bytes, the manifest needs {offset:,}")
    model.set_weights([arrays[_bare(weight.name)] for weight in model.weights])
    return model


def _bare(name: str) -> str:
    return name.partition(":")[0]


def _exported(path: Path) -> str:
    """Return the source text of the value that a bundled script exports, without running it."""
    text = path.read_text("utf-8")
    found = _EXPORTED.search(text, text.index("{1:["))
    if found is None:
        raise ValueError(f"{path.name} exports nothing")
    start = found.end()
    depth = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', text[start:]):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match.group(), 0)
        if depth == 0:
            return text[start : start + match.end()]
    raise ValueError(f"{path.name} ends within what it exports")


def _as_json(literal: str) -> str:
    """Return a JavaScript object of plain values as JSON: quote names, replace ``!0``, ``!1`` and ``.5``."""

    def spelled(match: re.Match[str]) -> str:
        if match["key"]:
            return f'"{match["key"]}"'
        if match["boolean"]:
            return "true" if match["boolean"] == "!0" else "false"
        return "0." if match["fraction"] else match.group()

    return _LITERAL.sub(spelled, literal)
