"""Every exception that this library raises on purpose.

The tree, with the exit code that the command line gives each branch::

    TfliteSparseError
    ├── InputError (2)            what the caller gave cannot be used; nothing was written
    │   ├── SettingsError         a value out of range, an unknown key
    │   ├── ModelError            the Keras model or SavedModel cannot be read or is not one
    │   ├── FlatbufferError       the .tflite cannot be read, or holds what the schema does not allow
    │   ├── DataError             the data set cannot be read or does not fit the model
    │   └── OutputError           the output folder or file cannot be written
    ├── MissingPackageError (2)   a package of an extra is not installed
    ├── ConversionError (2)       TensorFlow's converter failed or its process died
    ├── ExecutionError (2)        a runtime refused a model or its process died
    │   ├── InputShapeError       no size was found that an input with an open one runs with
    │   └── OperatorRefusedError  it refused operators, which are named
    ├── VerificationError (1)     a written file is not what it must be; it was not delivered
    └── BudgetError (1)           no file of this model is as small as was asked for; nothing was written

A message is one or two lines: it names the file, tensor or layer, what was expected, and the cure.
"""

from __future__ import annotations

import re


class TfliteSparseError(Exception):
    """Base of the tree. ``exit_code`` is what the command line returns for it."""

    exit_code = 2


class InputError(TfliteSparseError):
    """What the caller gave cannot be used."""


class SettingsError(InputError):
    """A setting is out of range, unknown, or contradicts another."""


class ModelError(InputError):
    """A Keras model or SavedModel is missing, unreadable, or of a kind that is not supported."""


class FlatbufferError(InputError):
    """A ``.tflite`` file is unreadable or breaks an invariant of its format."""


class DataError(InputError):
    """A data set is missing, unreadable, or does not fit the model."""


class OutputError(InputError):
    """The output folder or an output file cannot be written."""


class MissingPackageError(TfliteSparseError):
    """A package that a command needs and the core does not bring is not installed."""


class ConversionError(TfliteSparseError):
    """TensorFlow's converter failed, or the process it ran in died."""


class ExecutionError(TfliteSparseError):
    """A runtime refused to load or run a model, or the process it ran in died."""

    def renamed(self, path: object, name: object) -> ExecutionError:
        """The same error of a file under another name than its ``path``."""
        return type(self)(str(self).replace(str(path), str(name)))


class OperatorRefusedError(ExecutionError):
    """A runtime refused operators of a model.

    Attributes:
        tensors: for each operator, names of tensors that tell which layer it is of.
    """

    def __init__(self, message: str, tensors: tuple[tuple[str, ...], ...]) -> None:
        super().__init__(message)
        self.tensors = tensors

    def __reduce__(self) -> tuple[type[OperatorRefusedError], tuple[str, tuple[tuple[str, ...], ...]]]:
        return type(self), (str(self), self.tensors)

    def renamed(self, path: object, name: object) -> OperatorRefusedError:
        """See :class:`ExecutionError`."""
        return OperatorRefusedError(str(self).replace(str(path), str(name)), self.tensors)


class InputShapeError(ExecutionError):
    """No size was found that an input with an open one runs with.

    Attributes:
        problem: the message without the cure, which depends on the command.
    """

    def __init__(self, problem: str, cure: str = "") -> None:
        super().__init__(f"{problem} {cure}".rstrip())
        self.problem = problem


class VerificationError(TfliteSparseError):
    """A written file differs from the dense one that it stands for."""

    exit_code = 1


class BudgetError(TfliteSparseError):
    """No file of this model is as small as was asked for."""

    exit_code = 1


def one_line(error: BaseException) -> str:
    """The message of somebody else's exception on one line, without colours, cut after 300 characters."""
    return " ".join(without_colours(str(error)).split())[:300]


def without_colours(text: str) -> str:
    """A text without the escape sequences by which terminals colour it; Keras writes them into its messages."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
