"""The command line of tflite-sparse."""
