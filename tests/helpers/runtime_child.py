"""Run the jobs of a folder in one runtime: the child process of ``runtime_versions.py``.

It imports only the runtime and NumPy: packages in the runtime's folder may be years older than this project.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

_RESOLVERS = {
    "default": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


def main(folder: Path) -> None:
    """Run the jobs; write the answer to each before the next begins."""
    description = json.loads((folder / "jobs.json").read_text())
    if description["path"]:
        sys.path.insert(0, description["path"])
    if description["package"] == "tensorflow":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        from tensorflow.lite.python import interpreter as api
    else:
        from ai_edge_litert import interpreter as api

        assert api.__file__.startswith(description["path"]), api.__file__
    (folder / "started").touch()
    for number, job in enumerate(description["jobs"]):
        with np.load(folder / f"{number}.in.npz") as stored:
            calls = [[stored[f"{i}_{j}"] for j in range(count)] for i, count in enumerate(job["calls"])]
        refusal = None
        try:
            outputs = _outputs(api, str(folder / f"{number}.tflite"), job, calls)
        except (RuntimeError, ValueError) as error:  # raised by the bindings for models that they refuse
            refusal = " ".join(str(error).split())
        else:
            arrays = {f"{i}_{j}": array for i, row in enumerate(outputs) for j, array in enumerate(row)}
            np.savez(folder / f"{number}.out.npz", **arrays)
        unfinished = folder / "unfinished.json"
        unfinished.write_text(json.dumps({"refusal": refusal}))
        unfinished.rename(folder / f"{number}.json")
    os._exit(0)  # destructors of native code may crash at exit, after the work is done


def _outputs(api: Any, path: str, job: dict[str, Any], calls: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    if job["kernels"] == "compiled_model":
        return _of_compiled_model(path, job["outputs"], calls)
    return _of_interpreter(api, path, api.OpResolverType[_RESOLVERS[job["kernels"]]], calls)


def _of_interpreter(api: Any, path: str, resolver: Any, calls: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    interpreter = api.Interpreter(path, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    rows = []
    for call in calls:
        details = interpreter.get_input_details()
        if any(tuple(detail["shape"]) != array.shape for detail, array in zip(details, call, strict=True)):
            for detail, array in zip(details, call, strict=True):
                interpreter.resize_tensor_input(detail["index"], array.shape)
            interpreter.allocate_tensors()
        for detail, array in zip(details, call, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.reset_all_variables()
        interpreter.invoke()
        rows.append([interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()])
    return rows


def _of_compiled_model(path: str, outputs: list[Any], calls: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    from ai_edge_litert.compiled_model import CompiledModel

    model = CompiledModel.from_file(path)
    input_buffers, output_buffers = model.create_input_buffers(0), model.create_output_buffers(0)
    rows = []
    for call in calls:
        for buffer, array in zip(input_buffers, call, strict=True):
            buffer.write(np.ascontiguousarray(array))
        model.run_by_index(0, input_buffers, output_buffers)
        rows.append(
            [
                np.asarray(buffer.read(int(np.prod(shape)), np.dtype(dtype).type)).reshape(shape)
                for buffer, (shape, dtype) in zip(output_buffers, outputs, strict=True)
            ]
        )
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
