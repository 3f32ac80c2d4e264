"""Read and write ``.tflite`` files as plain objects, and edit their graphs."""
