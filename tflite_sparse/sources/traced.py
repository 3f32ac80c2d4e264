"""Save a traced model as a SavedModel, and again after its weights have changed.

An export converts a model before and after masking. Only the values of the variables differ; writing these alone takes
a tenth of the time of tracing and saving the graph again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tflite_sparse.sources import tensorflow_import

if TYPE_CHECKING:
    from tensorflow.types.experimental import ConcreteFunction

_VARIABLES = Path("variables") / "variables"  # a prefix; layout as in TensorFlow's SavedModel documentation
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the checkpoint entry that maps keys to objects
_CAPTURED = "captured"
_GRAPH = "saved_model.pb"


class TracedModel:
    """A concrete ``tf.function`` that can be written as a SavedModel with one signature, ``serving_default``.

    Args:
        function: the concrete function. Its variables are saved with their values at that time.
    """

    def __init__(self, function: ConcreteFunction) -> None:
        self._function = function
        self._graph: bytes | None = None  # saved_model.pb of the first save
        self._entries: Mapping[str, object] = {}  # checkpoint entries: a variable or constant bytes

    def compute(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs for a batch of samples, float32, by their names.

        Args:
            inputs: one array for each input, in its dtype.
        """
        tf = tensorflow_import.tensorflow()
        found = self._function(*map(tf.constant, inputs))
        return {name: np.asarray(value, np.float32) for name, value in found.items()}

    def save(self, folder: Path) -> None:
        """Write the SavedModel to ``folder``, which must not exist.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._graph is None:
            self._save_whole(folder)
            self._remember(folder)
        else:
            self._save_again(folder)

    def _save_whole(self, folder: Path) -> None:
        tf = tensorflow_import.tensorflow()
        holder = tf.Module()
        holder.captured = list(self._function.graph.variables)  # a SavedModel stores what its root references
        tf.saved_model.save(holder, str(folder), signatures=self._function)

    def _remember(self, folder: Path) -> None:
        """Keep what :meth:`_save_again` needs, if the SavedModel in ``folder`` has the expected layout."""
        written = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
        reader = tensorflow_import.tensorflow().train.load_checkpoint(str(folder / _VARIABLES))
        variables = {
            f"{_CAPTURED}/{number}/.ATTRIBUTES/VARIABLE_VALUE": variable
            for number, variable in enumerate(self._function.graph.variables)
        }
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        is_expected = (
            written == {_GRAPH, "fingerprint.pb", _VARIABLES.parts[0]}  # no assets
            and shapes.keys() == {_OBJECTS, *variables}
            and all(shapes[key] == each.shape.as_list() for key, each in variables.items())
            and all(dtypes[key] == each.dtype for key, each in variables.items())
        )
        if is_expected:
            self._graph = (folder / _GRAPH).read_bytes()
            self._entries = {_OBJECTS: reader.get_tensor(_OBJECTS), **variables}

    def _save_again(self, folder: Path) -> None:
        assert self._graph is not None
        tf = tensorflow_import.tensorflow()
        prefix = folder / _VARIABLES
        prefix.parent.mkdir(parents=True)
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(self._entries),
            shape_and_slices=[""] * len(self._entries),
            tensors=[tf.convert_to_tensor(each) for each in self._entries.values()],
        )
        (folder / _GRAPH).write_bytes(self._graph)
