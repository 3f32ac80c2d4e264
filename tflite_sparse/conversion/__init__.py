"""Convert a SavedModel to a dense ``.tflite`` in a child process."""
