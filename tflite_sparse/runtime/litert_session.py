"""Load a file in this process and run it sample by sample."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert_graphs
from tflite_sparse.runtime.inputs_and_outputs import InputDetails
from tflite_sparse.runtime.litert_graphs import TensorDetails
from tflite_sparse.runtime.litert_kernels import Kernels


class Session:
    """A file loaded in this process, ready to run.

    Args:
        path: the ``.tflite`` file.
        kernels: the runtime.
        threads: of the interpreter; CompiledModel uses one.
        signature: key of the signature to run; None: the first graph, CompiledModel's first signature.

    Raises:
        RuntimeError: the runtime refuses the file.

    Attributes:
        inputs: in the order of the arrays of :meth:`feed`.
        output_names: of the outputs.
        output_indices: of their tensors in the subgraph.
        output_quantisation: their (scale, zero point), scale 0 if not quantised.
    """

    def __init__(self, path: str, kernels: Kernels, threads: int, signature: str | None = None) -> None:
        self._arguments = (path, kernels, threads, signature)
        self._runtime = litert_graphs.load(*self._arguments)
        self._is_fresh = True
        self.inputs = tuple(_input_details(*each) for each in self._runtime.inputs)
        outputs = self._runtime.outputs_described
        self.output_names = tuple(name for name, _ in outputs)
        self.output_indices = tuple(int(detail["index"]) for _, detail in outputs)
        pairs = [detail["quantization"] for _, detail in outputs]
        self.output_quantisation = tuple((float(scale), int(zero_point)) for scale, zero_point in pairs)
        self.takes_batches = (
            kernels != "compiled_model" and len(self.inputs) == 1 and self.inputs[0].signature[:1] == (-1,)
        )

    def run(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the outputs for one array per input, computed from the state of a freshly loaded file."""
        if self._keeps_resources and not self._is_fresh:
            self._runtime = litert_graphs.load(*self._arguments)
        self.feed(arrays)
        self._runtime.reset()
        self.invoke()
        return self._runtime.outputs()

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        """Set the inputs, in any shapes that the file allows, for every following :meth:`invoke`."""
        if len(arrays) != len(self.inputs):
            raise RuntimeError(f"it has {len(self.inputs)} inputs, {len(arrays)} were given")
        self._runtime.feed(arrays)

    def invoke(self) -> None:
        """Run once, without a reset of variables."""
        self._is_fresh = False
        self._runtime.invoke()

    @functools.cached_property
    def _keeps_resources(self) -> bool:
        """Whether the file has state that no runtime can reset."""
        kinds = {schema.TensorType.RESOURCE, schema.TensorType.VARIANT}
        return not kinds.isdisjoint(serde.tensor_types(Path(self._arguments[0])))


def _input_details(name: str, detail: TensorDetails) -> InputDetails:
    scale, zero_point = detail["quantization"]
    signature = tuple(int(size) for size in detail["shape_signature"])
    return InputDetails(name, signature, np.dtype(detail["dtype"]), float(scale), int(zero_point))
