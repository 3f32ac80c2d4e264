"""The order of the inputs and outputs of a file."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class IoOrder(Part):
    """Names by index, in the file and in the model that it was made from."""

    file_inputs: tuple[str, ...]
    model_inputs: tuple[str, ...]
    file_outputs: tuple[str, ...]
    model_outputs: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether there is one input and one output, so that order does not matter."""
        return len(self.file_inputs) <= 1 and len(self.file_outputs) <= 1
