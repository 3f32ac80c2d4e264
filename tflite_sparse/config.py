"""The settings under the name that they had before 0.1.0: use :mod:`tflite_sparse.settings`."""

from tflite_sparse.settings import *  # noqa: F403
