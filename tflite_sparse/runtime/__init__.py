"""Running a ``.tflite`` file."""
