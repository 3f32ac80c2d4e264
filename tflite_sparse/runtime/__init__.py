"""Run ``.tflite`` files."""
